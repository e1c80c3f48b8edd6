/**
 * The supervisor: watches what workers execute, on the main thread. Ends executions over their time-out, and workers that
 * do nothing although they should; at the tail of a run, starts a second copy of an event that runs much longer than
 * others while cores idle.
 *
 * It looks at the execution boards every {@link TIMEOUT_CHECK_MS}; workers are not disturbed.
 */
import { createHistogram } from 'node:perf_hooks';
import {
  DEAF_MS_MIN,
  EVENTS_FOR_MEDIAN,
  TIMEOUT_CHECK_MS,
  TIMEOUT_GRACE_MS,
  TIMEOUT_STUCK_MS,
} from '../../core/limits.ts';
import type { RangeReport } from '../../core/messages.ts';
import { boardTimeMs } from '../board/board-clock.ts';
import { multipleOfMedianMs, type TimeoutRule } from '../options/option-rules.ts';
import type { TokenScatterer } from '../scattering/token-scatterer.ts';
import { GIVEN_UP, TIMED_OUT } from '../worker/failures.ts';
import type { WorkerPool } from './worker-pool.ts';

/** A copy is worth it when an event runs longer than this multiple of the 95th percentile. */
const SPECULATION_FACTOR = 2;
/** Shorter events are not worth a copy. */
const SPECULATION_MS_MIN = 200;

export interface SupervisorOptions {
  readonly timeout: TimeoutRule;
  /** longest `initialize` or `finalize` of a worker */
  readonly hookTimeoutMs: number;
  readonly speculate: boolean;
}

export class Supervisor {
  readonly #scatterer: TokenScatterer;
  readonly #pool: Pick<WorkerPool, 'terminate' | 'endHung' | 'endDeaf'>;
  readonly #options: SupervisorOptions;
  /** execution times in microseconds (HDR histogram) */
  readonly #lengths = createHistogram();
  /** ranges with a copy under way, and which executions are then not needed any more */
  readonly #copied = new Set<number>();
  #timer: NodeJS.Timeout | undefined;
  #timeoutMs = 0;
  /** when everything is to be over ({@link boardTimeMs}); executions that will not be are given up */
  #deadlineMs = Number.POSITIVE_INFINITY;
  /** true when nothing is left to hand out */
  #atTail = false;
  #copyCount = 0;

  constructor(
    scatterer: TokenScatterer,
    pool: Pick<WorkerPool, 'terminate' | 'endHung' | 'endDeaf'>,
    options: SupervisorOptions,
  ) {
    this.#scatterer = scatterer;
    this.#pool = pool;
    this.#options = options;
    if (options.timeout.kind === 'fixed') this.#timeoutMs = options.timeout.timeoutMs;
  }

  start(): void {
    this.#timer = setInterval(() => this.#check(), TIMEOUT_CHECK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Time-out in force, in ms; 0 while there is none. */
  get timeoutMs(): number {
    return this.#timeoutMs;
  }

  /** Copies started so far. */
  get copyCount(): number {
    return this.#copyCount;
  }

  setAtTail(atTail: boolean): void {
    this.#atTail = atTail;
  }

  /** Execution time of which a part `percentile` (0..100) of ranges is not longer, in ms; 0 before the first. */
  percentileMs(percentile: number): number {
    return this.#lengths.count === 0 ? 0 : this.#lengths.percentile(percentile) / 1000;
  }

  /** From now on executions that by the usual length will not be over in `timeLeftMs` are given up, at no cost. */
  endBy(timeLeftMs: number): void {
    this.#deadlineMs = boardTimeMs() + timeLeftMs;
    this.#giveUpLate();
  }

  noteReports(reports: readonly RangeReport[]): void {
    for (const report of reports) {
      if (report.kind === 'finished') this.#lengths.record(Math.max(1, Math.round(report.wallMs * 1000)));
      if (this.#copied.size > 0 && this.#copied.delete(report.rangeIndex)) this.#endLosers(report.rangeIndex);
    }
    const rule = this.#options.timeout;
    if (rule.kind === 'median-multiple' && this.#timeoutMs === 0 && this.#lengths.count >= EVENTS_FOR_MEDIAN) {
      this.#timeoutMs = multipleOfMedianMs(rule.factor, this.percentileMs(50));
      this.#scatterer.setTimeoutMs(this.#timeoutMs);
    }
  }

  #check(): void {
    const nowMs = boardTimeMs();
    this.#pool.endHung(this.#options.hookTimeoutMs);
    this.#pool.endDeaf(this.#deafMs / TIMEOUT_CHECK_MS);
    for (const { workerIndex, execution } of this.#scatterer.executing()) {
      if (this.#timeoutMs === 0) break;
      // A worker that notices by itself gets time to end its children; an endless loop notices nothing.
      const allowanceMs = this.#scatterer.isAborting(workerIndex, execution)
        ? TIMEOUT_GRACE_MS + TIMEOUT_STUCK_MS
        : TIMEOUT_STUCK_MS;
      if (nowMs - execution.startedAtMs > this.#timeoutMs + allowanceMs) {
        this.#pool.terminate(workerIndex, {
          cause: 'timeout',
          message: `${TIMED_OUT.message} of ${Math.round(this.#timeoutMs)} ms`,
          logTail: [],
        });
      }
    }
    if (this.#deadlineMs < Number.POSITIVE_INFINITY) this.#giveUpLate();
    else if (this.#options.speculate && this.#atTail) this.#speculate(nowMs);
  }

  /** What a worker does between two events may take as long as an event. */
  get #deafMs(): number {
    return Math.max(DEAF_MS_MIN, this.#timeoutMs > 0 ? this.#timeoutMs : this.#options.hookTimeoutMs);
  }

  #giveUpLate(): void {
    const usualMs = this.percentileMs(95);
    for (const { workerIndex, execution } of this.#scatterer.executing()) {
      if (execution.startedAtMs + usualMs <= this.#deadlineMs) continue;
      this.#scatterer.giveUp(workerIndex);
      this.#pool.terminate(workerIndex, GIVEN_UP);
    }
  }

  #speculate(nowMs: number): void {
    if (this.#scatterer.waitingCount === 0 || this.#lengths.count < EVENTS_FOR_MEDIAN) return;
    const suspiciousMs = Math.max(SPECULATION_MS_MIN, SPECULATION_FACTOR * this.percentileMs(95));
    for (const { held, execution } of this.#scatterer.executing()) {
      if (held.copy || this.#copied.has(held.token.rangeIndex)) continue;
      if (nowMs - execution.startedAtMs < suspiciousMs) continue;
      if (!this.#scatterer.speculate(held)) return;
      this.#copied.add(held.token.rangeIndex);
      this.#copyCount += 1;
    }
  }

  /** The first result of a copied range is in: whoever still executes it works for nothing. */
  #endLosers(rangeIndex: number): void {
    for (const { workerIndex, held } of this.#scatterer.executing()) {
      if (held.token.rangeIndex !== rangeIndex) continue;
      this.#pool.terminate(workerIndex, {
        cause: 'cancelled',
        message: 'another copy of the event finished first',
        logTail: [],
      });
    }
  }
}
