/**
 * Which position has which run and event number, packed: entries sorted by run, event number and position, in blocks
 * of {@link EVENTS_PER_BLOCK}, and *fences*: the run and event number each block begins with, by which it is found.
 * Events numbered in file order cost next to nothing.
 *
 * ```text
 * block = flags, run (zigzag) and event number (zigzag) and position of the first entry,
 *         [runs: difference to the entry before], [event numbers: difference, zigzag], [positions: difference, zigzag]
 * ```
 *
 * For each of the three columns, two bits of the flags (runs lowest) say how its differences are written: 0 all are 0,
 * 1 all are 1, 2 each is written.
 */
import { EVENTS_PER_BLOCK } from './place-blocks.ts';
import { VarintReader, VarintWriter } from './varint.ts';

/** Run and event number each block of a file begins with, in order. */
export interface Fences {
  readonly runs: Float64Array;
  readonly eventNumbers: Float64Array;
}

export interface NumberTable {
  readonly blocks: readonly Uint8Array[];
  readonly fences: Fences;
  readonly entryCount: number;
  /** run and event number of the first and of the last entry; NaN without entries */
  readonly first: readonly [number, number];
  readonly last: readonly [number, number];
}

export interface NumberBlock {
  readonly runs: Float64Array;
  readonly eventNumbers: Float64Array;
  readonly positions: Float64Array;
}

/** Differences of such numbers, zigzag-coded, are still exact in a double. */
const NUMBER_MAX = 2 ** 51;
const CHUNK = 65_536;
/** It grows to a whole one: most files of many are small. */
const FIRST_CHUNK = 64;

/**
 * A list of doubles that grows without copying, and takes no memory as long as all values are the implied ones: run
 * numbers mostly are all alike, and positions mostly count up.
 */
class DoubleList {
  readonly #implied: (index: number) => number;
  #chunks: Float64Array[] | undefined;
  #length = 0;

  constructor(implied: (index: number) => number) {
    this.#implied = implied;
  }

  push(value: number): void {
    if (this.#chunks === undefined) {
      if (value === this.#implied(this.#length)) {
        this.#length += 1;
        return;
      }
      this.#materialise();
    }
    this.#append(value);
  }

  get length(): number {
    return this.#length;
  }

  toArray(): Float64Array {
    return this.slice(0, this.#length, undefined);
  }

  /** `count` values from `start` on, or those at `places`. */
  slice(start: number, count: number, places: ArrayLike<number> | undefined): Float64Array {
    const slice = new Float64Array(count);
    for (let index = 0; index < count; index += 1) slice[index] = this.at(places?.[index] ?? start + index);
    return slice;
  }

  /** NaN outside the list. */
  at(index: number): number {
    if (this.#chunks === undefined) return index >= 0 && index < this.#length ? this.#implied(index) : Number.NaN;
    return this.#chunks[Math.floor(index / CHUNK)]?.[index % CHUNK] ?? Number.NaN;
  }

  #materialise(): void {
    const count = this.#length;
    this.#chunks = [];
    this.#length = 0;
    for (let index = 0; index < count; index += 1) this.#append(this.#implied(index));
  }

  #append(value: number): void {
    const chunks = this.#chunks ?? [];
    const at = this.#length % CHUNK;
    if (at === 0) chunks.push(new Float64Array(chunks.length === 0 ? FIRST_CHUNK : CHUNK));
    let chunk = chunks[chunks.length - 1] ?? new Float64Array(0);
    if (at === chunk.length) {
      const larger = new Float64Array(2 * at);
      larger.set(chunk);
      chunk = larger;
      chunks[chunks.length - 1] = larger;
    }
    chunk[at] = value;
    this.#length += 1;
  }
}

/** Collects the numbers of a file's events in file order. */
export class NumberTableBuilder {
  readonly #runs = new DoubleList(() => 0);
  readonly #eventNumbers = new DoubleList(() => Number.NaN);
  readonly #positions = new DoubleList((index) => index + 1);
  #isSorted = true;

