/**
 * The event table: how fast ranges are handed out and durably finished, and whether that depends on how many there are;
 * what registering, keeping and opening a large task costs.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { assert } from '../../core/assert.ts';
import { builtModuleUrl } from '../../core/own-files.ts';
import { LmdbTableStore } from '../../dispatcher/lmdb-table-store.ts';
import { FILL_STEP_RANGES, fillMerged } from '../event-table-filler.ts';
import { BATCH_RANGES, openTable, registerTask, workThrough } from '../event-table-work.ts';
import { type ExpiryStall, measureExpiryStall } from '../expiry-stall.ts';
import { defineScenario, type ScenarioContext } from '../scenario.ts';
import { describeSummary, type Measure, median, ratios } from '../statistics.ts';

interface Settings {
  readonly smallRanges: number;
  readonly largeRanges: number;
  readonly windowRanges: number;
  readonly consumers: number;
  /** held by the consumer whose lease ends */
  readonly heldRanges: number;
  /** the large store is brought forward by copies, not by work */
  readonly filled: boolean;
}

interface Measured {
  /** ranges per second */
  readonly small: number[];
  readonly large: number[];
  readonly registerSeconds: number;
  readonly registerBytes: number;
  readonly bytesPerFinishedRange: number;
  readonly openSeconds: number[];
  readonly rssBytes: number[];
  readonly expiry: readonly ExpiryStall[];
}

export const scenario = defineScenario({
  summary: 'The event table: ranges handed out and durably finished per second, and what 10^8 of them cost',
  options: {
    small: { help: 'ranges of the small task', default: 100_000 },
    large: { help: 'ranges of the large task', default: 100_000_000 },
    window: { help: 'ranges worked through at each position of the large task', default: 480_000, quick: 160_000 },
    consumers: { help: 'consumers at the same time, each in lock step', default: 4 },
    held: { help: 'ranges held by a consumer whose lease ends, while another one works', default: 1_000_000 },
    between: {
      help: 'how the large task gets from one position to the next: by work, or by copies of finished chunks',
      default: 'work',
      quick: 'copies',
      choices: ['work', 'copies'],
    },
  },
  async run(context) {
    const { options } = context;
    const settings: Settings = {
      smallRanges: options.small,
      largeRanges: options.large,
      windowRanges: options.window,
      consumers: options.consumers,
      heldRanges: options.held,
      filled: options.between === 'copies',
    };
    for (const [name, value] of Object.entries({ large: settings.largeRanges, window: settings.windowRanges })) {
      assert(value % FILL_STEP_RANGES === 0 && value > 0, `${name} is a multiple of ${FILL_STEP_RANGES}`);
    }
    return report(settings, await measure(context, settings));
  },
});

