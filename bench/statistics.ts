/** Medians with their spread, ratios within a round, and the order in which variants are measured. */

/** Repeated measurements of one quantity. */
export interface Measure {
  /** stable: comparisons go by it */
  readonly name: string;
  /** `events/s`, `ms`, `ratio`, … */
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  /** in the order of the rounds */
  readonly values: readonly number[];
}

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** (max − min) / |median|; 0 for a single value or a median of 0 */
  readonly spread: number;
}

/** Beyond this spread of a measure the machine counts as noisy. */
export const NOISY_SPREAD = 0.2;

/** NaN for no values. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

export function summarise(values: readonly number[]): Summary {
  const middle = median(values);
  const min = Math.min(...values);
  const max = Math.max(...values);
  return { median: middle, min, max, spread: middle === 0 ? 0 : (max - min) / Math.abs(middle) };
}

/** Of one round each: what disturbs a round disturbs both, and cancels. */
export function ratios(numerators: readonly number[], denominators: readonly number[]): number[] {
  return numerators.map((numerator, round) => numerator / (denominators[round] ?? Number.NaN));
}

/**
 * Measures every variant once per round, in an order that turns by one from round to round, so that no variant always
 * follows the same other one.
 *
 * @returns by variant, in the order of the rounds
 */
export async function interleave<Variant extends string, Value>(
  variants: readonly Variant[],
  roundCount: number,
  measure: (variant: Variant, round: number) => Promise<Value>,
): Promise<Readonly<Record<Variant, readonly Value[]>>> {
  const measured = Object.fromEntries(variants.map((variant): [Variant, Value[]] => [variant, []])) as Record<
    Variant,
    Value[]
  >;
  for (let round = 0; round < roundCount; round += 1) {
    for (let place = 0; place < variants.length; place += 1) {
      const variant = variants[(place + round) % variants.length] as Variant;
      measured[variant].push(await measure(variant, round));
    }
  }
  return measured;
}

/** `0.62 ± 3 %`-like: the median, and how far the extremes lie apart. */
export function describeSummary(values: readonly number[], format: (value: number) => string): string {
  const { median: middle, spread } = summarise(values);
  if (values.length < 2) return format(middle);
  return `${format(middle)} (spread ${Math.round(spread * 100)} %)`;
}
