/**
 * The token scatterer: hands tokens to the workers that ask for them. Runs on the main thread.
 *
 * A worker is *absent* → (first ask) → *executing* a batch ⇄ *waiting* for tokens → *left*, or *lost* when its session
 * ended without a word. What a lost worker held and had not executed goes back to the front of the queue with the same
 * attempt; only the event it executed is reported as failed.
 *
 * A batch holds about {@link BATCH_WORK_MS} of work, one token where events are long. Tokens of a batch that are not
 * claimed yet can be taken back through the worker's execution board, so an idle worker never waits beside a full one.
 */
import { assert, assertNever } from '../core/assert.ts';
import type { Failure } from '../core/dispatcher-api.ts';
import { deserialiseError, type GranuleError } from '../core/errors.ts';
import { eventCountOf } from '../core/event-range.ts';
import { BATCH_WORK_MS, CREDIT_MAX, PROCESS_BATCH_WORK_MS } from '../core/limits.ts';
import type { Logger } from '../core/log.ts';
import type { FromWorker, RangeReport, RangeToken, ToWorker, WorkerFile } from '../core/messages.ts';
import type { ServerChannel } from './channel.ts';
import type { InExecution, SupervisedBoard } from './execution-board.ts';
import { type HeldToken, HeldTokens } from './held-tokens.ts';
import { judgeFailure } from './last-attempt.ts';
import { TokenQueue } from './token-queue.ts';

/** What a worker is given: a suspect runs in a process, anything else in either. */
export type WorkerTakes = 'all' | 'all-but-suspects' | 'suspects';

interface WorkerState {
  readonly workerIndex: number;
  readonly peer: string;
  readonly board: SupervisedBoard;
  readonly takes: WorkerTakes;
  readonly knownFiles: Set<number>;
  /** the batch it has, in order; some of it may be executed already */
  batch: HeldToken[];
  /** given to it and not reported yet */
  readonly held: HeldTokens;
  waiting: boolean;
  flushed: boolean;
  /** what it executes when it dies is given back, like the rest: it is not the event's fault */
  givenUp: boolean;
}

export interface ScattererListeners {
  /** Ranges that workers closed or that failed, in batches. */
  onReports(reports: readonly RangeReport[]): void;
  /** A worker was sent tokens. */
  onTokensGiven(): void;
  onWorkerReady(workerIndex: number, readyAfterMs: number): void;
  onInitFailed(workerIndex: number, error: GranuleError): void;
  onLeave(workerIndex: number, reason: 'end' | 'recycle' | 'broken', error: GranuleError | undefined): void;
  /** The queue has run low: more ranges are welcome. */
  onHungry(): void;
  /** The channel itself broke: the node cannot go on. */
  onFatal(error: unknown): void;
}

export class TokenScatterer {
  readonly #channel: ServerChannel<FromWorker, ToWorker>;
  readonly #listeners: ScattererListeners;
  readonly #log: Logger;
  readonly #failuresMax: number;
  readonly #workers = new Map<string, WorkerState>();
  readonly #files = new Map<number, WorkerFile>();
  readonly #queue = new TokenQueue();
  #ending = false;
  #executedMeanMs = 0;
  #executedCount = 0;

  constructor(
    channel: ServerChannel<FromWorker, ToWorker>,
    listeners: ScattererListeners,
    options: { readonly failuresMax: number; readonly log: Logger },
  ) {
    this.#channel = channel;
    this.#listeners = listeners;
    this.#log = options.log;
    this.#failuresMax = options.failuresMax;
  }

  /** Serves until the channel is closed. */
  async serve(): Promise<void> {
    for (;;) {
      const received = await this.#channel.receive();
      if (received === undefined) return;
      this.#handle(received.peer, received.message);
    }
  }

