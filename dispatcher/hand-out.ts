/**
 * Which ranges a job gets next: returned ones first (lowest first), then fresh ones in file order. In a task with cost
 * hints the last stretch is handed out longest first, so that no worker begins a long event when the others are done.
 *
 * Outputs made and not yet merged are bounded by withholding fresh ranges. Returned ones are never withheld: the merge
 * may be waiting for just these. Neither is the tail, which is far smaller than the bound, for the same reason.
 */

import { assert } from '../core/assert.ts';
import type { LeasedRange } from '../core/dispatcher-api.ts';
import { eventCountOf } from '../core/event-range.ts';
import { RANGES_PER_CHUNK, SUSPECTS_AT_ONCE, TAIL_RANGES_MAX } from '../core/limits.ts';
import type { HeldJob } from './consumers.ts';
import type { RangePlace } from './range-plan.ts';
import type { RangeTable } from './range-table.ts';
import { attemptOf, failuresOf, isHeld, isOpen, SUBMITTED } from './range-word.ts';

/** Expected cost of a range, in any unit: its bytes, or how long it took in another run. */
export type CostHints = (place: RangePlace) => number;

export class HandOut {
  readonly #table: RangeTable;
  /** fresh ranges, the most expensive last; undefined while the file order holds */
  #tail: number[] | undefined;
  costHints: CostHints | undefined;

  constructor(table: RangeTable) {
    this.#table = table;
  }

  /** Fresh ranges may have appeared behind the cursor: the tail is made anew. */
  forgetTail(): void {
    this.#tail = undefined;
  }

  /** Something could be handed out, but for the bound of unmerged outputs. */
  hasWork(): boolean {
    return this.#table.returned.total > 0 || this.#hasFresh() || this.#nextSuspect() !== undefined;
  }

  /**
   * @param options.freshMax fresh ranges at most
   * @param options.eventsMax stops when so many events are handed out (a range is never cut)
   * @param options.sealed no files will be added: the end of the task can be seen
   */
  next(
    job: HeldJob,
    options: {
      readonly countMax: number;
      readonly freshMax: number;
      readonly eventsMax: number;
      readonly sealed: boolean;
    },
  ): LeasedRange[] {
    const lease = new Lease(this.#table, job, options.countMax, options.eventsMax);
    const cursorBefore = this.#table.cursor;
    const suspect = this.#nextSuspect();
    if (suspect !== undefined && lease.take(suspect)) return lease.alone();
    this.#takeReturned(lease);
    if (this.costHints !== undefined && options.sealed) {
      const tailBegins = this.#table.plan.rangeCount - TAIL_RANGES_MAX;
      this.#takeInFileOrder(lease, tailBegins, options.freshMax);
      if (this.#table.cursor >= tailBegins) this.#takeTail(lease, this.costHints);
    } else this.#takeInFileOrder(lease, this.#table.plan.rangeCount, options.freshMax);
    // Also for nothing taken: what the cursor has passed counts as returned when it opens again, after a death, too.
    if (lease.ranges.length > 0 || this.#table.cursor !== cursorBefore) this.#table.noteProgress();
    return lease.ranges;
  }

  #hasFresh(): boolean {
    if (this.#tail !== undefined) return this.#tail.length > 0;
    return this.#table.cursor < this.#table.plan.rangeCount;
  }

  /** One at a time in the whole task: were it to kill the program again, it would be known. */
  #nextSuspect(): number | undefined {
    const { suspects } = this.#table;
    if (suspects.size === 0) return undefined;
    let next: number | undefined;
    let held = 0;
    for (const suspect of suspects) {
      const word = this.#table.wordAt(suspect);
      if (isHeld(word)) held += 1;
      else if (next === undefined && isOpen(word)) next = suspect;
    }
    return held < SUSPECTS_AT_ONCE ? next : undefined;
  }

  #takeReturned(lease: Lease): void {
    const { returned, suspects } = this.#table;
    for (let index = returned.first(); index !== undefined && !lease.full; index = returned.first()) {
      const chunk = this.#table.chunks.get(index);
      const { firstRange } = chunk;
      let offset = chunk.returnedFrom;
      for (; offset < RANGES_PER_CHUNK && !lease.full && returned.has(index); offset += 1) {
        const word = chunk.wordAt(offset);
        if (!isOpen(word)) continue;
        const rangeIndex = firstRange + offset;
        if (word === SUBMITTED && rangeIndex >= this.#table.cursor) continue;
        if (suspects.has(rangeIndex)) continue;
        lease.take(rangeIndex);
      }
      chunk.returnedFrom = offset;
      assert(offset < RANGES_PER_CHUNK || !returned.has(index), 'a chunk with returned ranges has them');
    }
  }

  #takeInFileOrder(lease: Lease, endRange: number, countMax: number): void {
    const table = this.#table;
    const countBefore = lease.ranges.length;
    while (table.cursor < endRange && !lease.full && lease.ranges.length - countBefore < countMax) {
      const rangeIndex = table.cursor;
      // Before the cursor passes it, or it would count as returned.
      if (table.wordAt(rangeIndex) === SUBMITTED) lease.take(rangeIndex);
      table.cursor = rangeIndex + 1;
    }
  }

  #takeTail(lease: Lease, costHints: CostHints): void {
    if (this.#tail === undefined) this.#tail = this.#sortTail(costHints);
    while (this.#tail.length > 0 && !lease.full) {
      const rangeIndex = this.#tail.pop() as number;
      if (this.#table.wordAt(rangeIndex) === SUBMITTED) lease.take(rangeIndex);
    }
  }

  #sortTail(costHints: CostHints): number[] {
    const { cursor, plan } = this.#table;
    const costs = new Map<number, number>();
    for (let rangeIndex = cursor; rangeIndex < plan.rangeCount; rangeIndex += 1) {
      if (this.#table.wordAt(rangeIndex) === SUBMITTED) costs.set(rangeIndex, costHints(plan.locate(rangeIndex)));
    }
    // Equal ones in file order.
    return [...costs.keys()].sort(
      (left, right) => (costs.get(left) as number) - (costs.get(right) as number) || right - left,
    );
  }
}

/** What one request gets. */
class Lease {
  readonly ranges: LeasedRange[] = [];
  readonly #table: RangeTable;
  readonly #job: HeldJob;
  readonly #countMax: number;
  #eventsLeft: number;

  constructor(table: RangeTable, job: HeldJob, countMax: number, eventsMax: number) {
    this.#table = table;
    this.#job = job;
    this.#countMax = countMax;
    this.#eventsLeft = eventsMax;
  }

  get full(): boolean {
    return this.ranges.length >= this.#countMax || this.#eventsLeft <= 0;
  }

  take(rangeIndex: number): boolean {
    const word = this.#table.send(rangeIndex, this.#job);
    if (word < 0) return false;
    const place = this.#table.plan.locate(rangeIndex);
    const events = eventCountOf(place);
    this.#eventsLeft -= events;
    this.#job.eventsHandedOut += events;
    this.ranges.push({
      rangeIndex,
      fileIndex: place.fileIndex,
      startEvent: place.startEvent,
      lastEvent: place.lastEvent,
      attemptNr: attemptOf(word),
      failures: failuresOf(word),
    });
    return true;
  }

  /** A suspect goes to its consumer with a mark, and nothing beside it. */
  alone(): LeasedRange[] {
    this.#table.noteProgress();
    return this.ranges.map((range) => ({ ...range, suspect: true }));
  }
}
