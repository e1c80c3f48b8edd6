/**
 * The proof by kill -9: a run in a child process is killed half-way, the same command runs again, and its outputs are
 * compared with those of an undisturbed run.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text as readText } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { EXIT, type ExitCode, GranuleError, isGranuleError } from '../../core/errors.ts';
import { HALFWAY_LOOK_MS } from '../../core/limits.ts';
import { formatCount } from '../../core/quantities.ts';
import { openTableReader, type TableReader } from '../../dispatcher/table-reader.ts';
import { removeRun, runFolders } from '../run/run-folders.ts';
import type { RunSummary } from '../run/run-summary.ts';
import type { Surroundings } from './surroundings.ts';

export interface KillVerdict {
  /** finished events when it was killed */
  readonly finishedAtKill: number;
  /** events that the second start found finished */
  readonly recovered: number;
  readonly total: number;
  /** outputs that differ from those of the undisturbed run; empty when all is well */
  readonly differing: readonly string[];
  readonly exitCode: ExitCode;
  /** for people */
  readonly text: string;
}

/**
 * @param args of `granule`, without `--out`
 * @param out folder of the run, begun anew
 */
export async function runKilledHalfway(
  args: readonly string[],
  out: string,
  undisturbed: RunSummary,
  { notices }: Surroundings,
): Promise<KillVerdict> {
  const half = undisturbed.events.total / 2;
  notices.write('the same again, in a process that is killed half-way\n');
  await removeRun(runFolders(out));
  const first = startChild([...args, '--out', out]);
  const finishedAtKill = await killWhenFinished(first, out, half);
  notices.write(`kill -9 ${first.pid} with ${formatCount(finishedAtKill)} events finished; the same command again\n`);

  const second = startChild([...args, '--out', out]);
  const [text] = await Promise.all([readText(second.stdout), once(second, 'close')]);
  if (second.exitCode !== EXIT.ok) {
    throw new GranuleError('INTERNAL', `the second start ended with exit code ${second.exitCode}`);
  }
  const summary = JSON.parse(text) as RunSummary;
  return judge(undisturbed, summary, finishedAtKill);
}

type Child = ChildProcessByStdio<null, Readable, null>;

/** In a process group of its own, so that everything it has started is killed with it. */
function startChild(args: readonly string[]): Child {
  const script = process.argv[1] ?? '';
  return spawn(process.execPath, [script, ...args, '--json'], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
}

/** Looks into the event table while the child writes it. */
async function killWhenFinished(child: Child, out: string, eventCount: number): Promise<number> {
  const { store } = runFolders(out);
  const ended = once(child, 'close');
  let table: TableReader | undefined;
  try {
    while (child.exitCode === null && child.signalCode === null) {
      table ??= tryOpen(store);
      const finished = table === undefined ? 0 : finishedEvents(table);
      if (finished >= eventCount && child.pid !== undefined) {
        process.kill(-child.pid, 'SIGKILL');
        await ended;
        return table === undefined ? finished : finishedEvents(table);
      }
      await wait(HALFWAY_LOOK_MS);
    }
  } finally {
    await table?.close();
  }
  throw new GranuleError('USAGE', `the run ended (exit code ${child.exitCode}) before it could be killed half-way`, {
    remedy: 'give it more to do with --events',
  });
}

function tryOpen(store: string): TableReader | undefined {
  if (!existsSync(join(store, 'data.mdb'))) return undefined;
  try {
    return openTableReader(store);
  } catch (error) {
    if (isGranuleError(error)) return undefined; // just being created
    throw error;
  }
}

function finishedEvents(table: TableReader): number {
  return table.tasks().reduce((sum, { events }) => sum + events.finished + events.merged, 0);
}

function judge(undisturbed: RunSummary, again: RunSummary, finishedAtKill: number): KillVerdict {
  const digests = new Map(undisturbed.outputs.map(({ path, sha256 }) => [path, sha256]));
  const differing = again.outputs.filter(({ path, sha256 }) => digests.get(path) !== sha256).map(({ path }) => path);
  for (const { path } of undisturbed.outputs) {
    if (!again.outputs.some((output) => output.path === path)) differing.push(path);
  }
  const { total, finished, recovered } = again.events;
  const fine = differing.length === 0 && finished === total;
  const result = fine
    ? `${formatCount(total)} events in the merged output, none missing, none twice; sha256 equal to the undisturbed run`
    : `NOT EQUAL to the undisturbed run: ${differing.join(', ')}`;
  const text = [
    `killed      with ${formatCount(finishedAtKill)} of ${formatCount(total)} events finished`,
    `recovered   ${formatCount(recovered)} events by the second start, which executed the other ${formatCount(total - recovered)}`,
    `check       ${result}`,
    '',
  ].join('\n');
  return { finishedAtKill, recovered, total, differing, exitCode: fine ? EXIT.ok : EXIT.internal, text };
}
