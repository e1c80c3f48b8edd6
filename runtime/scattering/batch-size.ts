/** How many tokens a batch has, by how long executions were so far. On the main thread. */
import {
  BATCH_WORK_MS,
  CREDIT_MAX,
  PROCESS_BATCH_WORK_MS,
  TAIL_BATCH_WORK_MS,
  TAIL_BATCHES_PER_SHARE,
} from '../../core/limits.ts';
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
   * About {@link BATCH_WORK_MS} of work, never more than a fair share of what is queued, and less of it at the tail; one token
   * where events are long, and before anything was measured.
   *
   * @param canTakeBack whether tokens can be taken back from the worker once it has them
   * @param queued atTail: the queue holds all that is left
   */
  next(
    canTakeBack: boolean,
    queued: { readonly count: number; readonly atTail: boolean },
    workerCount: number,
  ): number {
    if (this.#count === 0) return 1;
    const workMs = canTakeBack ? BATCH_WORK_MS : PROCESS_BATCH_WORK_MS;
    const fairShare = Math.ceil(queued.count / Math.max(1, workerCount));
    const share = queued.atTail
      ? Math.max(Math.ceil(fairShare / TAIL_BATCHES_PER_SHARE), Math.min(fairShare, this.#tokensOf(TAIL_BATCH_WORK_MS)))
      : fairShare;
    return Math.max(1, Math.min(this.#tokensOf(workMs), share));
  }

  /** At most {@link CREDIT_MAX}. */
  #tokensOf(workMs: number): number {
    return Math.floor(workMs / Math.max(this.#meanMs, workMs / CREDIT_MAX));
  }
}
