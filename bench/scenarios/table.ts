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
import { openTable, registerTask, workThrough } from '../event-table-work.ts';
import { type ExpiryStall, measureExpiryStall } from '../expiry-stall.ts';
import { defineScenario, type ScenarioContext } from '../scenario.ts';
import { type TableMeasured, type TableSettings, tableResult } from '../table-results.ts';

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
    const settings: TableSettings = {
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
    return tableResult(settings, await measure(context, settings));
  },
});

async function measure(context: ScenarioContext, settings: TableSettings): Promise<TableMeasured> {
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

async function measureExpiry(folder: string, settings: TableSettings, signal: AbortSignal): Promise<ExpiryStall> {
  const path = join(folder, 'expiry');
  mkdirSync(path);
  try {
    return await measureExpiryStall(path, { heldRanges: settings.heldRanges, signal });
  } finally {
    rmSync(path, { recursive: true });
  }
}

/** Spread over the whole task, from its first to its last window. */
function positionOf(round: number, repeats: number, { largeRanges, windowRanges }: TableSettings): number {
  const last = largeRanges - windowRanges;
  const share = repeats === 1 ? 0.5 : round / (repeats - 1);
  return Math.max(round * windowRanges, Math.floor((share * last) / FILL_STEP_RANGES) * FILL_STEP_RANGES);
}

async function measureSmall(folder: string, settings: TableSettings, signal: AbortSignal): Promise<number> {
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
  { largeRanges }: TableSettings,
): Promise<Pick<TableMeasured, 'registerSeconds' | 'registerBytes'> & { readonly taskID: number }> {
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
  settings: TableSettings,
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
  { largeRanges }: TableSettings,
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
