/** How many tokens a batch has, by how long executions were so far. On the main thread. */
import { BATCH_WORK_MS, CREDIT_MAX, PROCESS_BATCH_WORK_MS } from '../../core/limits.ts';
import type { RangeReport } from '../../core/messages.ts';

/** Executions that the mean remembers: lengths may drift along a file. */
const REMEMBERED_EXECUTIONS = 64;

export class BatchSize {
  #meanMs = 0;
  #count = 0;

  /** Mean time in `execute` per range of late, in ms; 0 before the first. */
  get meanMs(): number {
    return this.#meanMs;
  }

  learn(reports: readonly RangeReport[]): void {
    if (reports.length === 0) return;
    let totalMs = 0;
    for (const { wallMs } of reports) totalMs += wallMs;
    const weight = Math.min(1, Math.max(reports.length / REMEMBERED_EXECUTIONS, 1 / (this.#count + 1)));
    this.#meanMs += weight * (totalMs / reports.length - this.#meanMs);
    this.#count += reports.length;
  }

  /**
   * About {@link BATCH_WORK_MS} of work, never more than a fair share of what is queued; one token where events are long,
   * and before anything was measured.
   *
   * @param canTakeBack whether tokens can be taken back from the worker once it has them
   */
  next(canTakeBack: boolean, queuedCount: number, workerCount: number): number {
    if (this.#count === 0) return 1;
    const workMs = canTakeBack ? BATCH_WORK_MS : PROCESS_BATCH_WORK_MS;
    const byTime = Math.floor(workMs / Math.max(this.#meanMs, workMs / CREDIT_MAX));
    const fairShare = Math.ceil(queuedCount / Math.max(1, workerCount));
    return Math.max(1, Math.min(byTime, fairShare, CREDIT_MAX));
  }
}
