/**
 * What a pool could do without any overhead: list scheduling (Graham, SIAM J. Appl. Math. 17 (1969) 416). The next unit
 * of work in the given order goes to the worker that is free first; longest first makes it LPT. Pure functions on
 * lengths in any one unit.
 */
import { createRandom } from '../core/random.ts';

/** One unit of work on one worker, as lanes are drawn from it. */
export interface Placement {
  readonly worker: number;
  /** place in the given order */
  readonly unit: number;
  readonly start: number;
  readonly end: number;
}

export interface Schedule {
  readonly makespan: number;
  readonly placements: readonly Placement[];
}

/** Places units in order, each on the worker that is free first; of several, on the one with the lowest index. */
export function pullSchedule(lengths: readonly number[], workerCount: number): Schedule {
  const free = new WorkerHeap(workerCount);
  const placements: Placement[] = [];
  let makespan = 0;
  for (let unit = 0; unit < lengths.length; unit += 1) {
    const { worker, time: start } = free.first();
    const end = start + (lengths[unit] ?? 0);
    free.replaceFirst(end);
    placements.push({ worker, unit, start, end });
    makespan = Math.max(makespan, end);
  }
  return { makespan, placements };
}

/** No schedule is shorter: the work shared out evenly, or the longest unit. */
export function lowerBound(lengths: readonly number[], workerCount: number): number {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  return Math.max(
    total / workerCount,
    lengths.reduce((longest, length) => Math.max(longest, length), 0),
  );
}

/** Order of hand-out by falling hint; equal ones in their order. */
export function longestFirst(hints: readonly number[]): number[] {
  return hints.map((_, unit) => unit).sort((left, right) => (hints[right] ?? 0) - (hints[left] ?? 0) || left - right);
}

/** Sums of consecutive lengths: files, or chunks. The last group may be smaller. */
export function groupLengths(lengths: readonly number[], unitsPerGroup: number): number[] {
  const sums: number[] = [];
  lengths.forEach((length, unit) => {
    const group = Math.floor(unit / unitsPerGroup);
    sums[group] = (sums[group] ?? 0) + length;
  });
  return sums;
}

/**
 * Size hints whose (Pearson) correlation with the lengths is the one asked for: the lengths themselves, exchanged among
 * units by mixing their ranks with chance (a Gaussian copula) until the correlation fits.
 *
 * @param target in (0, 1]; with 1 the hints are the lengths. Reached to about 0.05 where few long units carry
 *   most of it
 */
export function correlatedHints(lengths: readonly number[], target: number, seed: number): number[] {
  if (target >= 1) return [...lengths];
  const random = createRandom(seed);
  const noise = lengths.map(() => random.gaussian());
  const byLength = longestFirst(lengths);
  const scores = new Array<number>(lengths.length);
  byLength.forEach((unit, rank) => {
    scores[unit] = normalQuantile(1 - (rank + 0.5) / lengths.length);
  });
  let best: readonly number[] = lengths;
  let bestMiss = 1 - target;
  let low = 0;
  let high = 1;
  for (let step = 0; step < 24; step += 1) {
    const weight = (low + high) / 2;
    const hints = mixedRanks(lengths, { byLength, scores, noise, weight });
    const reached = correlation(lengths, hints);
    if (Math.abs(reached - target) < bestMiss) {
      best = hints;
      bestMiss = Math.abs(reached - target);
    }
    if (reached < target) low = weight;
    else high = weight;
  }
  return [...best];
}

function mixedRanks(
  lengths: readonly number[],
  mix: {
    readonly byLength: readonly number[];
    readonly scores: readonly number[];
    readonly noise: readonly number[];
    readonly weight: number;
  },
): number[] {
  const chance = Math.sqrt(1 - mix.weight ** 2);
  const mixed = mix.scores.map((score, unit) => mix.weight * score + chance * (mix.noise[unit] ?? 0));
  const hints = new Array<number>(lengths.length);
  longestFirst(mixed).forEach((unit, rank) => {
    hints[unit] = lengths[mix.byLength[rank] ?? 0] ?? 0;
  });
  return hints;
}

/** Pearson's; NaN when one of the two does not vary. */
export function correlation(left: readonly number[], right: readonly number[]): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [leftMean, rightMean] = [mean(left), mean(right)];
  let product = 0;
  let leftSquare = 0;
  let rightSquare = 0;
  left.forEach((value, index) => {
    const a = value - leftMean;
    const b = (right[index] ?? 0) - rightMean;
    product += a * b;
    leftSquare += a * a;
    rightSquare += b * b;
  });
  return product / Math.sqrt(leftSquare * rightSquare);
}

/** Workers by the time they are free, then by index: a binary heap. */
class WorkerHeap {
  readonly #entries: { worker: number; time: number }[];

  constructor(workerCount: number) {
    this.#entries = Array.from({ length: workerCount }, (_, worker) => ({ worker, time: 0 }));
  }

  first(): { readonly worker: number; readonly time: number } {
    return this.#entries[0] as { worker: number; time: number };
  }

  replaceFirst(time: number): void {
    const entries = this.#entries;
    const moved = { worker: this.first().worker, time };
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      const right = entries[child + 1];
      const left = entries[child];
      if (left === undefined) break;
      if (right !== undefined && isBefore(right, left)) child += 1;
      const smaller = entries[child] as { worker: number; time: number };
      if (!isBefore(smaller, moved)) break;
      entries[place] = smaller;
      place = child;
    }
    entries[place] = moved;
  }
}

function isBefore(left: { worker: number; time: number }, right: { worker: number; time: number }): boolean {
  return left.time < right.time || (left.time === right.time && left.worker < right.worker);
}

/** Inverse of the standard normal distribution, to 1e-3: enough to mix ranks (Abramowitz and Stegun, 26.2.23). */
function normalQuantile(probability: number): number {
  const tail = Math.min(probability, 1 - probability);
  const t = Math.sqrt(-2 * Math.log(tail));
  const z =
    t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t ** 3);
  return probability < 0.5 ? -z : z;
}
