/**
 * Executes batches of tokens: the payload, its output sequencer and its incidents, in a worker's thread. What it has closed
 * or what has failed gathers as reports.
 *
 * Within a batch the loop is synchronous as long as `execute` is: no promise, no timer, no message per event.
 */
import type { Failure } from '../../core/dispatcher-api.ts';
import type { GranuleError } from '../../core/errors.ts';
import { formatEventRangeID } from '../../core/ids.ts';
import type { RangeToken, WorkerTokens } from '../../core/messages.ts';
import type { PayloadDefinition, PayloadLog, WorkerContext } from '../../payloads/payload.ts';
import type { WorkerBoard } from '../board/board-sides.ts';
import { isStorageGone } from '../durable-file.ts';
import { RecentOutputs } from '../recent-outputs.ts';
import { ExecutedEvent, ExecutionContext } from './event-execution.ts';
import { failureOf, TIMED_OUT } from './failures.ts';
import { IncidentNotifier } from './incidents.ts';
import { OutputSequencer } from './output-sequencer.ts';
import { NOT_ITS_FAULT, type PayloadGuard } from './payload-guard.ts';
import { RangeReports } from './range-reports.ts';
import type { SessionSettings } from './session-data.ts';
import type { ThreadCpuClock } from './thread-cpu-clock.ts';
import { eventBytes, type KnownFile, WorkerFiles } from './worker-files.ts';
import type { WorkerLog } from './worker-log.ts';

/** Where a session's payload logs to. */
export type SessionLog = PayloadLog & Pick<WorkerLog, 'beginRange' | 'tail'>;

interface BegunRange {
  readonly token: RangeToken;
  readonly copy: boolean;
  readonly startedMs: number;
}

export interface BatchExecutorParts {
  readonly data: SessionSettings;
  readonly board: WorkerBoard;
  readonly log: SessionLog;
  readonly cpuClock: ThreadCpuClock;
  readonly guard: PayloadGuard;
}

export class BatchExecutor {
  readonly reports = new RangeReports();
  readonly #parts: BatchExecutorParts;
  readonly #board: WorkerBoard;
  readonly #guard: PayloadGuard;
  readonly #payload: PayloadDefinition;
  readonly #context: WorkerContext<unknown, unknown>;
  readonly #sequencer: OutputSequencer;
  readonly #incidents: IncidentNotifier;
  readonly #files = new WorkerFiles();
  #executedEvents = 0;
  #storageGone: GranuleError | undefined;

  constructor(parts: BatchExecutorParts, payload: PayloadDefinition) {
    const { data, log } = parts;
    this.#parts = parts;
    this.#board = parts.board;
    this.#guard = parts.guard;
    this.#payload = payload;
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
      recent:
        data.recentOutputs === undefined ? undefined : new RecentOutputs(data.recentOutputs, Object.keys(data.outputs)),
    });
    this.#incidents = new IncidentNotifier(payload, this.#context);
  }

  /** Events executed to their end. */
  get executedEvents(): number {
    return this.#executedEvents;
  }

  /** Why no output can be written any more: no fault of an event, and nothing is to be executed here after it. */
  get storageGone(): GranuleError | undefined {
    return this.#storageGone;
  }

  /** Once, before the first batch. */
  async initialize(): Promise<void> {
    const initializing = this.#payload.initialize?.(this.#context);
    if (initializing !== undefined) await this.#guard.unlessBroken(initializing);
  }

  /**
   * Executes what it can claim of the batch. What is left when the payload breaks the thread, or when no output can be
   * written any more, goes back with the session.
   */
  async execute(message: WorkerTokens, frames: readonly Uint8Array[]): Promise<void> {
    this.#files.add(message.files);
    const { tokens } = message;
    const cpuBefore = this.#parts.cpuClock.nowMs();
    const wallBefore = performance.now();
    const first = this.reports.count;
    this.#board.beginBatch(message.batch, tokens.length);
    for (let index = this.#board.claim(); index >= 0; index = this.#board.claim()) {
      const token = tokens[index];
      if (token === undefined) break;
      const pending = this.#executeRange(token, message.copy, frames, tokens);
      if (pending !== undefined) await pending;
      if (this.#guard.isBroken || this.#storageGone !== undefined) break;
    }
    const cpuMs = this.#parts.cpuClock.nowMs() - cpuBefore;
    this.reports.shareCpu(first, cpuMs, performance.now() - wallBefore);
  }

  /** Closes output files, also those that wait for further ranges. */
  closeFiles(): void {
    try {
      this.#sequencer.closeFiles();
    } catch (error) {
      // What else goes wrong once nothing can be written is of no account: it is not complete, and goes back.
      if (isStorageGone(error)) this.#storageGone ??= error;
      if (this.#storageGone === undefined) throw error;
    }
    this.#collectComplete();
  }

  /** Once, after the last batch and with all output files closed. Rejects with what the payload threw. */
  async finalize(): Promise<void> {
    this.#incidents.end();
    const finalizing = this.#payload.finalize?.(this.#context);
    if (finalizing !== undefined) await this.#guard.unlessBroken(finalizing);
  }

  /** Closes input files. */
  close(): void {
    this.#files.close();
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
    let pending: void | Promise<void>;
    try {
      this.#sequencer.beginEvent(event);
      this.#incidents.beginEvent(event, context);
      pending = this.#guard.run(context, () => this.#payload.execute(event, context));
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
    try {
      await this.#guard.settled(pending, context);
    } catch (error) {
      context.close();
      this.#board.end();
      throw context.isAborted ? { ...TIMED_OUT, cause: error } : error;
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
    if (isStorageGone(error)) this.#storageGone ??= error;
    try {
      this.#sequencer.abandonRange();
    } catch (cause) {
      if (this.#storageGone === undefined) throw cause;
    }
    this.#collectComplete();
    // Not reported: the session is about to leave, and what it holds goes back.
    if (error === NOT_ITS_FAULT || isStorageGone(error)) return;
    const failure: Failure = { position, ...failureOf(error, this.#parts.log.tail()) };
    this.reports.addFailed(token, { failure, wallMs: performance.now() - startedMs, copy });
  }

  /** Ranges whose files are in place are reported. */
  #collectComplete(): void {
    this.reports.addFinished(this.#sequencer.takeComplete());
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

function isThenable(value: unknown): value is PromiseLike<void> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
