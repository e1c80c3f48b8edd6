/**
 * Where the ranges of a task lie: `rangeIndex` ↔ (file, positions) and `rangeIndex` → output, by arithmetic over the
 * rows of its files. Nothing is stored per range, so 10^8 of them cost what their files cost.
 */

import { assert } from '../core/assert.ts';
import type { TaskFile } from '../core/dispatcher-api.ts';
import { eventCountOf } from '../core/event-range.ts';

/** Positions are 1-based, both ends included. */
export interface RangePlace {
  readonly fileIndex: number;
  readonly startEvent: number;
  readonly lastEvent: number;
}

/** Half-open stretch of ranges. */
export interface RangeSpan {
  readonly firstRange: number;
  readonly endRange: number;
}

/** What arithmetic needs of a file. */
export type PlannedFile = Pick<TaskFile, 'eventCount' | 'selection'>;

/** Chosen intervals of one file, with the number of ranges before each, counted within the file. */
interface Selection {
  readonly first: readonly number[];
  readonly last: readonly number[];
  readonly rangesBefore: readonly number[];
}

/** Index of the last entry that is not above `value`, in a sorted list whose first entry is not. */
function lastNotAbove(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if ((sorted[middle] as number) <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

export class RangePlan {
  readonly eventsPerRange: number;
  /** undefined: one output per file */
  readonly #rangesPerOutput: number | undefined;
  /** first range of each file, and the end of the last */
  readonly #firstRanges: number[] = [0];
  readonly #eventCounts: number[] = [];
  readonly #selections = new Map<number, Selection>();
  #selectedEventCount = 0;
  /** the file looked at last: consecutive ranges mostly lie in one file */
  #lastFile = 0;

  /**
   * @param eventsPerOutput outputs are cut after this many events, whatever file they come from (rounded up to whole
   * ranges); one output per file when undefined
   */
  constructor(eventsPerRange: number, eventsPerOutput?: number) {
    assert(Number.isSafeInteger(eventsPerRange) && eventsPerRange > 0, 'a range has events');
    this.eventsPerRange = eventsPerRange;
    this.#rangesPerOutput = eventsPerOutput === undefined ? undefined : Math.ceil(eventsPerOutput / eventsPerRange);
  }

  get fileCount(): number {
    return this.#eventCounts.length;
  }

  get rangeCount(): number {
    return this.#firstRanges.at(-1) as number;
  }

  /** chosen events of all files */
  get eventCount(): number {
    return this.#selectedEventCount;
  }

  add(file: PlannedFile): void {
    const fileIndex = this.fileCount;
    const intervals = file.selection ?? (file.eventCount > 0 ? [[1, file.eventCount] as const] : []);
    const rangesBefore: number[] = [];
    let ranges = 0;
    for (const [first, last] of intervals) {
      rangesBefore.push(ranges);
      ranges += Math.ceil((last - first + 1) / this.eventsPerRange);
      this.#selectedEventCount += last - first + 1;
    }
    if (file.selection !== undefined) {
      const first = intervals.map((interval) => interval[0]);
      const last = intervals.map((interval) => interval[1]);
      this.#selections.set(fileIndex, { first, last, rangesBefore });
    }
    this.#eventCounts.push(file.eventCount);
    this.#firstRanges.push(this.rangeCount + ranges);
  }

  fileOf(rangeIndex: number): number {
    const guess = this.#lastFile;
    if (rangeIndex >= (this.#firstRanges[guess] as number) && rangeIndex < (this.#firstRanges[guess + 1] ?? 0)) {
      return guess;
    }
    this.#lastFile = lastNotAbove(this.#firstRanges, rangeIndex);
    return this.#lastFile;
  }

  locate(rangeIndex: number): RangePlace {
    const fileIndex = this.fileOf(rangeIndex);
    const inFile = rangeIndex - (this.#firstRanges[fileIndex] as number);
    const selection = this.#selections.get(fileIndex);
    let startEvent = 1 + inFile * this.eventsPerRange;
    let end = this.#eventCounts[fileIndex] as number;
    if (selection !== undefined) {
      const interval = lastNotAbove(selection.rangesBefore, inFile);
      const before = selection.rangesBefore[interval] as number;
      startEvent = (selection.first[interval] as number) + (inFile - before) * this.eventsPerRange;
      end = selection.last[interval] as number;
    }
    return { fileIndex, startEvent, lastEvent: Math.min(end, startEvent + this.eventsPerRange - 1) };
  }

  eventCountOf(rangeIndex: number): number {
    if (this.eventsPerRange === 1) return 1;
    return eventCountOf(this.locate(rangeIndex));
  }

  /** The range that holds the event at a 1-based position; undefined for one that is not chosen or does not exist. */
  rangeAt(fileIndex: number, position: number): number | undefined {
    const firstRange = this.#firstRanges[fileIndex];
    const eventCount = this.#eventCounts[fileIndex];
    if (firstRange === undefined || eventCount === undefined || position < 1 || position > eventCount) return undefined;
    const selection = this.#selections.get(fileIndex);
    if (selection === undefined) return firstRange + Math.floor((position - 1) / this.eventsPerRange);
    const interval = selection.first.findLastIndex((first) => first <= position);
    if (interval < 0 || position > (selection.last[interval] as number)) return undefined;
    const start = selection.first[interval] as number;
    const before = selection.rangesBefore[interval] as number;
    return firstRange + before + Math.floor((position - start) / this.eventsPerRange);
  }

  /** 0-based place of the output that the range belongs to. */
  outputOf(rangeIndex: number): number {
    return this.#rangesPerOutput === undefined
      ? this.fileOf(rangeIndex)
      : Math.floor(rangeIndex / this.#rangesPerOutput);
  }

  /** The last output of a task that still gets files may end later than this says. */
  outputSpan(outputIndex: number): RangeSpan {
    if (this.#rangesPerOutput === undefined) return this.fileSpan(outputIndex);
    const firstRange = outputIndex * this.#rangesPerOutput;
    return { firstRange, endRange: Math.min(this.rangeCount, firstRange + this.#rangesPerOutput) };
  }

  /** True when files added later can still extend the output. */
  mayGrow(outputIndex: number): boolean {
    return this.#rangesPerOutput !== undefined && (outputIndex + 1) * this.#rangesPerOutput > this.rangeCount;
  }

  get outputCount(): number {
    return this.#rangesPerOutput === undefined ? this.fileCount : Math.ceil(this.rangeCount / this.#rangesPerOutput);
  }

  fileSpan(fileIndex: number): RangeSpan {
    const firstRange = this.#firstRanges[fileIndex];
    const endRange = this.#firstRanges[fileIndex + 1];
    assert(firstRange !== undefined && endRange !== undefined, `the task has a file ${fileIndex}`);
    return { firstRange, endRange };
  }
}