  /** Expects a session that will speak as `peer`. */
  expect(peer: string, workerIndex: number, board: SupervisedBoard, takes: WorkerTakes): void {
    assert(!this.#workers.has(peer), 'each session has a peer of its own');
    this.#workers.set(peer, {
      workerIndex,
      peer,
      board,
      takes,
      knownFiles: new Set(),
      batch: [],
      held: new HeldTokens(),
      waiting: false,
      flushed: false,
      givenUp: false,
    });
  }

  addFile(file: WorkerFile): void {
    this.#files.set(file.fileIndex, file);
  }

  /** Tokens from the extractor; `frames` by each token's `frame`. */
  add(tokens: readonly RangeToken[], frames: readonly Uint8Array[]): void {
    for (const token of tokens) {
      const bytes = token.frame >= 0 ? frames[token.frame] : undefined;
      this.#queue.add({ token, bytes, copy: false });
    }
    for (const worker of this.#workers.values()) worker.flushed = false;
    this.#serveWaiting();
  }

  /** Tokens nobody holds yet. */
  get queuedCount(): number {
    return this.#queue.count;
  }

  /** Bytes that ride with queued tokens. */
  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /** Tokens in the hands of workers. */
  get heldCount(): number {
    let count = 0;
    for (const worker of this.#workers.values()) count += worker.held.size;
    return count;
  }

  get busyCount(): number {
    let count = 0;
    for (const worker of this.#workers.values()) if (worker.held.size > 0) count += 1;
    return count;
  }

  get waitingCount(): number {
    let count = 0;
    for (const worker of this.#workers.values()) if (worker.waiting && worker.takes !== 'suspects') count += 1;
    return count;
  }

  /** Mean time in `execute` per range so far, in ms; 0 before the first. */
  get meanExecutionMs(): number {
    return this.#executedMeanMs;
  }

  /** Takes every token back that no worker has begun: for a drain. */
  takeBackAll(): RangeToken[] {
    const taken = this.#queue.takeAll().map((held) => held.token);
    for (const worker of this.#workers.values()) {
      for (const held of this.#takeBack(worker, CREDIT_MAX)) taken.push(held.token);
    }
    return taken;
  }

  /** A worker is about to be ended although its event has done nothing wrong. */
  giveUp(workerIndex: number): void {
    for (const worker of this.#workers.values()) if (worker.workerIndex === workerIndex) worker.givenUp = true;
  }

  giveUpAll(): void {
    for (const worker of this.#workers.values()) worker.givenUp = true;
  }

  /** From now on a worker that asks and finds nothing is ended. */
  end(): void {
    this.#ending = true;
    this.#serveWaiting();
  }

  /** What each worker executes right now. */
  *executing(): IterableIterator<{
    readonly workerIndex: number;
    readonly held: HeldToken;
    readonly execution: InExecution;
  }> {
    for (const worker of this.#workers.values()) {
      const execution = worker.board.inExecution();
      if (execution === undefined) continue;
      const held = worker.held.get(execution.rangeIndex);
      if (held !== undefined) yield { workerIndex: worker.workerIndex, held, execution };
    }
  }

  isAborting(workerIndex: number, execution: InExecution): boolean {
    for (const worker of this.#workers.values()) {
      if (worker.workerIndex === workerIndex) return worker.board.isAborting(execution);
    }
    return false;
  }

  setTimeoutMs(timeoutMs: number): void {
    for (const worker of this.#workers.values()) worker.board.setTimeoutMs(timeoutMs);
  }

  /** Gives a waiting worker a copy of a range that another one executes. False when none waits. */
  speculate(held: HeldToken): boolean {
    for (const worker of this.#workers.values()) {
      if (!worker.waiting || worker.takes === 'suspects') continue;
      this.#give(worker, [{ ...held, copy: true }]);
      return true;
    }
    return false;
  }

  /** What a session executes right now, or was executing when it ended. */
  executedBy(peer: string): HeldToken | undefined {
    const worker = this.#workers.get(peer);
    const execution = worker?.board.inExecution();
    return execution === undefined ? undefined : worker?.held.get(execution.rangeIndex);
  }

  /**
   * The session of `peer` is over without a last message. What it executed is reported as failed; the rest goes back,
   * and other workers may begin it at once.
   *
   * @param failureOf what the death means for the range that was in execution
   * @returns how many tokens went back to the queue
   */
  lose(peer: string, failureOf: (token: RangeToken) => Failure): number {
    const worker = this.#workers.get(peer);
    if (worker === undefined) return 0;
    const culprit = this.executedBy(peer);
    this.#workers.delete(peer);
    const execution = worker.board.inExecution();
    if (culprit !== undefined && !worker.givenUp) worker.held.remove(culprit.token.rangeIndex);
    const returnedCount = this.#requeue(worker);
    if (culprit !== undefined && execution !== undefined && !worker.givenUp) {
      const { token, copy } = culprit;
      const report = this.#judgeFailure(culprit, {
        kind: 'failed',
        rangeIndex: token.rangeIndex,
        attemptNr: token.attemptNr,
        eventCount: eventCountOf(token),
        failure: { ...failureOf(token), position: execution.position },
        failedEvents: token.failedEvents,
        failuresBefore: token.failures,
        wallMs: 0,
        copy,
      });
      if (report !== undefined) this.#listeners.onReports([report]);
    }
    return returnedCount;
  }

  #handle(peer: string, message: FromWorker): void {
    const worker = this.#workers.get(peer);
    if (worker === undefined) {
      this.#log.debug({ peer, kind: message.kind }, 'message of a session that was given up');
      return;
    }
    switch (message.kind) {
      case 'ask':
        if (message.readyAfterMs !== null) this.#listeners.onWorkerReady(worker.workerIndex, message.readyAfterMs);
        worker.batch = [];
        worker.waiting = true;
        this.#learnLengths(message.reports);
        // New work first: the worker executes it while its reports are seen to.
        if (this.#hasQueuedFor(worker)) this.#serve(worker);
        this.#takeReports(worker, message.reports);
        if (worker.waiting) this.#serve(worker);
        return;
      case 'init-failed':
        this.#workers.delete(peer);
        this.#send(worker, { kind: 'end' }, []);
        this.#listeners.onInitFailed(worker.workerIndex, deserialiseError(message.error));
        return;
      case 'leave':
        this.#workers.delete(peer);
        this.#send(worker, { kind: 'end' }, []);
        this.#takeReports(worker, message.reports);
        this.#requeue(worker);
        this.#listeners.onLeave(
          worker.workerIndex,
          message.reason,
          message.error === null ? undefined : deserialiseError(message.error),
        );
        return;
      default:
        assertNever(message, 'message of a worker');
    }
  }

  #takeReports(worker: WorkerState, reports: readonly RangeReport[]): void {
    let toReport = reports;
    for (const report of reports) {
      const held = worker.held.remove(report.rangeIndex);
      if (report.kind !== 'failed' || held === undefined) continue;
      const instead = this.#judgeFailure(held, report);
      if (instead !== report) toReport = toReport.flatMap((other) => (other !== report ? other : (instead ?? [])));
    }
    if (toReport.length > 0) this.#listeners.onReports(toReport);
  }

  /** A running mean that forgets: lengths may drift along a file. */
  #learnLengths(reports: readonly RangeReport[]): void {
    if (reports.length === 0) return;
    let totalMs = 0;
    for (const { wallMs } of reports) totalMs += wallMs;
    const weight = Math.min(1, Math.max(reports.length / 64, 1 / (this.#executedCount + 1)));
    this.#executedMeanMs += weight * (totalMs / reports.length - this.#executedMeanMs);
    this.#executedCount += reports.length;
  }

  /** @returns the report to make of a failure; undefined when the range is not lost by it */
  #judgeFailure(held: HeldToken, report: Extract<RangeReport, { kind: 'failed' }>): RangeReport | undefined {
    // Of two copies the one that finishes counts, be it the later one.
    const hasOtherCopy = [...this.#workers.values()].some(({ held: of }) => of.get(report.rangeIndex) !== undefined);
    if (hasOtherCopy) return undefined;
    const judged = judgeFailure(held.token, report, this.#failuresMax);
    if ('report' in judged) return judged.report;
    this.#putBack([{ ...held, token: judged.goOnWith, copy: false }]);
    return undefined;
  }

  /** Puts everything a worker holds back to the front of the queue, in order. Copies are dropped. */
  #requeue(worker: WorkerState): number {
    const back = worker.held.values().filter((held) => !held.copy);
    worker.held.clear();
    if (back.length === 0) return 0;
    back.sort((a, b) => a.token.rangeIndex - b.token.rangeIndex);
    this.#putBack(back);
    return back.length;
  }

  #putBack(back: readonly HeldToken[]): void {
    this.#queue.putBack(back);
    this.#serveWaiting();
  }

  #serveWaiting(): void {
    for (const worker of this.#workers.values()) if (worker.waiting) this.#serve(worker);
  }

  #serve(worker: WorkerState): void {
    const tokens = this.#takeFor(worker);
    if (tokens.length > 0) {
      this.#give(worker, tokens);
      if (this.queuedCount < this.#workers.size) this.#listeners.onHungry();
      return;
    }
    if (!this.#ending) this.#listeners.onHungry();
    if (worker.held.size > 0 && !worker.flushed) {
      // Executed ranges wait in open files for further ones that may never come.
      worker.flushed = true;
      worker.waiting = false;
      this.#send(worker, { kind: 'flush' }, []);
    } else if (this.#ending) {
      worker.waiting = false;
      this.#send(worker, { kind: 'end' }, []);
    }
  }

  #hasQueuedFor({ takes }: WorkerState): boolean {
    if (takes !== 'suspects' && this.#queue.ordinaryCount > 0) return true;
    return takes !== 'all-but-suspects' && this.#queue.suspectCount > 0;
  }

  #takeFor(worker: WorkerState): HeldToken[] {
    if (worker.takes !== 'all-but-suspects') {
      const suspect = this.#queue.takeSuspect();
      if (suspect !== undefined) return [suspect];
      if (worker.takes === 'suspects') return [];
    }
    return this.#queue.ordinaryCount > 0 ? this.#queue.take(this.#batchSize(worker)) : this.#steal(worker);
  }

  /** About {@link BATCH_WORK_MS} of work, never more than a fair share of what is queued. */
  #batchSize({ board }: WorkerState): number {
    if (this.#executedCount === 0) return 1;
    const workMs = board.canTakeBack ? BATCH_WORK_MS : PROCESS_BATCH_WORK_MS;
    const byTime = Math.floor(workMs / Math.max(this.#executedMeanMs, workMs / CREDIT_MAX));
    const fairShare = Math.ceil(this.queuedCount / Math.max(1, this.#workers.size));
    return Math.max(1, Math.min(byTime, fairShare, CREDIT_MAX));
  }

  /** Half of what the worker with the fullest batch has not begun. */
  #steal(thief: WorkerState): HeldToken[] {
    let victim: WorkerState | undefined;
    let most = 0;
    for (const worker of this.#workers.values()) {
      const unclaimed = worker === thief || worker.waiting ? 0 : worker.board.unclaimed();
      if (unclaimed > most) {
        victim = worker;
        most = unclaimed;
      }
    }
    return victim === undefined ? [] : this.#takeBack(victim, Math.ceil(most / 2));
  }

  #takeBack(worker: WorkerState, count: number): HeldToken[] {
    if (worker.batch.length === 0) return [];
    const { end, taken } = worker.board.takeBack(count);
    const tokens = worker.batch.slice(end, end + taken);
    worker.batch.length = Math.min(worker.batch.length, end);
    for (const held of tokens) worker.held.remove(held.token.rangeIndex);
    return tokens;
  }

  #give(worker: WorkerState, batch: HeldToken[]): void {
    const files: WorkerFile[] = [];
    const frames: Uint8Array[] = [];
    const tokens = batch.map((held): RangeToken => {
      const { token, bytes } = held;
      if (!worker.knownFiles.has(token.fileIndex)) {
        const file = this.#files.get(token.fileIndex);
        assert(file !== undefined, 'a token names a file that was announced');
        worker.knownFiles.add(token.fileIndex);
        files.push(file);
      }
      worker.held.add(held);
      if (bytes === undefined) return token;
      frames.push(bytes);
      return { ...token, frame: frames.length - 1 };
    });
    worker.batch = batch;
    worker.waiting = false;
    const number = worker.board.openBatch(batch.length);
    this.#send(worker, { kind: 'tokens', files, tokens, batch: number, copy: batch[0]?.copy ?? false }, frames);
    this.#listeners.onTokensGiven();
  }

  #send(worker: WorkerState, message: ToWorker, frames: readonly Uint8Array[]): void {
    this.#channel.send(worker.peer, message, frames).then(
      () => worker.board.noteSent(),
      // The session died before the message reached it: the pool reports its end, which requeues what it held.
      (error: unknown) =>
        this.#log.debug({ err: error, workerIndex: worker.workerIndex }, 'message to a session that is gone'),
    );
  }
}
