/**
 * How far to look ahead, in bytes: enough that a request begun now is answered before its events are wanted, which is
 * the consumption rate times the time a request takes, with a margin; no more than the budget. A consumer that had to
 * wait all the same doubles the margin; it shrinks again while nobody waits.
 */
import { PREFETCH_GROUP_BYTES_MAX, PREFETCH_GROUP_BYTES_MIN, PREFETCH_WINDOW_BYTES_MIN } from '../../core/limits.ts';

/** Requests' worth of consumption kept ahead at the least: one under way, one waiting, one for bad luck. */
const MARGIN = 3;
/** The margin shrinks by this factor per interval without a wait, and back to no less than one. */
const CALM = 0.95;
/** Part of the budget that is looked ahead while neither consumption nor requests have been measured. */
const UNMEASURED_SHARE = 0.25;
const SMOOTHING = 0.3;
const INTERVAL_MS = 100;
/** The window holds this many requests, so that some are under way while others are consumed. */
const REQUESTS_PER_WINDOW = 4;

export class PrefetchWindow {
  readonly #budgetBytes: number;
  #requestMs: number | undefined;
  #bytesPerMs: number | undefined;
  #boost = 1;
  #intervalStartMs: number | undefined;
  #intervalBytes = 0;
  #waitedInInterval = false;
  #firstGroupsBytes = PREFETCH_GROUP_BYTES_MIN;

  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes;
  }

  /** Bytes to have fetched or under way beyond what was handed out. Before anything is measured, a share of the budget. */
  get bytes(): number {
    const needed =
      this.#bytesPerMs === undefined || this.#requestMs === undefined
        ? this.#budgetBytes * UNMEASURED_SHARE
        : MARGIN * this.#bytesPerMs * this.#requestMs;
    return Math.min(this.#budgetBytes, this.#boost * Math.max(PREFETCH_WINDOW_BYTES_MIN, needed));
  }

  /** Bytes to ask for at once: little at first, so that the first events are here early, then twice as much each time. */
  get groupBytes(): number {
    const share = Math.min(this.#firstGroupsBytes, this.bytes / REQUESTS_PER_WINDOW);
    return Math.max(PREFETCH_GROUP_BYTES_MIN, Math.min(PREFETCH_GROUP_BYTES_MAX, share));
  }

  /** A request was sent. */
  requestBegun(): void {
    if (this.#firstGroupsBytes < PREFETCH_GROUP_BYTES_MAX) this.#firstGroupsBytes *= 2;
  }

  /** A request took so long, from being asked to its last byte. */
  requestTook(ms: number): void {
    this.#requestMs = this.#requestMs === undefined ? ms : this.#requestMs + SMOOTHING * (ms - this.#requestMs);
  }

  /** Events of so many bytes were handed out. @param waited the consumer had to wait for a request under way */
  handedOut(sizeBytes: number, waited: boolean, nowMs: number): void {
    this.#intervalStartMs ??= nowMs;
    this.#intervalBytes += sizeBytes;
    if (waited && !this.#waitedInInterval) {
      // Doubling once per interval: several consumers that wait for one late request are one piece of news.
      this.#waitedInInterval = true;
      if (this.bytes < this.#budgetBytes) this.#boost *= 2;
    }
    const elapsedMs = nowMs - this.#intervalStartMs;
    if (elapsedMs < INTERVAL_MS) return;
    const rate = this.#intervalBytes / elapsedMs;
    this.#bytesPerMs = this.#bytesPerMs === undefined ? rate : this.#bytesPerMs + SMOOTHING * (rate - this.#bytesPerMs);
    if (!this.#waitedInInterval) this.#boost = Math.max(1, this.#boost * CALM);
    this.#intervalStartMs = nowMs;
    this.#intervalBytes = 0;
    this.#waitedInInterval = false;
  }
}
