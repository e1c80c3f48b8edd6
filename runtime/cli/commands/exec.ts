/** `granule exec`: executes one event of a run again, by itself and in the foreground, without touching the run. */
import { relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { EXIT, type ExitCode, GranuleError } from '../../../core/errors.ts';
import { LOG_LEVELS, type LogLevel } from '../../../core/log.ts';
import { suggestNames } from '../../../core/nearest-name.ts';
import { printableText } from '../../../core/printable.ts';
import { formatBytes, formatCount, formatDuration } from '../../../core/quantities.ts';
import type { EventExecution } from '../../exec/exec-event.ts';
import type { DebuggerAddress } from '../../exec/exec-order.ts';
import { type TimeoutRule, tryTimeoutRule } from '../../options/option-rules.ts';
import type { CliCommand, ParsedArguments } from '../cli-command.ts';
import { findEvent } from '../event-reference.ts';
import { defineOutFlag, openRun } from '../open-run.ts';
import { payloadOptions } from '../option-layers.ts';
import { listenForStopSignals } from '../stop-signals.ts';
import type { Surroundings } from '../surroundings.ts';
import { formatTable } from '../table.ts';
import { userStack } from '../user-stack.ts';

export const execCommand: CliCommand = { define, run };

const DEBUGGER_DEFAULT: DebuggerAddress = { host: '127.0.0.1', port: 9229 };

function define(command: Command): void {
  defineOutFlag(command);
  command
    .argument('[EVENT]', 'LFN:position, GUID:position or eventRangeID')
    .option('--inspect [[HOST:]PORT]', 'wait for a debugger, and stop right before execute (default: 127.0.0.1:9229)')
    .option('-p, --payload <NAME>', 'another payload in place of that of the run, for instance the corrected one')
    .option('--option <KEY=VALUE>', 'option of the payload in place of that of the run', collect)
    .option('--to <DIR>', 'where to write the outputs (default: a fresh folder in .granule/exec of the run)')
    .option(
      '--timeout <RULE>',
      'longest execution: 60s, 10x (times the median of the run), or off (default: as the run; off with --inspect)',
    )
    .option('--log-level <LEVEL>', LOG_LEVELS.join(', '), 'debug')
    .addHelpText(
      'after',
      [
        '',
        'The same bytes, payload, options and seed as in the run, whatever state the event is in, also while the run is',
        'on: nothing of it is changed. What the payload prints and logs goes to stderr. Exit code 4 when the event fails.',
        '',
        'Examples:',
        '  granule exec --out out events.hepmc:17',
        '  granule exec --out out events.hepmc:17 --inspect',
        '  granule exec --out out events.hepmc:17 --payload ./corrected.ts --to tried',
      ].join('\n'),
    );
}

function collect(pair: string, before: readonly string[] = []): readonly string[] {
  return [...before, pair];
}

async function run(parsed: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  const { flags } = parsed;
  const { reference, debuggerAt } = eventAndDebugger(parsed);
  const timeout = timeoutOf(flags['timeout']);
  const logLevel = levelOf(flags['logLevel']);
  const options = payloadOptions((flags['option'] as readonly string[] | undefined) ?? []);
  const { currentFolder, environment, notices, results } = surroundings;
  const { execEvent } = await import('../../exec/exec-event.ts');
  await using opened = await openRun(parsed, surroundings);
  const signals = listenForStopSignals();
  const givingUp = new AbortController();
  signals.drain.addEventListener('abort', () => givingUp.abort(givenUp()), { once: true });
  try {
    const execution = await execEvent({
      folders: opened.folders,
      table: opened.table,
      event: findEvent(reference, opened.table),
      payload: payloadOf(flags['payload'], currentFolder),
      payloadOptions: options,
      toFolder: typeof flags['to'] === 'string' ? resolve(currentFolder, flags['to']) : null,
      timeout,
      debuggerAt,
      logLevel,
      environment,
      onText: (text) => notices.write(text),
      onNotice: (line) => notices.write(`${line}\n`),
      signal: givingUp.signal,
    });
    await results.write(
      flags['json'] === true
        ? `${JSON.stringify(execution)}\n`
        : asText(execution, { reference, shownFolder: opened.shownFolder, currentFolder }),
    );
    return execution.outcome === 'finished' ? EXIT.ok : EXIT.someFailed;
  } catch (error) {
    if (signals.drain.reason !== 'interrupted') throw error;
    notices.write('interrupted\n');
    return EXIT.interrupted;
  } finally {
    signals.dispose();
  }
}

function givenUp(): GranuleError {
  return new GranuleError('STOPPED_EARLY', 'told to stop: the event was given up');
}

/** `--inspect EVENT` gives the EVENT to the flag: an address is one only where the event is named apart. */
function eventAndDebugger({ operands, flags }: ParsedArguments): {
  readonly reference: string;
  readonly debuggerAt: DebuggerAddress | null;
} {
  const { inspect } = flags;
  const [named] = operands;
  const reference = named ?? (typeof inspect === 'string' ? inspect : undefined);
  if (reference === undefined) throw new GranuleError('USAGE', 'EVENT is missing (LFN:position, for instance)');
  if (inspect === undefined) return { reference, debuggerAt: null };
  if (typeof inspect !== 'string' || named === undefined) return { reference, debuggerAt: DEBUGGER_DEFAULT };
  const match = /^(?:(.+):)?(\d{1,5})$/.exec(inspect);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) {
    throw new GranuleError('USAGE', `--inspect ${inspect}: expected a port, or HOST:PORT`);
  }
  return { reference, debuggerAt: { host: match[1] ?? DEBUGGER_DEFAULT.host, port } };
}

