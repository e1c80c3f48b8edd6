/**
 * The session of a worker: one long-running task of the pool. Runs in a worker's thread.
 *
 * States: *initializing* (the payload is loaded and `initialize` runs) → *asking* (reports what it closed and receives the
 * next batch, which has come meanwhile, or waits for one; nothing foreign runs) ⇄ *executing* (a batch of tokens; no
 * receive is pending, so the thread may be terminated at any moment) → *leaving* (told to end, due to be recycled, or
 * broken by the payload) → over.
 *
 * What it executes batches with is in `batch-execution.ts`; `payload-guard.ts` keeps it going whatever the payload does.
 */
// Not the global one: a payload may remove that.
import process from 'node:process';
import { assertNever } from '../../core/assert.ts';
import { serialiseError } from '../../core/errors.ts';
import type { FromWorker, LeaveReason, ToWorker } from '../../core/messages.ts';
import type { PayloadDefinition } from '../../payloads/payload.ts';
import type { WorkerBoard, WorkerHook } from '../board/board-sides.ts';
import type { PeerChannel } from '../channel/channel.ts';
import { BatchExecutor, type SessionLog } from './batch-execution.ts';
import type { LateErrorKind } from './failures.ts';
import { PayloadGuard } from './payload-guard.ts';
import type { SessionSettings } from './session-data.ts';
import type { ThreadCpuClock } from './thread-cpu-clock.ts';

/** What a session says and is told; an event that is executed by itself has no scatterer at the other end. */
export type SessionChannel = Pick<PeerChannel<ToWorker, FromWorker>, 'send' | 'receive'>;

export interface SessionParts {
  readonly data: SessionSettings;
  readonly board: WorkerBoard;
  readonly channel: SessionChannel;
  readonly log: SessionLog;
  readonly cpuClock: ThreadCpuClock;
  readonly loadPayload: () => Promise<PayloadDefinition>;
}

export class WorkerSession {
  readonly #parts: SessionParts;
  readonly #board: WorkerBoard;
  readonly #guard: PayloadGuard;
  /** number of the last batch it has begun; finished whenever it asks */
  #batch = 0;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#board = parts.board;
    this.#guard = new PayloadGuard(parts.board, parts.log);
  }

  /**
   * Runs until the session is over. Resolves after the last message is sent, with its reason; `broken` also when the
   * payload could not be initialized, `end` also when nobody needs the session any more before it has begun. Never
   * resolves in a thread that is about to be ended: it could be in the middle of a call of ZeroMQ then.
   */
  async run(): Promise<LeaveReason> {
    const { channel, cpuClock } = this.#parts;
    const startedMs = performance.now();
    if (!this.#board.tryStart()) return 'end';
    let executor: BatchExecutor;
    try {
      executor = await this.#inHook('initialize', () => this.#initialize());
    } catch (error) {
      const cause = this.#guard.isBroken ? this.#guard.brokenBy : error;
      await this.#sendLast({ kind: 'init-failed', error: serialiseError(cause) });
      return 'broken';
    }
    let readyAfterMs: number | null = performance.now() - startedMs;
    try {
      for (;;) {
        if (executor.storageGone !== undefined)
          return await this.#leave(executor, 'storage-gone', executor.storageGone);
        if (this.#guard.isBroken) return await this.#leave(executor, 'broken', this.#guard.brokenBy);
        if (this.#mustRecycle(executor)) return await this.#finalizeAndLeave(executor, 'recycle');
        if (!this.#board.tryEnterWaiting()) return await awaitTermination();
        await channel.send({
          kind: 'ask',
          batch: this.#batch,
          reports: executor.reports.take(),
          readyAfterMs,
          threadCpuMs: cpuClock.nowMs(),
        });
        readyAfterMs = null;
        const received = await channel.receive();
        this.#board.enterRunning();
        if (received === undefined) return 'broken';
        // While it waited: nothing that has come now may be begun here.
        if (this.#guard.isBroken) continue;
        const { message, frames } = received;
        switch (message.kind) {
          case 'tokens':
            this.#batch = message.batch;
            await executor.execute(message, frames);
            break;
          case 'flush':
            executor.closeFiles();
            break;
          case 'end':
            return await this.#finalizeAndLeave(executor, 'end');
          default:
            assertNever(message, 'message to a worker');
        }
      }
    } finally {
      this.#guard.close();
      executor.close();
    }
  }

  /**
   * An error reached the thread outside `execute`: the session ends. One that waits for tokens leaves when it is given
   * some.
   */
  noteLateError(error: unknown, kind: LateErrorKind): void {
    this.#guard.noteLateError(error, kind);
  }

  async #initialize(): Promise<BatchExecutor> {
    const payload = await this.#guard.unlessBroken(this.#parts.loadPayload());
    const executor = new BatchExecutor({ ...this.#parts, guard: this.#guard }, payload);
    await executor.initialize();
    return executor;
  }

  /** The supervisor sees how long it takes. */
  async #inHook<Result>(hook: WorkerHook, call: () => Promise<Result>): Promise<Result> {
    this.#board.beginHook(hook);
    try {
      return await call();
    } finally {
      this.#board.end();
    }
  }

  #mustRecycle({ executedEvents }: BatchExecutor): boolean {
    const { recycleEvents, recycleMemoryBytes } = this.#parts.data;
    if (recycleEvents > 0 && executedEvents >= recycleEvents) return true;
    if (recycleMemoryBytes === 0) return false;
    const memory = process.memoryUsage();
    return memory.heapUsed + memory.external > recycleMemoryBytes;
  }

  async #finalizeAndLeave(executor: BatchExecutor, reason: 'end' | 'recycle'): Promise<LeaveReason> {
    let failed: unknown;
    try {
      executor.closeFiles();
      if (executor.storageGone === undefined) await this.#inHook('finalize', () => this.#finalize(executor));
    } catch (error) {
      failed = error;
    }
    if (executor.storageGone !== undefined) return this.#leave(executor, 'storage-gone', executor.storageGone);
    return this.#leave(executor, this.#guard.isBroken ? 'broken' : reason, failed);
  }

  async #finalize(executor: BatchExecutor): Promise<void> {
    // What is executed counts, whatever becomes of the thread in here.
    const { reports } = executor;
    if (reports.count > 0) await this.#parts.channel.send({ kind: 'closed', reports: reports.take() });
    await executor.finalize();
  }

  async #leave(executor: BatchExecutor, reason: LeaveReason, error: unknown): Promise<LeaveReason> {
    // What is executed counts, as far as its files can be put in place.
    if (reason === 'broken' || reason === 'storage-gone') executor.closeFiles();
    await this.#sendLast({
      kind: 'leave',
      reason,
      reports: executor.reports.take(),
      error: error === undefined ? null : serialiseError(error),
      threadCpuMs: this.#parts.cpuClock.nowMs(),
    });
    return reason;
  }

  /**
   * Sends the last message and waits until the scatterer has it, so that it has come before the thread's end is seen. A
   * batch that was on its way meanwhile goes back with the rest.
   */
  async #sendLast(message: FromWorker): Promise<void> {
    const { channel } = this.#parts;
    if (!this.#board.tryEnterWaiting()) return await awaitTermination();
    await channel.send(message);
    let received = await channel.receive();
    while (received !== undefined && received.message.kind !== 'end') received = await channel.receive();
  }
}

/** The supervisor ends this thread at any moment: nothing native may be called any more. */
function awaitTermination(): Promise<never> {
  return new Promise(() => undefined);
}
