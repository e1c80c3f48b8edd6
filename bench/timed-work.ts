/** Events of known lengths: drawn from a law or taken from a recorded run, and written as files that state them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GranuleError } from '../core/errors.ts';
import { createRandom } from '../core/random.ts';
import { openTableReader } from '../dispatcher/table-reader.ts';
import { drawSpinMs, spinUnit } from '../payloads/builtin/spin.ts';
import { DISTRIBUTIONS } from '../payloads/builtin/spin-options.ts';
import { runFolders } from '../runtime/run/run-folders.ts';
import type { TimedEvent } from './payloads/timed-events.ts';

export interface LengthLaw {
  /** one of {@link DISTRIBUTIONS} */
  readonly dist: string;
  readonly meanMs: number;
  /** exponent of the Pareto law */
  readonly alpha: number;
  readonly maxMs: number;
}

const SEED = 20_261_105;

export function drawLengths(law: LengthLaw, eventCount: number): number[] {
  const random = createRandom(SEED);
  const dist = DISTRIBUTIONS.find((name) => name === law.dist) ?? 'constant';
  return Array.from({ length: eventCount }, () =>
    Math.max(1, drawSpinMs({ ...law, dist, sigma: 1, wait: false }, random)),
  );
}

/**
 * Lengths of the finished ranges of a run, in order, to about 4 %.
 *
 * @param outFolder the run's output folder
 * @throws USAGE when nothing was executed there
 */
export async function recordedLengths(outFolder: string, eventCountMax: number): Promise<number[]> {
  const table = openTableReader(runFolders(outFolder).store);
  try {
    const lengths: number[] = [];
    for (const { record } of table.tasks()) {
      const { ranges } = table.events({ taskID: record.taskID, limit: eventCountMax });
      for (const { wallMs } of ranges) if (wallMs !== undefined) lengths.push(wallMs);
    }
    if (lengths.length > 0) return lengths;
    throw new GranuleError('USAGE', `the run in ${outFolder} has executed nothing`, { details: { path: outFolder } });
  } finally {
    await table.close();
  }
}

/** Units of CPU work per ms on this machine: the fastest of several batches, since others can only slow one down. */
export function calibrateUnits(): number {
  const batchUnits = 400;
  let fastestMs = Number.POSITIVE_INFINITY;
  for (let batch = 0; batch < 25; batch += 1) {
    const start = performance.now();
    for (let done = 0; done < batchUnits; done += 1) spinUnit(1);
    fastestMs = Math.min(fastestMs, performance.now() - start);
  }
  return batchUnits / fastestMs;
}

export interface TimedFiles {
  /** expected length of each event, which its size stands for */
  readonly hintsMs: readonly number[];
  readonly lengthsMs: readonly number[];
  /** null: events wait on a timer instead */
  readonly unitsPerMs: number | null;
  readonly eventsPerFile: number;
}

const BYTES_PER_HINT_MS = 64;

/** Writes the events into as many files as they need; their paths, in order. */
export function writeTimedFiles(folder: string, files: TimedFiles): string[] {
  mkdirSync(folder, { recursive: true });
  const paths: string[] = [];
  for (let first = 0; first < files.lengthsMs.length; first += files.eventsPerFile) {
    const path = join(folder, `events-${String(paths.length + 1).padStart(4, '0')}.ndjson`);
    const lines: string[] = [];
    const last = Math.min(files.lengthsMs.length, first + files.eventsPerFile);
    for (let event = first; event < last; event += 1) lines.push(`${JSON.stringify(timedEvent(files, event))}\n`);
    writeFileSync(path, lines.join(''));
    paths.push(path);
  }
  return paths;
}

function timedEvent({ hintsMs, lengthsMs, unitsPerMs }: TimedFiles, event: number): TimedEvent {
  const lengthMs = lengthsMs[event] ?? 0;
  const pad = 'x'.repeat(Math.round((hintsMs[event] ?? 0) * BYTES_PER_HINT_MS));
  return unitsPerMs === null
    ? { event, units: 0, ms: Math.round(lengthMs), pad }
    : { event, units: Math.round(lengthMs * unitsPerMs), ms: 0, pad };
}