async function measure(context: ScenarioContext, settings: Settings): Promise<Measured> {
  const { repeats, signal, progress } = context;
  const folder = mkdtempSync(join(context.folders.disk, 'table-'));
  const largePath = join(folder, 'large');
  try {
    progress('warm-up');
    await measureSmall(folder, settings, signal);
    const registered = await measureRegistering(largePath, settings);
    const { taskID } = registered;
    const small: number[] = [];
    const large: number[] = [];
    for (let round = 0; round < repeats; round += 1) {
      const from = positionOf(round, repeats, settings);
      progress(`round ${round + 1} of ${repeats}: large task at range ${from}`);
      await advance(largePath, taskID, from, settings, signal);
      small.push(await measureSmall(folder, settings, signal));
      const dispatcher = await openTable(largePath);
      const { windowRanges: rangeCount, consumers } = settings;
      large.push(rangeCount / (await workThrough(dispatcher, { taskID, rangeCount, consumers, signal })));
      await dispatcher.close();
    }
    progress('opening the finished store');
    await advance(largePath, taskID, settings.largeRanges, settings, signal);
    const opened: Awaited<ReturnType<typeof measureOpening>>[] = [];
    for (let round = 0; round < repeats; round += 1) opened.push(await measureOpening(largePath, settings));
    const expiry: ExpiryStall[] = [];
    for (let round = 0; round < (context.quick ? 1 : repeats); round += 1) {
      progress('a consumer that holds many ranges goes away');
      expiry.push(await measureExpiry(folder, settings, signal));
    }
    return {
      small,
      large,
      expiry,
      ...registered,
      bytesPerFinishedRange: (await liveBytes(largePath)) / settings.largeRanges,
      openSeconds: opened.map(({ seconds }) => seconds),
      rssBytes: opened.map(({ rssBytes }) => rssBytes),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measureExpiry(folder: string, settings: Settings, signal: AbortSignal): Promise<ExpiryStall> {
  const path = join(folder, 'expiry');
  mkdirSync(path);
  try {
    return await measureExpiryStall(path, { heldRanges: settings.heldRanges, signal });
  } finally {
    rmSync(path, { recursive: true });
  }
}

/** Spread over the whole task, from its first to its last window. */
function positionOf(round: number, repeats: number, { largeRanges, windowRanges }: Settings): number {
  const last = largeRanges - windowRanges;
  const share = repeats === 1 ? 0.5 : round / (repeats - 1);
  return Math.max(round * windowRanges, Math.floor((share * last) / FILL_STEP_RANGES) * FILL_STEP_RANGES);
}

async function measureSmall(folder: string, settings: Settings, signal: AbortSignal): Promise<number> {
  const path = join(folder, 'small');
  mkdirSync(path);
  const dispatcher = await openTable(path);
  try {
    const { smallRanges: rangeCount, consumers } = settings;
    const taskID = await registerTask(dispatcher, rangeCount);
    return rangeCount / (await workThrough(dispatcher, { taskID, rangeCount, consumers, signal }));
  } finally {
    await dispatcher.close();
    rmSync(path, { recursive: true });
  }
}

async function measureRegistering(
  path: string,
  { largeRanges }: Settings,
): Promise<Pick<Measured, 'registerSeconds' | 'registerBytes'> & { readonly taskID: number }> {
  mkdirSync(path);
  const dispatcher = await openTable(path);
  const startedMs = performance.now();
  const taskID = await registerTask(dispatcher, largeRanges);
  const registerSeconds = (performance.now() - startedMs) / 1000;
  await dispatcher.close();
  return { taskID, registerSeconds, registerBytes: statSync(join(path, 'data.mdb')).size };
}

async function advance(
  path: string,
  taskID: number,
  throughRange: number,
  settings: Settings,
  signal: AbortSignal,
): Promise<void> {
  const dispatcher = await openTable(path);
  const done = dispatcher.getTask(taskID).ranges.merged;
  // The copies need something to copy.
  const work = settings.filled ? (done === 0 && throughRange > 0 ? FILL_STEP_RANGES : 0) : throughRange - done;
  if (work > 0) await workThrough(dispatcher, { taskID, rangeCount: work, consumers: settings.consumers, signal });
  await dispatcher.close();
  if (settings.filled && throughRange > done + work) await fillMerged(path, taskID, throughRange);
}

async function measureOpening(
  path: string,
  { largeRanges }: Settings,
): Promise<{ readonly seconds: number; readonly rssBytes: number }> {
  const child = fileURLToPath(builtModuleUrl('bench/table-open.child.ts'));
  const { stdout } = await promisify(execFile)(process.execPath, [child, path]);
  const opened = JSON.parse(stdout) as { readonly seconds: number; readonly rssBytes: number; readonly merged: number };
  assert(opened.merged === largeRanges, `all ${largeRanges} ranges are merged, not ${opened.merged}`);
  return opened;
}

async function liveBytes(path: string): Promise<number> {
  const store = new LmdbTableStore(path, { readOnly: true });
  const bytes = store.liveBytes();
  await store.close();
  return bytes;
}

/** 1e5, 3e6, 12e7 */
function nameOf(count: number): string {
  return count.toExponential().replace('e+', 'e');
}

function report(settings: Settings, measured: Measured) {
  const small = nameOf(settings.smallRanges);
  const large = nameOf(settings.largeRanges);
  const rate = (value: number): string => `${Math.round(value)} /s`;
  const flatness = ratios(measured.large, measured.small);
  const stallsMs = measured.expiry.map(({ stallMs }) => stallMs);
  const undisturbedMs = measured.expiry.map((stall) => stall.undisturbedMs);
  const measures: readonly Measure[] = [
    { name: `rate at ${small}`, unit: 'ranges/s', better: 'higher', values: measured.small },
    { name: `rate at ${large}`, unit: 'ranges/s', better: 'higher', values: measured.large },
    { name: 'flatness', unit: 'ratio', better: 'higher', values: flatness },
    { name: 'register', unit: 's', better: 'lower', values: [measured.registerSeconds] },
    { name: 'bytes per finished range', unit: 'bytes', better: 'lower', values: [measured.bytesPerFinishedRange] },
    { name: 'open', unit: 's', better: 'lower', values: measured.openSeconds },
    { name: 'memory when open', unit: 'bytes', better: 'lower', values: measured.rssBytes },
    { name: 'longest wait at an expiry', unit: 'ms', better: 'lower', values: stallsMs },
  ];
  const row = (what: string, value: string, bound: string): readonly string[] => [what, value, bound];
  const milliseconds = (ms: number): string => `${ms.toFixed(1)} ms`;
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  return {
    values: {
      rangesPerSecond: { [small]: median(measured.small), [large]: median(measured.large) },
      flatness: median(flatness),
      registerSeconds: measured.registerSeconds,
      registerBytes: measured.registerBytes,
      bytesPerFinishedRange: measured.bytesPerFinishedRange,
      openSeconds: median(measured.openSeconds),
      rssBytes: median(measured.rssBytes),
      expiryStallMs: median(stallsMs),
      undisturbedStallMs: median(undisturbedMs),
      builtFromSample: settings.filled,
    },
    measures,
    tables: [
      {
        title: `Event table, batches of ${BATCH_RANGES}, ${settings.consumers} consumers`,
        columns: [{ title: 'what' }, { title: 'measured', align: 'right' }, { title: 'to reach', align: 'right' }],
        rows: [
          row(
            `handed out and durably finished, ${small} registered`,
            describeSummary(measured.small, rate),
            '300000 /s',
          ),
          row(`the same, ${large} registered`, describeSummary(measured.large, rate), '300000 /s'),
          row(
            'flatness',
            describeSummary(flatness, (value) => value.toFixed(2)),
            '0.80',
          ),
          row(`registering ${large}: time`, `${measured.registerSeconds.toFixed(3)} s`, '2 s'),
          row(`registering ${large}: disk`, megabytes(measured.registerBytes), '50 MB'),
          row('a range once merged, live pages', `${measured.bytesPerFinishedRange.toFixed(2)} bytes`, '3 bytes'),
          row(
            `opening ${large} merged`,
            describeSummary(measured.openSeconds, (s) => `${s.toFixed(3)} s`),
            '2 s',
          ),
          row(
            `longest wait while ${nameOf(settings.heldRanges)} ranges are taken back`,
            describeSummary(stallsMs, milliseconds),
            '50 ms',
          ),
          row('longest wait before that', describeSummary(undisturbedMs, milliseconds), ''),
          row('anonymous memory when open', describeSummary(measured.rssBytes, megabytes), '300 MB'),
        ],
      },
    ],
    pictures: [],
    notes: [
      'Each range has one output record; merges are offered and committed while the clock runs. Nothing is executed.',
      'Every answer waits until its change is synced to the disk of the folder measured.',
      'A wait is one answer to another consumer, hand-out or report, with its flush to disk.',
      `Windows of ${settings.windowRanges} ranges at positions over the whole large task, each after a small task of its own.`,
      settings.filled
        ? 'Between the windows the large store was built from a sample: copies of chunks and outputs that were worked through.'
        : 'The large task was worked through from its first to its last range.',
    ],
  } as const;
}
