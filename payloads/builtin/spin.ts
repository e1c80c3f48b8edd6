/**
 * Payload `spin`: burns CPU time drawn from a distribution, which stands in for the simulation of events of very
 * different lengths.
 *
 * The work is a fixed *unit* (a checksum over some tens of microseconds), repeated. `prepare` measures how many units
 * fit into a millisecond of this machine; the unit itself, the drawn time and the line written depend on the event's
 * seed only, so that outputs are the same on every machine, however fast.
 */
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { GranuleError } from '../../core/errors.ts';
import { definePayload, type Random } from '../payload.ts';
import type { SpinOptions } from './spin-options.ts';

/** One line of stream `SPIN`. */
export interface SpinRecord {
  /** 1-based */
  readonly position: number;
  /** the time drawn, in ms, rounded to a microsecond */
  readonly drawnMs: number;
  /** of the unit of work, 8 hexadecimal digits */
  readonly checksum: string;
}

/** Measured by `prepare`. */
interface Calibration {
  readonly unitsPerMs: number;
}

/** Rounds of the unit: about 10 µs on a machine of the 2020s. */
const UNIT_ROUNDS = 8192;
/** CPU time between two looks at the event's signal, for which the event loop has to turn. */
const MS_BETWEEN_TURNS = 20;
const WARM_UP_MS = 30;
const CALIBRATION_BATCHES = 12;
const CALIBRATION_BATCH_UNITS = 200;

/** The unit of work: xorshift32 (Marsaglia, J. Stat. Softw. 8 (2003) 14) folded into a multiplicative checksum. */
export function spinUnit(seed: number): number {
  let x = seed | 1;
  let sum = 0;
  for (let round = 0; round < UNIT_ROUNDS; round += 1) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    sum = Math.imul(sum ^ x, 0x01000193);
  }
  return sum >>> 0;
}

/** Milliseconds, in [0, maxMs]. The mean is `meanMs` as long as the cap is far out. */
export function drawSpinMs(options: SpinOptions, random: Random): number {
  return Math.min(drawUncappedMs(options, random), options.maxMs);
}

function drawUncappedMs({ dist, meanMs, sigma, alpha }: SpinOptions, random: Random): number {
  switch (dist) {
    case 'constant':
      return meanMs;
    case 'exponential':
      return meanMs * random.exponential();
    case 'lognormal':
      return meanMs * Math.exp(sigma * random.gaussian() - (sigma * sigma) / 2);
    case 'pareto':
      // A Pareto variable is its minimum times the exponential of an exponential variable with mean 1/alpha.
      return ((meanMs * (alpha - 1)) / alpha) * Math.exp(random.exponential() / alpha);
  }
}

/** Units per millisecond: the fastest of several batches, since whatever else runs here can only slow one down. */
function calibrate(): Calibration {
  const warmUpEnd = performance.now() + WARM_UP_MS;
  while (performance.now() < warmUpEnd) spinUnit(1);
  let fastestMs = Number.POSITIVE_INFINITY;
  for (let batch = 0; batch < CALIBRATION_BATCHES; batch += 1) {
    const start = performance.now();
    repeatUnit(1, CALIBRATION_BATCH_UNITS, spinUnit(1));
    fastestMs = Math.min(fastestMs, performance.now() - start);
  }
  return { unitsPerMs: CALIBRATION_BATCH_UNITS / fastestMs };
}

function repeatUnit(seed: number, count: number, expected: number): void {
  for (let done = 0; done < count; done += 1) {
    if (spinUnit(seed) === expected) continue;
    throw new GranuleError('INTERNAL', 'the same unit of work gave two checksums: this machine computes wrongly');
  }
}

/** Repeats the unit and lets the event loop turn now and then, so that an abort is seen. */
async function burn(seed: number, unitCount: number, batchUnits: number, signal: AbortSignal): Promise<void> {
  const expected = spinUnit(seed);
  for (let left = unitCount; left > 0; left -= batchUnits) {
    repeatUnit(seed, Math.min(left, batchUnits), expected);
    await nextTurn();
    signal.throwIfAborted();
  }
}

export default definePayload<SpinOptions, Calibration>({
  name: 'spin',
  version: '1',
  outputs: { SPIN: { format: 'ndjson' } },
  options: async () => (await import('./spin-options.ts')).schema,
  prepare: calibrate,
  execute(event, context) {
    const { options, random, signal } = context;
    const drawnMs = drawSpinMs(options, random);
    const unitSeed = random.uint32();
    const checksum = spinUnit(unitSeed);
    const record: SpinRecord = {
      position: event.position,
      drawnMs: Math.round(drawnMs * 1000) / 1000,
      checksum: checksum.toString(16).padStart(8, '0'),
    };
    context.output('SPIN').write(record);
    if (options.wait) return delay(drawnMs, undefined, { signal });
    const unitCount = Math.round(drawnMs * context.shared.unitsPerMs);
    const batchUnits = Math.ceil(MS_BETWEEN_TURNS * context.shared.unitsPerMs);
    if (unitCount > batchUnits) return burn(unitSeed, unitCount, batchUnits, signal);
    repeatUnit(unitSeed, unitCount, checksum);
    return undefined;
  },
});
