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

const CHUNK = 65_536;

/** A list of doubles that grows without copying. */
class DoubleList {
  readonly #chunks: Float64Array[] = [];
  #length = 0;

  push(value: number): void {
    const at = this.#length % CHUNK;
    if (at === 0) this.#chunks.push(new Float64Array(CHUNK));
    const chunk = this.#chunks[this.#chunks.length - 1];
    if (chunk !== undefined) chunk[at] = value;
    this.#length += 1;
  }

  get length(): number {
    return this.#length;
  }

  /** NaN outside the list. */
  at(index: number): number {
    return this.#chunks[Math.floor(index / CHUNK)]?.[index % CHUNK] ?? Number.NaN;
  }
}

/** Collects the numbers of a file's events in file order. */
export class NumberTableBuilder {
  readonly #runs = new DoubleList();
  readonly #eventNumbers = new DoubleList();
  readonly #positions = new DoubleList();
  #isSorted = true;

  /** Events without a number (or with one that is no integer) have no entry; a file without run numbers is run 0. */
  add(position: number, eventNumber: number, runNumber: number): void {
    if (!Number.isSafeInteger(eventNumber)) return;
    const run = Number.isSafeInteger(runNumber) ? runNumber : 0;
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
      const column = (list: DoubleList) =>
        Float64Array.from({ length: count }, (_, index) => list.at(order?.[start + index] ?? start + index));
      const entries = {
        runs: column(this.#runs),
        eventNumbers: column(this.#eventNumbers),
        positions: column(this.#positions),
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

  #sortedOrder(count: number): Uint32Array {
    const runs = this.#runs;
    const numbers = this.#eventNumbers;
    const order = Uint32Array.from({ length: count }, (_, index) => index);
    return order.sort((a, b) => runs.at(a) - runs.at(b) || numbers.at(a) - numbers.at(b) || a - b);
  }
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
