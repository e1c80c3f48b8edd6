/**
 * How quickly work begins: from giving the command to the first event in a payload, with the built program as users run
 * it. Cold (nothing is known of the file), indexed (the event index knows it), and again on a half-done task.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatCount } from '../../core/quantities.ts';
import { barChart } from '../pictures/bar-chart.ts';
import { LOGGED_EVENTS, readExecutions, runProgram } from '../program-run.ts';
import { defineScenario } from '../scenario.ts';
import { describeSummary, interleave, type Measure, median } from '../statistics.ts';

const STARTS = ['indexed', 'cold', 'again', 'node'] as const;
type Start = (typeof STARTS)[number];

const TITLES: Readonly<Record<Start, string>> = {
  indexed: 'the event index knows the file',
  cold: 'nothing is known of the file',
  again: 'again on a half-done task',
  node: 'for comparison: node -e 0',
};

/** Events that a measured start executes: enough to be sure that it began. */
const EXECUTED_EVENTS = 64;

interface Places {
  readonly input: string;
  readonly index: string;
  readonly out: string;
  readonly log: string;
}

export const scenario = defineScenario({
  summary: 'from the command to the first event, cold, indexed and on a half-done task',
  options: {
    events: { help: 'events in the file', default: 100_000 },
    bytes: { help: 'size of an event', default: 2000 },
  },
  async run(context) {
    const { options, repeats, folders } = context;
    const folder = mkdtempSync(join(folders.memory ?? folders.disk, 'start-'));
    try {
      const input = join(folder, 'events.ndjson');
      writeEvents(input, options.events, options.bytes);
      const halfDone = placesIn(join(folder, 'half-done'), input);
      context.progress('half of a task, to go on with');
      await runProgram(argumentsFor(halfDone, options.events / 2), context.signal);
      const firstEventMs = await interleave(STARTS, repeats, (start, round) => {
        context.progress(`${TITLES[start]}, round ${round + 1} of ${repeats}`);
        return measure(start, { folder, halfDone }, context.signal);
      });
      const measures = STARTS.map(
        (start): Measure => ({ name: start, unit: 'ms', better: 'lower', values: firstEventMs[start] }),
      );
      const milliseconds = (value: number): string => `${Math.round(value)} ms`;
      const title = `command to first event, ${formatCount(options.events)} events of ${formatCount(options.bytes)} bytes`;
      return {
        values: {
          firstEventMs: {
            indexed: median(firstEventMs.indexed),
            cold: median(firstEventMs.cold),
            again: median(firstEventMs.again),
          },
          nodeStartMs: median(firstEventMs.node),
        },
        measures,
        tables: [
          {
            title,
            columns: [{ title: 'start' }, { title: 'first event after', align: 'right' }],
            rows: STARTS.map((start) => [TITLES[start], describeSummary(firstEventMs[start], milliseconds)]),
          },
        ],
        pictures: [
          {
            title,
            svg: barChart({
              title,
              bars: STARTS.map((start) => ({ label: TITLES[start], values: firstEventMs[start] })),
              format: milliseconds,
            }),
          },
        ],
        notes: [
          'The built program in a process of its own. The clock starts before the process does, and stops when the payload ' +
            'is given its first event; the payload is a module of its own, so bundling it is included.',
          'The file lies in the page cache. Warm-up: none. node -e 0, to its end, tells how loaded the machine is.',
        ],
      };
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
});

function writeEvents(path: string, eventCount: number, sizeBytes: number): void {
  const chunk: string[] = [];
  writeFileSync(path, '');
  for (let event = 1; event <= eventCount; event += 1) {
    const head = `{"event":${event},"pad":"`;
    chunk.push(`${head}${'x'.repeat(Math.max(0, sizeBytes - head.length - 3))}"}\n`);
    if (chunk.length < 10_000 && event < eventCount) continue;
    writeFileSync(path, chunk.join(''), { flag: 'a' });
    chunk.length = 0;
  }
}

function placesIn(own: string, input: string): Places {
  mkdirSync(own);
  return { input, index: join(own, 'index'), out: join(own, 'out'), log: join(own, 'log') };
}

async function measure(
  start: Start,
  { folder, halfDone }: { readonly folder: string; readonly halfDone: Places },
  signal: AbortSignal,
): Promise<number> {
  if (start === 'node') return nodeStartMs(signal);
  if (start === 'again') return firstEventAfterMs(halfDone, signal);
  const own = join(folder, 'run');
  const places = placesIn(own, halfDone.input);
  try {
    return await firstEventAfterMs(start === 'cold' ? places : { ...places, index: halfDone.index }, signal);
  } finally {
    rmSync(own, { recursive: true });
  }
}

async function firstEventAfterMs(places: Places, signal: AbortSignal): Promise<number> {
  const before = readExecutions(places.log).length;
  const { startedMs } = await runProgram(argumentsFor(places, EXECUTED_EVENTS), signal);
  const executions = readExecutions(places.log).slice(before);
  return Math.min(...executions.map(({ timeMs }) => timeMs)) - startedMs;
}

async function nodeStartMs(signal: AbortSignal): Promise<number> {
  const startedMs = performance.now();
  const child = spawn(process.execPath, ['-e', '0'], { stdio: 'ignore', signal });
  await once(child, 'close');
  return performance.now() - startedMs;
}

function argumentsFor(places: Places, eventCount: number): readonly string[] {
  return [
    'run',
    ...['--input', places.input, '--index', places.index, '--out', places.out],
    ...['--payload', LOGGED_EVENTS, '--option', `log=${places.log}`, '--option', 'units=0'],
    ...['--limit', String(Math.max(1, Math.round(eventCount))), '--quiet'],
  ];
}
