/**
 * Keeps a worker's session going whatever its payload does outside a call of `execute`: errors that reach the thread by
 * themselves, promises that never settle. In a worker's thread.
 *
 * States: *sound* → *broken*, for good: the payload cannot be trusted in this thread any more, and the session ends.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
// Not the global ones: a payload may replace them.
import { clearInterval, setInterval } from 'node:timers';
import { describeThrown } from '../../core/errors.ts';
import { TIMEOUT_CHECK_MS, TIMEOUT_GRACE_MS } from '../../core/limits.ts';
import type { PayloadLog } from '../../payloads/payload.ts';
import type { WorkerBoard } from '../board/board-sides.ts';
import type { ExecutionContext } from './event-execution.ts';
import { LATE_ERROR, type LateErrorKind, TIMED_OUT } from './failures.ts';

/** What an execution is given up with when an event of another range, long finished, has broken the thread. */
export const NOT_ITS_FAULT = Object.freeze({ notItsFault: true });

export class PayloadGuard {
  readonly #board: Pick<WorkerBoard, 'timeoutMs' | 'runningMs' | 'noteAborting'>;
  readonly #log: PayloadLog;
  /** tells which event has begun what goes wrong later */
  readonly #executions = new AsyncLocalStorage<ExecutionContext>();
  /** the event in execution, once it is asynchronous */
  #current: ExecutionContext | undefined;
  /** ends the wait for a promise of the payload */
  #giveUp: (error: unknown) => void = () => undefined;
  #broken: { readonly by: unknown } | undefined;
  /** aborts asynchronous events over their time-out, and then gives them up; from the first such event on */
  #watch: NodeJS.Timeout | undefined;

  constructor(board: Pick<WorkerBoard, 'timeoutMs' | 'runningMs' | 'noteAborting'>, log: PayloadLog) {
    this.#board = board;
    this.#log = log;
  }

  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  /** What has broken it. */
  get brokenBy(): unknown {
    return this.#broken?.by;
  }

  /** Asynchronous events are watched no more. */
  close(): void {
    clearInterval(this.#watch);
  }

  /** Calls `execute` so that whatever it begins is known to be of this execution. */
  run<Result>(context: ExecutionContext, execute: () => Result): Result {
    return this.#executions.run(context, execute);
  }

  /** Waits for what `execute` has returned, until something breaks the thread. */
  async settled(pending: PromiseLike<void>, context: ExecutionContext): Promise<void> {
    this.#current = context;
    this.#watch ??= setInterval(() => this.#watchTimeout(), TIMEOUT_CHECK_MS).unref();
    try {
      await this.unlessBroken(pending);
    } finally {
      this.#current = undefined;
    }
  }

  /** Waits for a promise of the payload, until something breaks the thread. */
  unlessBroken<Value>(pending: PromiseLike<Value>): Promise<Value> {
    const broken = new Promise<never>((_, reject) => {
      this.#giveUp = reject;
    });
    return Promise.race([pending, broken]);
  }

  /**
   * An error reached the thread outside `execute`. Fails the event in execution, or the one of the same range that has
   * begun what went wrong. Nobody is charged with what an event of another range has begun: that one is finished, and
   * what is in execution goes back.
   */
  noteLateError(error: unknown, kind: LateErrorKind): void {
    if (this.isBroken) return;
    this.#broken = { by: error };
    const source = this.#executions.getStore();
    const of = source === undefined ? 'an event' : `position ${source.position}`;
    this.#log.error(`${LATE_ERROR[kind]} (begun by ${of}): ${describeThrown(error).message}`);
    const current = this.#current;
    const isOthers = current !== undefined && source !== undefined && source.rangeIndex !== current.rangeIndex;
    this.#giveUp(isOthers ? NOT_ITS_FAULT : { lateError: error, position: source?.position });
  }

  /** An asynchronous event over its time-out. (An endless loop is the supervisor's business.) */
  #watchTimeout(): void {
    const current = this.#current;
    const timeoutMs = this.#board.timeoutMs;
    if (current === undefined || timeoutMs <= 0 || this.isBroken) return;
    const runningMs = this.#board.runningMs();
    if (runningMs <= timeoutMs) return;
    this.#board.noteAborting();
    current.abort(TIMED_OUT);
    // Whoever honours the signal rejects by itself; the rest is given up and its thread not used again.
    const graceMs = current.hasSignal ? TIMEOUT_GRACE_MS : 0;
    if (runningMs <= timeoutMs + graceMs) return;
    this.#broken = { by: TIMED_OUT };
    this.#giveUp(TIMED_OUT);
  }
}
