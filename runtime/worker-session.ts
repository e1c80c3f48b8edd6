/**
 * The session of a worker: one long-running task of the pool. Runs in a worker's thread.
 *
 * States: *initializing* (the payload is loaded and `initialize` runs) → *asking* (reports what it closed and receives the
 * next batch, which has come meanwhile, or waits for one; nothing foreign runs) ⇄ *executing* (a batch of tokens; no
 * receive is pending, so the thread may be terminated at any moment) → *leaving* (told to end, due to be recycled, or broken by the payload) → over.
 *
 * Within a batch the loop is synchronous as long as `execute` is: no promise, no timer, no message per event.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { assertNever } from '../core/assert.ts';
import type { Failure } from '../core/dispatcher-api.ts';
import { describeThrown, serialiseError } from '../core/errors.ts';
import { formatEventRangeID } from '../core/ids.ts';
import { TIMEOUT_CHECK_MS, TIMEOUT_GRACE_MS } from '../core/limits.ts';
import type { FromWorker, RangeToken, ToWorker, WorkerTokens } from '../core/messages.ts';
import type { PayloadDefinition, PayloadLog, WorkerContext } from '../payloads/payload.ts';
import type { PeerChannel } from './channel.ts';
import { ExecutedEvent, ExecutionContext } from './event-execution.ts';
import type { WorkerBoard, WorkerHook } from './execution-board.ts';
import { failureOf, LATE_ERROR, type LateErrorKind, TIMED_OUT } from './failures.ts';
import { IncidentNotifier } from './incidents.ts';
import { OutputSequencer } from './output-sequencer.ts';
import { RangeReports } from './range-reports.ts';
import type { SessionSettings } from './session-data.ts';
import type { ThreadCpuClock } from './thread-cpu-clock.ts';
import { eventBytes, type KnownFile, WorkerFiles } from './worker-files.ts';
import type { WorkerLog } from './worker-log.ts';

/** How a session ends; see {@link WorkerSession.run}. */
export type SessionEnd = 'end' | 'recycle' | 'broken';

interface BegunRange {
  readonly token: RangeToken;
  readonly copy: boolean;
  readonly startedMs: number;
}

/** What an execution is given up with when an event of another range, long finished, has broken the thread. */
const NOT_ITS_FAULT = Object.freeze({ notItsFault: true });

/** What a session says and is told; an event that is executed by itself has no scatterer at the other end. */
export type SessionChannel = Pick<PeerChannel<ToWorker, FromWorker>, 'send' | 'receive'>;