function timeoutOf(given: unknown): TimeoutRule | null {
  if (given === undefined) return null;
  const rule = tryTimeoutRule(String(given));
  if (rule !== undefined) return rule;
  throw new GranuleError('USAGE', `--timeout ${String(given)}: expected a time such as 60s, 10x, or off`);
}

function levelOf(given: unknown): LogLevel {
  const level = LOG_LEVELS.find((known) => known === given);
  if (level !== undefined) return level;
  throw new GranuleError('USAGE', `--log-level ${String(given)}: there is no such level`, {
    remedy: suggestNames(String(given), LOG_LEVELS) ?? `it is one of ${LOG_LEVELS.join(', ')}`,
  });
}

/** A path starts at the current folder; the name of a built-in payload is none. */
function payloadOf(given: unknown, currentFolder: string): string | null {
  if (typeof given !== 'string') return null;
  return /[/\\]|\.[cm]?[jt]s$/.test(given) ? resolve(currentFolder, given) : given;
}

interface Shown {
  readonly reference: string;
  readonly shownFolder: string;
  readonly currentFolder: string;
}

function asText(execution: EventExecution, { reference, shownFolder, currentFolder }: Shown): string {
  const { lfn, position, payload, asRecorded, seed, wallMs, outputs, failure } = execution;
  const time = wallMs === undefined ? '' : ` in ${formatDuration(wallMs)}`;
  const by = `payload ${payload}${asRecorded ? '' : ', not as in the run'}, seed ${seed}`;
  if (failure !== undefined) {
    const lines = [`${lfn}:${position} failed${time}: ${failure.cause}: ${failure.message} (${by})`];
    if (failure.stack !== undefined) lines.push(userStack(failure.stack));
    lines.push('', `with a debugger: granule exec --out ${shownFolder} ${reference} --inspect`);
    return printableText(`${lines.join('\n')}\n`);
  }
  const rows = outputs.map(({ stream, records, sizeBytes, comparedWithRun, path, sha256 }) => [
    stream,
    records === null ? '' : formatCount(records),
    formatBytes(sizeBytes),
    COMPARED[comparedWithRun],
    relative(currentFolder, path),
    sha256,
  ]);
  const right = 'right' as const;
  const table = formatTable(
    [
      { title: 'stream' },
      { title: 'records', align: right },
      { title: 'size', align: right },
      { title: 'in the run' },
      { title: 'file' },
      { title: 'SHA-256' },
    ],
    rows,
  );
  const nothing = outputs.length === 0 ? 'it wrote nothing\n' : '';
  return `${lfn}:${position} finished${time} (${by})\n${table}${nothing}`;
}

const COMPARED = { same: 'the same', different: 'different', unknown: '–' } as const;
