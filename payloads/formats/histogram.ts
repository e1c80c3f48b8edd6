/**
 * Histograms that are filled event by event and merged by addition. One line of JSON is either a *fill* (what a payload
 * writes) or a whole *histogram* (what a merged file holds); lines of both kinds can be added up in any mixture.
 */
import { HISTOGRAM_BINS_MAX, HISTOGRAM_VALUE_MAX, HISTOGRAMS_MAX } from '../../core/limits.ts';

/** Equal bins from `low` up to, and without, `high`. Histograms of the same name and binning are one histogram. */
export interface Binning {
  readonly name: string;
  readonly bins: number;
  readonly low: number;
  readonly high: number;
}

/** What a payload writes to a stream of format `histogram`: one value, and the histogram that takes it. */
export interface HistogramFill extends Binning {
  /** for drawings; those of the first fill are kept */
  readonly title?: string;
  readonly xLabel?: string;
  readonly x: number;
  /** 1 unless given */
  readonly weight?: number;
}

/** One histogram; a line of a merged file. */
export interface Histogram extends Binning {
  readonly title: string;
  readonly xLabel: string;
  /** number of fills, those outside of the bins included */
  readonly entries: number;
  /** sums of weights below `low`, and from `high` on */
  readonly underflow: number;
  readonly overflow: number;
  /** per bin: sum of weights, and sum of their squares (the square of the statistical error) */
  readonly contents: readonly number[];
  readonly squares: readonly number[];
  /** sums of w, w·x and w·x² over the fills within the bins, for mean and width */
  readonly sums: readonly [weight: number, weightX: number, weightXX: number];
}

/** A histogram while it is filled. */
interface Growing extends Histogram {
  entries: number;
  underflow: number;
  overflow: number;
  readonly contents: number[];
  readonly squares: number[];
  readonly sums: [weight: number, weightX: number, weightXX: number];
}

const isFiniteNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isNumbers = (value: unknown, count: unknown): boolean =>
  Array.isArray(value) && value.length === count && value.every(isFiniteNumber);

/** What is wrong with a value given as a fill; undefined when nothing is. */
export function findFillFault(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return `it is ${value === null ? 'null' : typeof value}`;
  const { title = '', xLabel = '', x, weight = 1, ...binning } = value as Partial<HistogramFill>;
  const fault = findBinningFault(binning);
  if (fault !== undefined) return fault;
  if (typeof title !== 'string' || typeof xLabel !== 'string') return '"title" and "xLabel" are texts';
  if (!isFiniteNumber(x)) return `"x" must be a finite number, but is ${String(x)}`;
  if (!isFiniteNumber(weight)) return `"weight" must be a finite number, but is ${String(weight)}`;
  return isSummable(weight) ? undefined : `"weight" is ${weight}, beyond ±${HISTOGRAM_VALUE_MAX}`;
}

/** Its squares can be added up without end in sight: a sum that overflowed could not be written as JSON. */
function isSummable(value: number): boolean {
  return Math.abs(value) <= HISTOGRAM_VALUE_MAX;
}

function findBinningFault({ name, bins, low, high }: Partial<Binning>): string | undefined {
  if (typeof name !== 'string' || name === '') return '"name" is missing';
  if (!Number.isInteger(bins) || Number(bins) < 1 || Number(bins) > HISTOGRAM_BINS_MAX) {
    return `"bins" must be a whole number from 1 to ${HISTOGRAM_BINS_MAX}, but is ${String(bins)}`;
  }
  if (!isFiniteNumber(low) || !isFiniteNumber(high) || low >= high) {
    return `"low" must be below "high", but they are ${String(low)} and ${String(high)}`;
  }
  if (isSummable(low) && isSummable(high)) return undefined;
  return `"low" and "high" are ${low} and ${high}, beyond ±${HISTOGRAM_VALUE_MAX}`;
}

/** The fill or histogram of one line; undefined for anything else. */
export function parseHistogramLine(line: string): HistogramFill | Histogram | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (findFillFault(value) === undefined) return value as HistogramFill;
  return isHistogram(value) ? value : undefined;
}

function isHistogram(value: unknown): value is Histogram {
  if (typeof value !== 'object' || value === null) return false;
  const histogram = value as Partial<Histogram>;
  const { bins, title, xLabel, entries, underflow, overflow, contents, squares, sums } = histogram;
  return (
    findBinningFault(histogram) === undefined &&
    typeof title === 'string' &&
    typeof xLabel === 'string' &&
    [entries, underflow, overflow].every(isFiniteNumber) &&
    isNumbers(contents, bins) &&
    isNumbers(squares, bins) &&
    isNumbers(sums, 3)
  );
}

/** Sums of fills and histograms. Sums are rounded, so their last digit depends on the order; without weights nothing does. */
export class HistogramSet {
  readonly #histograms = new Map<string, Growing>();

  /** @returns false when it would be one histogram too many */
  add(line: HistogramFill | Histogram): boolean {
    const key = JSON.stringify([line.name, line.bins, line.low, line.high]);
    let histogram = this.#histograms.get(key);
    if (histogram === undefined) {
      if (this.#histograms.size >= HISTOGRAMS_MAX) return false;
      histogram = emptyHistogram(line);
      this.#histograms.set(key, histogram);
    }
    if ('x' in line) fill(histogram, line.x, line.weight ?? 1);
    else addHistogram(histogram, line);
    return true;
  }

  /** By name, then binning: the same whatever came first. */
  histograms(): readonly Histogram[] {
    return [...this.#histograms.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, histogram]) => histogram);
  }
}

function emptyHistogram({ name, bins, low, high, title = '', xLabel = '' }: HistogramFill | Histogram): Growing {
  const zeros = (): number[] => new Array<number>(bins).fill(0);
  const counts = { entries: 0, underflow: 0, overflow: 0 };
  return { name, title, xLabel, bins, low, high, ...counts, contents: zeros(), squares: zeros(), sums: [0, 0, 0] };
}

function fill(histogram: Growing, x: number, weight: number): void {
  const { bins, low, high, contents, squares, sums } = histogram;
  histogram.entries += 1;
  if (x < low) {
    histogram.underflow += weight;
    return;
  }
  if (x >= high) {
    histogram.overflow += weight;
    return;
  }
  // Rounding may carry a value just below `high` over the last edge.
  const bin = Math.min(bins - 1, Math.floor(((x - low) / (high - low)) * bins));
  addTo(contents, bin, weight);
  addTo(squares, bin, weight * weight);
  addTo(sums, 0, weight);
  addTo(sums, 1, weight * x);
  addTo(sums, 2, weight * x * x);
}

function addHistogram(histogram: Growing, other: Histogram): void {
  histogram.entries += other.entries;
  histogram.underflow += other.underflow;
  histogram.overflow += other.overflow;
  for (const [bin, value] of other.contents.entries()) addTo(histogram.contents, bin, value);
  for (const [bin, value] of other.squares.entries()) addTo(histogram.squares, bin, value);
  for (const [index, value] of other.sums.entries()) addTo(histogram.sums, index, value);
}

function addTo(values: number[], index: number, value: number): void {
  values[index] = (values[index] ?? 0) + value;
}
