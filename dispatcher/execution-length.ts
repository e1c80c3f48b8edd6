/**
 * How long an execution took, in one byte: eight steps per doubling from 10 µs to ten hours, 4 % apart from the truth
 * at most. Kept for every executed range: enough for hints and reports, at a byte a range.
 */

const SHORTEST_MS = 0.01;
const STEPS_PER_DOUBLING = 8;
const CODE_MAX = 255;

/** @param histogram counts by code */
export function medianLength(histogram: Float64Array): { readonly count: number; readonly medianMs: number } {
  const count = histogram.reduce((sum, ofCode) => sum + ofCode, 0);
  let below = 0;
  const code = histogram.findIndex((ofCode) => {
    below += ofCode;
    return below > 0 && below >= count / 2;
  });
  return { count, medianMs: lengthOfCode(Math.max(0, code)) ?? 0 };
}

/** 1..255; 0 is kept for "never executed". Lengths outside the scale take its nearest end. */
export function lengthCode(lengthMs: number): number {
  if (!(lengthMs > SHORTEST_MS)) return 1;
  return Math.min(CODE_MAX, 1 + Math.round(STEPS_PER_DOUBLING * Math.log2(lengthMs / SHORTEST_MS)));
}

/** Milliseconds; undefined for 0. */
export function lengthOfCode(code: number): number | undefined {
  return code === 0 ? undefined : SHORTEST_MS * 2 ** ((code - 1) / STEPS_PER_DOUBLING);
}
