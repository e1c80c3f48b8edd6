/** Runs of the built program that are told to stop, by real signals and by the clock. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openTableReader } from '../../../dispatcher/table-reader.ts';
import type { RunSummary } from '../../../runtime/run/run-summary.ts';
import { echoing, RunFolder } from '../whole-run.ts';
import { type Ended, granule } from './program.ts';

const EVENTS = 60;
const folders: RunFolder[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

function folderOf(body: string): RunFolder {
  const folder = new RunFolder(echoing(body), EVENTS);
  folders.push(folder);
  return folder;
}

function run(folder: RunFolder, options: readonly string[], withChild?: (child: ChildProcess) => void): Promise<Ended> {
  return granule(
    ['run', ...folder.arguments, '--workers', '2', '--json', '--quiet', ...options],
    withChild === undefined ? {} : { withChild },
  );
}

/** Sends signals one after the other, the first once the file is there that a payload writes. */
function signalsAfter(file: string, ...signals: NodeJS.Signals[]): (child: ChildProcess) => void {
  return (child) => {
    const timer = setInterval(() => {
      if (!existsSync(file)) return;
      const signal = signals.shift();
      if (signal === undefined) clearInterval(timer);
      else child.kill(signal);
    }, 100);
    child.once('exit', () => clearInterval(timer));
  };
}

const MARK = `(await import('node:fs')).appendFileSync(context.folder + '/../mark', 'x');`;
function markOf(folder: RunFolder): string {
  return join(folder.outPath, '.granule/workers/mark');
}

function summaryOf(ended: Ended): RunSummary {
  return JSON.parse(ended.stdout) as RunSummary;
}

/** Counters of all ranges. */
async function charged(folder: RunFolder): Promise<number> {
  const table = openTableReader(join(folder.outPath, '.granule/store'));
  try {
    const { ranges } = table.events({ taskID: 1, limit: 1000 });
    return ranges.reduce((sum, { failures, losses }) => sum + failures + losses, 0);
  } finally {
    await table.close();
  }
}

describe('a run that is told to stop', () => {
  it.each(['thread', 'process'])(
    'ends within the grace time although events in a %s never do, at no cost to them',
    async (isolation) => {
      const folder = folderOf(`if (n === 10) { ${MARK} for (;;); }`);
      const begunMs = performance.now();
      let signalledMs = 0;
      const ended = await run(folder, ['--grace', '9s', '--timeout', 'off', '--isolation', isolation], (child) => {
        signalsAfter(markOf(folder), 'SIGTERM')(child);
        const kill = child.kill.bind(child);
        child.kill = (signal) => {
          signalledMs = performance.now() - begunMs;
          return kill(signal);
        };
      });
      expect(ended).toMatchObject({ code: 75, signal: null });
      expect(performance.now() - begunMs - signalledMs).toBeLessThan(9000);
      expect(summaryOf(ended)).toMatchObject({ ending: 'drained', events: { failed: 0, retried: 0 } });
      expect(summaryOf(ended).events.left).toBeGreaterThan(0);
      expect(await charged(folder)).toBe(0);
      folder.setPayload(echoing(''));
      const rest = await run(folder, ['--accept-payload-change']);
      expect(rest.code).toBe(0);
      expect(folder.merged()).toHaveLength(EVENTS);
    },
  );

  it('is forced by a second Ctrl-C', async () => {
    const folder = folderOf(`if (n === 10) { ${MARK} await new Promise(() => {}); }`);
    const ended = await run(
      folder,
      ['--grace', '10m', '--timeout', 'off'],
      signalsAfter(markOf(folder), 'SIGINT', 'SIGINT'),
    );
    expect(ended).toMatchObject({ code: 130, signal: null });
    expect(await charged(folder)).toBe(0);
  });

  it('finishes what fits, and returns at once what by its usual length does not', async () => {
    // Two events tell that a length of ten seconds is usual; the next two have just begun.
    const folder = folderOf(`if (n <= 2) await new Promise((resolve) => setTimeout(resolve, 10_000));
      if (n > 2) { ${MARK} await new Promise((resolve) => setTimeout(resolve, 600_000)); }`);
    const handle = folder.start({ grace: '9900ms', timeout: 'off', speculate: false, workers: 2 });
    let finished = 0;
    handle.events.on('events:finished', ({ eventCount }) => {
      finished += eventCount;
    });
    const begun = new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        // The report of the second may still be on its way when the fourth begins.
        if (finished < 2 || !existsSync(markOf(folder)) || statSync(markOf(folder)).size < 2) return;
        clearInterval(timer);
        resolve();
      }, 20);
    });
    await begun;
    let forced = false;
    handle.drain('requested');
    const timer = setTimeout(() => {
      forced = true;
    }, 7900);
    const summary = await handle.done;
    clearTimeout(timer);
    expect(forced).toBe(false);
    expect(summary).toMatchObject({ ending: 'drained', events: { finished: 2, failed: 0 } });
    expect(await charged(folder)).toBe(0);
  });

  it('stops by itself when the wall time is about to end', async () => {
    const folder = folderOf('await new Promise((resolve) => setTimeout(resolve, 1000));');
    const ended = await run(folder, ['--walltime', '14s', '--grace', '4s']);
    expect(ended).toMatchObject({ code: 75, signal: null });
    const { events } = summaryOf(ended);
    expect(events).toMatchObject({ failed: 0, left: EVENTS - events.finished });
    expect(events.left).toBeGreaterThan(0);
    expect(await charged(folder)).toBe(0);
  });

  it('takes its child processes along', async () => {
    const folder = folderOf('');
    const cmd = `touch ${markOf(folder)}; sleep 4712; echo '{}'`;
    const { inputPath, outPath } = folder;
    const ended = await granule(
      ['run', '--input', inputPath, '--payload', 'command', '--option', `cmd=${cmd}`, '--out', outPath].concat([
        '--workers',
        '2',
        '--grace',
        '3s',
        '--timeout',
        'off',
        '--quiet',
      ]),
      { withChild: signalsAfter(markOf(folder), 'SIGTERM') },
    );
    expect(ended).toMatchObject({ code: 75, signal: null });
    await expect
      .poll(() => execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).includes('sleep 4712'), { timeout: 5000 })
      .toBe(false);
    expect(readdirSync(join(outPath, '.granule/unmerged'))).toEqual([]);
  });

  it('ends the wait for a list of inputs on stdin', async () => {
    const folder = folderOf('');
    const ended = await granule(['run', '-', '--payload', 'noop', '--out', 'out'], {
      cwd: folder.path,
      stdin: null,
      withChild: signalsAfter(join(folder.outPath, '.granule'), 'SIGINT'),
    });
    expect([ended.code, ended.stderr]).toEqual([130, expect.not.stringContaining('stdin')]);
  });
});