/** Where its payload logs to. */
export type SessionLog = PayloadLog & Pick<WorkerLog, 'beginRange' | 'tail'>;

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
  readonly #files = new WorkerFiles();
  readonly #executions = new AsyncLocalStorage<ExecutionContext>();
  readonly #reports = new RangeReports();
  #payload!: PayloadDefinition;
  #sequencer!: OutputSequencer;
  #context!: WorkerContext<unknown, unknown>;
  #incidents!: IncidentNotifier;
  /** the event in execution, once it is asynchronous */
  #current: ExecutionContext | undefined;
  /** ends the wait for a promise of the payload */
  #giveUp: (error: unknown) => void = () => undefined;
  #executedEvents = 0;
  /** number of the last batch it has begun; finished whenever it asks */
  #batch = 0;
  /** set when the payload cannot be trusted in this thread any more */
  #broken: unknown;
  #isBroken = false;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#board = parts.board;
  }

  /**
   * Runs until the session is over. Resolves after the last message is sent, with its reason; `broken` also when the
   * payload could not be initialized, `end` also when nobody needs the session any more before it has begun. Never
   * resolves in a thread that is about to be ended: it could be in the middle of a call of ZeroMQ then.
   */
  async run(): Promise<SessionEnd> {
    const { channel, cpuClock } = this.#parts;
    const startedMs = performance.now();
    if (!this.#board.tryStart()) return 'end';
    try {
      await this.#inHook('initialize', () => this.#initialize());
    } catch (error) {
      await this.#sendLast({ kind: 'init-failed', error: serialiseError(this.#isBroken ? this.#broken : error) });
      return 'broken';
    }
    const watch = setInterval(() => this.#watchTimeout(), TIMEOUT_CHECK_MS);
    watch.unref();
    let readyAfterMs: number | null = performance.now() - startedMs;
    try {
      for (;;) {
        if (this.#isBroken) return await this.#leave('broken', this.#broken);
        if (this.#mustRecycle()) return await this.#finalizeAndLeave('recycle');
        if (!this.#board.tryEnterWaiting()) return await awaitTermination();
        await channel.send({
          kind: 'ask',
          batch: this.#batch,
          reports: this.#reports.take(),
          readyAfterMs,
          threadCpuMs: cpuClock.nowMs(),
        });
        readyAfterMs = null;
        const received = await channel.receive();
        this.#board.enterRunning();
        if (received === undefined) return 'broken';
        // While it waited: nothing that has come now may be begun here.
        if (this.#isBroken) continue;
        const { message, frames } = received;
        switch (message.kind) {
          case 'tokens':
            await this.#executeBatch(message, frames);
            break;
          case 'flush':
            this.#closeFiles();
            break;
          case 'end':
            return await this.#finalizeAndLeave('end');
          default:
            assertNever(message, 'message to a worker');
        }
      }
    } finally {
      clearInterval(watch);
      this.#files.close();
    }
  }

  /**
   * An error reached the thread outside `execute`. Fails the event in execution, or the one of the same range that has
   * begun what went wrong, and ends the session. Nobody is charged with what an event of another range has begun: that
   * one is finished, and what is in execution goes back. A session that waits for tokens leaves when it is given some.
   */
  noteLateError(error: unknown, kind: LateErrorKind): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#broken = error;
    const source = this.#executions.getStore();
    const of = source === undefined ? 'an event' : `position ${source.position}`;
    this.#parts.log.error(`${LATE_ERROR[kind]} (begun by ${of}): ${describeThrown(error).message}`);
    const current = this.#current;
    const isOthers = current !== undefined && source !== undefined && source.rangeIndex !== current.rangeIndex;
    this.#giveUp(isOthers ? NOT_ITS_FAULT : { lateError: error, position: source?.position });
  }

  /** Waits for a promise of the payload, until something breaks the thread. */
  async #unlessBroken<Value>(pending: PromiseLike<Value>): Promise<Value> {
    const broken = new Promise<never>((_, reject) => {
      this.#giveUp = reject;
    });
    return await Promise.race([pending, broken]);
  }

  async #initialize(): Promise<void> {
    const { data, log } = this.#parts;
    this.#payload = await this.#unlessBroken(this.#parts.loadPayload());
    this.#context = {
      options: data.payloadOptions,
      shared: data.shared,
      workerIndex: data.workerIndex,
      folder: data.folder,
      outputBytesMax: data.outputBytesMax,
      log,
    };
    this.#sequencer = new OutputSequencer({
      outputs: data.outputs,
      folder: data.folder,
      session: data.peer,
      aggregationFolder: data.aggregationFolder,
      rule: data.sequence,
      taskID: data.taskID,
      jobID: data.jobID,
      outputBytesMax: data.outputBytesMax,
      processingTag: data.processingTag,
    });
    this.#incidents = new IncidentNotifier(this.#payload, this.#context);
    const initializing = this.#payload.initialize?.(this.#context);
    if (initializing !== undefined) await this.#unlessBroken(initializing);
  }

  /** The supervisor sees how long it takes. */
  async #inHook(hook: WorkerHook, call: () => Promise<void>): Promise<void> {
    this.#board.beginHook(hook);
    try {
      await call();
    } finally {
      this.#board.end();
    }
  }

  async #executeBatch(message: WorkerTokens, frames: readonly Uint8Array[]): Promise<void> {
    this.#files.add(message.files);
    const { tokens } = message;
    const cpuBefore = this.#parts.cpuClock.nowMs();
    const wallBefore = performance.now();
    const first = this.#reports.count;
    this.#batch = message.batch;
    this.#board.beginBatch(message.batch, tokens.length);
    for (let index = this.#board.claim(); index >= 0; index = this.#board.claim()) {
      const token = tokens[index];
      if (token === undefined) break;
      const pending = this.#executeRange(token, message.copy, frames, tokens);
      if (pending !== undefined) await pending;
      if (this.#isBroken) break;
    }
    const cpuMs = this.#parts.cpuClock.nowMs() - cpuBefore;
    this.#reports.shareCpu(first, cpuMs, performance.now() - wallBefore);
  }

  /** Executes the events of one range in order. Asynchronous only from the first event that is. */
  #executeRange(
    token: RangeToken,
    copy: boolean,
    frames: readonly Uint8Array[],
    batch: readonly RangeToken[],
  ): Promise<void> | undefined {
    const known = this.#files.of(token);
    const eventRangeID = (): string => this.#eventRangeID(token);
    const startedMs = performance.now();
    let position = token.startEvent;
    try {
      this.#parts.log.beginRange(eventRangeID);
      if (this.#incidents.watchesRanges) this.#tellOfRange(token, known, eventRangeID);
      this.#sequencer.beginRange(token, known.file, copy);
      const bytes = this.#files.bytesOf(token, frames, batch);
      for (; position <= token.lastEvent; position += 1) {
        if (isLeftOut(token, position)) continue;
        const pending = this.#executeEvent(known, token, position, eventBytes(token, position, bytes));
        if (pending !== undefined) {
          return this.#finishRangeLater(pending, { known, token, position, bytes, startedMs, copy });
        }
      }
      this.#endRange(startedMs);
    } catch (error) {
      this.#failRange({ token, copy, startedMs }, position, error);
    }
    return undefined;
  }

  /** What a hook does to the worker counts for the first event of the range. */
  #tellOfRange(token: RangeToken, { file }: KnownFile, eventRangeID: () => string): void {
    this.#board.begin(token.rangeIndex, token.startEvent);
    try {
      this.#incidents.beginRange(file, eventRangeID);
    } finally {
      this.#board.end();
    }
  }

  async #finishRangeLater(
    pending: Promise<void>,
    rest: BegunRange & { readonly known: KnownFile; readonly position: number; readonly bytes: Uint8Array },
  ): Promise<void> {
    const { known, token, bytes, startedMs } = rest;
    let position = rest.position;
    try {
      await pending;
      for (position += 1; position <= token.lastEvent; position += 1) {
        if (isLeftOut(token, position)) continue;
        await this.#executeEvent(known, token, position, eventBytes(token, position, bytes));
      }
      this.#endRange(startedMs);
    } catch (error) {
      this.#failRange(rest, position, error);
    }
  }

  #executeEvent(known: KnownFile, token: RangeToken, position: number, bytes: Uint8Array): Promise<void> | undefined {
    const event = new ExecutedEvent(known, position, bytes, this.#files.runHeader(known, position));
    const context = new ExecutionContext(
      { context: this.#context, sequencer: this.#sequencer, taskSeed: this.#parts.data.taskSeed },
      token,
      event,
    );
    this.#board.begin(token.rangeIndex, position);
    this.#sequencer.beginEvent(event);
    this.#incidents.beginEvent(event, context);
    let pending: void | Promise<void>;
    try {
      pending = this.#executions.run(context, () => this.#payload.execute(event, context));
    } catch (error) {
      context.close();
      this.#board.end();
      throw error;
    }
    if (isThenable(pending)) return this.#executeAsync(pending, event, context);
    this.#endEvent(event, context);
    return undefined;
  }

  async #executeAsync(pending: PromiseLike<void>, event: ExecutedEvent, context: ExecutionContext): Promise<void> {
    this.#current = context;
    try {
      await this.#unlessBroken(pending);
    } catch (error) {
      context.close();
      this.#board.end();
      throw context.isAborted ? { ...TIMED_OUT, cause: error } : error;
    } finally {
      this.#current = undefined;
    }
    this.#endEvent(event, context);
  }

  #endEvent(event: ExecutedEvent, context: ExecutionContext): void {
    try {
      this.#incidents.endEvent(event, context);
    } finally {
      context.close();
      this.#board.end();
    }
    this.#sequencer.endEvent();
    this.#executedEvents += 1;
  }

  #endRange(startedMs: number): void {
    this.#sequencer.endRange(performance.now() - startedMs);
    this.#collectComplete();
  }

  #failRange({ token, copy, startedMs }: BegunRange, position: number, error: unknown): void {
    this.#sequencer.abandonRange();
    this.#collectComplete();
    // Not reported: the session is about to leave, and what it holds goes back.
    if (error === NOT_ITS_FAULT) return;
    const failure: Failure = { position, ...failureOf(error, this.#parts.log.tail()) };
    this.#reports.addFailed(token, { failure, wallMs: performance.now() - startedMs, copy });
  }

  /** Ranges whose files are in place are reported. */
  #collectComplete(): void {
    this.#reports.addFinished(this.#sequencer.takeComplete());
  }

  #closeFiles(): void {
    this.#sequencer.closeFiles();
    this.#collectComplete();
  }

  #mustRecycle(): boolean {
    const { recycleEvents, recycleMemoryBytes } = this.#parts.data;
    if (recycleEvents > 0 && this.#executedEvents >= recycleEvents) return true;
    if (recycleMemoryBytes === 0) return false;
    const memory = process.memoryUsage();
    return memory.heapUsed + memory.external > recycleMemoryBytes;
  }

  async #finalizeAndLeave(reason: 'end' | 'recycle'): Promise<SessionEnd> {
    let failed: unknown;
    try {
      this.#closeFiles();
      await this.#inHook('finalize', () => this.#finalize());
    } catch (error) {
      failed = error;
    }
    return this.#leave(this.#isBroken ? 'broken' : reason, failed);
  }

  async #finalize(): Promise<void> {
    // What is executed counts, whatever becomes of the thread in here.
    if (this.#reports.count > 0) await this.#parts.channel.send({ kind: 'closed', reports: this.#reports.take() });
    this.#incidents.end();
    const finalizing = this.#payload.finalize?.(this.#context);
    if (finalizing !== undefined) await this.#unlessBroken(finalizing);
  }

  async #leave(reason: SessionEnd, error: unknown): Promise<SessionEnd> {
    if (reason === 'broken') this.#closeFiles();
    await this.#sendLast({
      kind: 'leave',
      reason,
      reports: this.#reports.take(),
      error: error === undefined ? null : serialiseError(error),
      threadCpuMs: this.#parts.cpuClock.nowMs(),
    });
    return reason;
  }

  /**
   * Sends the last message and waits until the scatterer has it: ZeroMQ sends from this thread's memory, which is gone
   * when the thread ends. A batch that was on its way meanwhile goes back with the rest.
   */
  async #sendLast(message: FromWorker): Promise<void> {
    const { channel } = this.#parts;
    if (!this.#board.tryEnterWaiting()) return await awaitTermination();
    await channel.send(message);
    let received = await channel.receive();
    while (received !== undefined && received.message.kind !== 'end') received = await channel.receive();
  }

  /** An asynchronous event over its time-out: aborted, then given up. (An endless loop is the supervisor's business.) */
  #watchTimeout(): void {
    const current = this.#current;
    const timeoutMs = this.#board.timeoutMs;
    if (current === undefined || timeoutMs <= 0 || this.#isBroken) return;
    const runningMs = this.#board.runningMs();
    if (runningMs <= timeoutMs) return;
    this.#board.noteAborting();
    current.abort(TIMED_OUT);
    // Whoever honours the signal rejects by itself; the rest is given up and its thread not used again.
    const graceMs = current.hasSignal ? TIMEOUT_GRACE_MS : 0;
    if (runningMs <= timeoutMs + graceMs) return;
    this.#isBroken = true;
    this.#broken = TIMED_OUT;
    this.#giveUp(TIMED_OUT);
  }

  #eventRangeID(token: RangeToken): string {
    return formatEventRangeID({
      taskID: this.#parts.data.taskID,
      jobID: this.#parts.data.jobID,
      fileID: token.fileIndex + 1,
      startEvent: token.startEvent,
      attemptNr: token.attemptNr,
    });
  }
}

/** It has failed in this attempt, the last one, and is not to take the others of its range along. */
function isLeftOut(token: RangeToken, position: number): boolean {
  return token.failedEvents?.some((failed) => failed.position === position) ?? false;
}

/** The supervisor ends this thread at any moment: nothing native may be called any more. */
function awaitTermination(): Promise<never> {
  return new Promise(() => undefined);
}

function isThenable(value: unknown): value is PromiseLike<void> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
