/** Sets of ranges as sorted, disjoint, half-open intervals: compact for what was made in order. */

/** [first, end, first, end, …] */
export type RangeIntervals = readonly number[];

export class IntervalBuilder {
  readonly #bounds: number[] = [];

  /** In ascending order. */
  add(rangeIndex: number): void {
    if (this.#bounds.at(-1) === rangeIndex) this.#bounds[this.#bounds.length - 1] = rangeIndex + 1;
    else this.#bounds.push(rangeIndex, rangeIndex + 1);
  }

  build(): RangeIntervals {
    return this.#bounds;
  }
}

/** Index of the interval that holds the range, or -1. */
function intervalOf(intervals: RangeIntervals, rangeIndex: number): number {
  let low = 0;
  let high = intervals.length / 2 - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    if (rangeIndex < (intervals[2 * middle] as number)) high = middle - 1;
    else if (rangeIndex >= (intervals[2 * middle + 1] as number)) low = middle + 1;
    else return middle;
  }
  return -1;
}

export function contains(intervals: RangeIntervals, rangeIndex: number): boolean {
  return intervalOf(intervals, rangeIndex) >= 0;
}

export function without(intervals: RangeIntervals, rangeIndex: number): RangeIntervals {
  const interval = intervalOf(intervals, rangeIndex);
  if (interval < 0) return intervals;
  const first = intervals[2 * interval] as number;
  const end = intervals[2 * interval + 1] as number;
  const parts = [first, rangeIndex, rangeIndex + 1, end];
  const kept = [...(first < rangeIndex ? parts.slice(0, 2) : []), ...(rangeIndex + 1 < end ? parts.slice(2) : [])];
  return [...intervals.slice(0, 2 * interval), ...kept, ...intervals.slice(2 * interval + 2)];
}