  /**
   * Events without a number, or with one that is no integer within ±2^51, have no entry; those without a run number
   * count as run 0.
   */
  add(position: number, eventNumber: number, runNumber: number): void {
    if (!isIndexable(eventNumber)) return;
    const run = isIndexable(runNumber) ? runNumber : 0;
    const last = this.#runs.length - 1;
    if (last >= 0) {
      const lastRun = this.#runs.at(last);
      if (run < lastRun || (run === lastRun && eventNumber < this.#eventNumbers.at(last))) this.#isSorted = false;
    }
    this.#runs.push(run);
    this.#eventNumbers.push(eventNumber);
    this.#positions.push(position);
  }

  finish(): NumberTable {
    const entryCount = this.#runs.length;
    const order = this.#isSorted ? undefined : this.#sortedOrder(entryCount);
    const blockCount = Math.ceil(entryCount / EVENTS_PER_BLOCK);
    const fences = { runs: new Float64Array(blockCount), eventNumbers: new Float64Array(blockCount) };
    const blocks: Uint8Array[] = [];
    const writer = new VarintWriter();
    for (let block = 0; block < blockCount; block += 1) {
      const start = block * EVENTS_PER_BLOCK;
      const count = Math.min(EVENTS_PER_BLOCK, entryCount - start);
      const places = order?.subarray(start, start + count);
      const entries = {
        runs: this.#runs.slice(start, count, places),
        eventNumbers: this.#eventNumbers.slice(start, count, places),
        positions: this.#positions.slice(start, count, places),
      };
      fences.runs[block] = entries.runs[0] ?? 0;
      fences.eventNumbers[block] = entries.eventNumbers[0] ?? 0;
      blocks.push(packNumberBlock(entries, writer));
    }
    const numbersAt = (index: number): [number, number] => {
      const at = order?.[index] ?? index;
      return [this.#runs.at(at), this.#eventNumbers.at(at)];
    };
    return { blocks, fences, entryCount, first: numbersAt(0), last: numbersAt(entryCount - 1) };
  }

  /** Indices in the order of run, event number and place in the list. */
  #sortedOrder(count: number): Float64Array | Uint32Array {
    const runs = this.#runs.toArray();
    const numbers = this.#eventNumbers.toArray();
    let smallest = Infinity;
    let largest = -Infinity;
    for (const number of numbers) {
      smallest = Math.min(smallest, number);
      largest = Math.max(largest, number);
    }
    const hasOneRun = runs.every((run) => run === runs[0]);
    if (!hasOneRun || (largest - smallest + 1) * count > Number.MAX_SAFE_INTEGER) {
      const order = Uint32Array.from({ length: count }, (_, index) => index);
      return order.sort((a, b) => (runs[a] ?? 0) - (runs[b] ?? 0) || (numbers[a] ?? 0) - (numbers[b] ?? 0) || a - b);
    }
    // Number and index in one double: sorted natively, without a call per comparison.
    const keys = numbers.map((number, index) => (number - smallest) * count + index).sort();
    return keys.map((key) => key % count);
  }
}

function isIndexable(number: number): boolean {
  return Number.isInteger(number) && Math.abs(number) <= NUMBER_MAX;
}

function packNumberBlock(entries: NumberBlock, writer: VarintWriter): Uint8Array {
  const columns = [entries.runs, entries.eventNumbers, entries.positions];
  const modes = columns.map(differenceMode);
  writer.byte((modes[0] ?? 0) | ((modes[1] ?? 0) << 2) | ((modes[2] ?? 0) << 4));
  for (const column of columns) writer.signed(column[0] ?? 0);
  columns.forEach((column, which) => {
    if (modes[which] !== 2) return;
    for (let index = 1; index < column.length; index += 1)
      writer.signed((column[index] ?? 0) - (column[index - 1] ?? 0));
  });
  return writer.take();
}

/** 0 or 1 when all differences are that, 2 otherwise. */
function differenceMode(column: Float64Array): number {
  const first = column.length > 1 ? (column[1] ?? 0) - (column[0] ?? 0) : 0;
  if (first !== 0 && first !== 1) return 2;
  for (let index = 2; index < column.length; index += 1) {
    if ((column[index] ?? 0) - (column[index - 1] ?? 0) !== first) return 2;
  }
  return first;
}

/** @param count entries in the block */
export function unpackNumberBlock(bytes: Uint8Array, count: number): NumberBlock {
  const reader = new VarintReader(bytes);
  const flags = reader.byte();
  const firsts = [reader.signed(), reader.signed(), reader.signed()];
  const columns = firsts.map((first, which) => {
    const mode = (flags >> (2 * which)) & 3;
    const column = new Float64Array(count);
    let value = first;
    column[0] = value;
    for (let index = 1; index < count; index += 1) {
      value += mode === 2 ? reader.signed() : mode;
      column[index] = value;
    }
    return column;
  });
  const [runs = new Float64Array(0), eventNumbers = new Float64Array(0), positions = new Float64Array(0)] = columns;
  return { runs, eventNumbers, positions };
}

/**
 * Index of the block to begin looking for (run, event number) in: the last whose fence lies before it, since equal
 * entries may have begun there.
 */
export function findBlock(fences: Fences, run: number, eventNumber: number): number {
  let low = 0;
  let high = fences.runs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const fenceRun = fences.runs[middle] ?? 0;
    const isBefore = fenceRun < run || (fenceRun === run && (fences.eventNumbers[middle] ?? 0) < eventNumber);
    if (isBefore) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

/** Index of the first entry not before (run, event number); the count of entries if there is none. */
export function findEntry(block: NumberBlock, run: number, eventNumber: number): number {
  let low = 0;
  let high = block.runs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entryRun = block.runs[middle] ?? 0;
    const isBefore = entryRun < run || (entryRun === run && (block.eventNumbers[middle] ?? 0) < eventNumber);
    if (isBefore) low = middle + 1;
    else high = middle;
  }
  return low;
}
