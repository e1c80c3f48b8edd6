/**
 * The token scatterer: hands tokens to the workers that ask for them, and takes their reports. Runs on the main thread.
 *
 * A worker is *absent* → (first ask) → *executing* its batches ⇄ *waiting* for tokens → *left*, or *lost* when its session
 * ended without a word. What a lost worker held and had not executed goes back to the front of the queue with the same
 * attempt; only the event it executed is reported as failed. `served-worker.ts` says what a worker has in its hands,
 * `token-hand-out.ts` who gets what.
 */
import { assert, assertNever } from '../../core/assert.ts';
import type { Failure } from '../../core/dispatcher-api.ts';
import { deserialiseError, type GranuleError } from '../../core/errors.ts';
import { eventCountOf } from '../../core/event-range.ts';
import type { Logger } from '../../core/log.ts';
import type { FromWorker, LeaveReason, RangeReport, RangeToken, ToWorker, WorkerFile } from '../../core/messages.ts';
import type { InExecution, SupervisedBoard } from '../board/board-sides.ts';
import type { ServerChannel } from '../channel/channel.ts';
import { judgeFailure } from '../worker/last-attempt.ts';
import type { HeldToken } from './held-tokens.ts';
import { RangeCopies } from './range-copies.ts';
import { ServedWorker, type WorkerTakes } from './served-worker.ts';
import { TokenHandOut } from './token-hand-out.ts';

export interface ScattererListeners {
  /** Ranges that workers closed or that failed, in batches. */
  onReports(reports: readonly RangeReport[]): void;
  /** A worker was sent tokens. */
  onTokensGiven(): void;
  onWorkerReady(workerIndex: number, readyAfterMs: number): void;
  onInitFailed(workerIndex: number, error: GranuleError): void;
  onLeave(workerIndex: number, reason: LeaveReason, error: GranuleError | undefined): void;
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
  readonly #files = new Map<number, WorkerFile>();
  readonly #handOut: TokenHandOut;
  readonly #copies = new RangeCopies();

  constructor(
    channel: ServerChannel<FromWorker, ToWorker>,
    listeners: ScattererListeners,
    options: { readonly failuresMax: number; readonly log: Logger },
  ) {
    this.#channel = channel;
    this.#listeners = listeners;
    this.#log = options.log;
    this.#failuresMax = options.failuresMax;
    this.#handOut = new TokenHandOut({
      sendTokens: (worker, batch, tokens) => this.#sendTokens(worker, batch, tokens),
      sendFlush: (worker) => this.#send(worker, { kind: 'flush' }),
      sendEnd: (worker) => this.#send(worker, { kind: 'end' }),
      onHungry: () => listeners.onHungry(),
    });
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
    assert(this.#handOut.worker(peer) === undefined, 'each session has a peer of its own');
    this.#handOut.addWorker(new ServedWorker(peer, { workerIndex, board, takes }));
  }

  addFile(file: WorkerFile): void {
    this.#files.set(file.fileIndex, file);
  }

  /** Tokens from the extractor; `frames` by each token's `frame`. */
  add(tokens: readonly RangeToken[], frames: readonly Uint8Array[]): void {
    this.#handOut.add(
      tokens.map((token) => ({ token, bytes: token.frame >= 0 ? frames[token.frame] : undefined, copy: false })),
    );
  }

  /** Tokens nobody holds yet. */
  get queuedCount(): number {
    return this.#handOut.queuedCount;
  }

  /** Bytes that ride with queued tokens. */
  get queuedBytes(): number {
    return this.#handOut.queuedBytes;
  }

  /** Tokens in the hands of workers. */
  get heldCount(): number {
    let count = 0;
    for (const worker of this.#handOut.workers()) count += worker.held.size;
    return count;
  }

  get busyCount(): number {
    let count = 0;
    for (const worker of this.#handOut.workers()) if (worker.held.size > 0) count += 1;
    return count;
  }

  get waitingCount(): number {
    return this.#handOut.waitingCount;
  }

  /** Mean time in `execute` per range of late, in ms; 0 before the first. */
  get meanExecutionMs(): number {
    return this.#handOut.size.meanMs;
  }

  /** Takes every token back that no worker has begun: for a drain. */
  takeBackAll(): RangeToken[] {
    return this.#handOut.takeBackAll();
  }

  /** A worker is about to be ended although its event has done nothing wrong. */
  giveUp(workerIndex: number): void {
    for (const worker of this.#handOut.workers()) if (worker.workerIndex === workerIndex) worker.isGivenUp = true;
  }

  giveUpAll(): void {
    for (const worker of this.#handOut.workers()) worker.isGivenUp = true;
  }

  /** Nothing is left to be leased for now, or again something is. */
  setAtTail(atTail: boolean): void {
    this.#handOut.setAtTail(atTail);
  }

  /** From now on a worker that asks and finds nothing is ended. */
  end(): void {
    this.#handOut.end();
  }

  /** What each worker executes right now. */
  *executing(): IterableIterator<{
    readonly workerIndex: number;
    readonly held: HeldToken;
    readonly execution: InExecution;
  }> {
    for (const { workerIndex, executed } of this.#handOut.workers()) {
      if (executed !== undefined) yield { workerIndex, ...executed };
    }
  }

  isAborting(workerIndex: number, execution: InExecution): boolean {
    for (const worker of this.#handOut.workers()) {
      if (worker.workerIndex === workerIndex) return worker.board.isAborting(execution);
    }
    return false;
  }

  setTimeoutMs(timeoutMs: number): void {
    for (const worker of this.#handOut.workers()) worker.board.setTimeoutMs(timeoutMs);
  }

  /** Gives a waiting worker a copy of a range that another one executes. False when none waits. */
  speculate(held: HeldToken): boolean {
    const isGiven = this.#handOut.speculate(held);
    if (isGiven) this.#copies.add(held.token);
    return isGiven;
  }

  /** What a session that ended without a word died of. */
  culpritOf(peer: string): HeldToken | undefined {
    return this.#handOut.worker(peer)?.diedOf?.held;
  }

  /**
   * The session of `peer` is over without a last message. What it died of is reported as failed; the rest goes back, and
   * other workers may begin it at once.
   *
   * @param failureOf what the death means for the range that was in execution
   * @returns how many tokens went back to the queue
   */
  lose(peer: string, failureOf: (token: RangeToken) => Failure): number {
    const worker = this.#handOut.worker(peer);
    if (worker === undefined) return 0;
    this.#handOut.removeWorker(peer);
    const culprit = worker.isGivenUp ? undefined : worker.diedOf;
    if (culprit !== undefined) worker.held.remove(culprit.held.token.rangeIndex);
    const returnedCount = this.#requeue(worker);
    if (culprit === undefined) return returnedCount;
    const { token, copy } = culprit.held;
    const report = this.#judgeFailure(culprit.held, {
      kind: 'failed',
      rangeIndex: token.rangeIndex,
      attemptNr: token.attemptNr,
      eventCount: eventCountOf(token),
      failure: { ...failureOf(token), position: culprit.execution.position },
      failedEvents: token.failedEvents,
      failuresBefore: token.failures,
      wallMs: 0,
      copy,
    });
    if (report !== undefined) this.#listeners.onReports([report]);
    return returnedCount;
  }

  #handle(peer: string, message: FromWorker): void {
    const worker = this.#handOut.worker(peer);
    if (worker === undefined) {
      this.#log.debug({ peer, kind: message.kind }, 'message of a session that was given up');
      return;
    }
    switch (message.kind) {
      case 'ask':
        if (message.readyAfterMs !== null) this.#listeners.onWorkerReady(worker.workerIndex, message.readyAfterMs);
        worker.noteAsk(message.batch);
        this.#handOut.size.learn(message.reports);
        // New work first: the worker executes it while its reports are seen to.
        this.#handOut.supply(worker);
        this.#takeReports(worker, message.reports);
        this.#handOut.serve(worker);
        return;
      case 'closed':
        this.#takeReports(worker, message.reports);
        return;
      case 'init-failed':
        this.#handOut.removeWorker(peer);
        this.#send(worker, { kind: 'end' });
        this.#listeners.onInitFailed(worker.workerIndex, deserialiseError(message.error));
        return;
      case 'leave':
        this.#handOut.removeWorker(peer);
        this.#send(worker, { kind: 'end' });
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

  #takeReports(worker: ServedWorker, reports: readonly RangeReport[]): void {
    let toReport = reports;
    for (const report of reports) {
      const held = worker.held.remove(report.rangeIndex);
      if (report.kind === 'finished') this.#copies.noteFinished(report);
      if (report.kind !== 'failed' || held === undefined) continue;
      const instead = this.#judgeFailure(held, report);
      if (instead !== report) toReport = toReport.flatMap((other) => (other !== report ? other : (instead ?? [])));
    }
    if (toReport.length > 0) this.#listeners.onReports(toReport);
  }

  /** @returns the report to make of a failure; undefined when the range is not lost by it */
  #judgeFailure(held: HeldToken, report: Extract<RangeReport, { kind: 'failed' }>): RangeReport | undefined {
    // Of two copies the one that finishes counts, be it the later one. The dispatcher refuses what the other one says.
    if (this.#copies.isFinished(report)) return report;
    for (const other of this.#handOut.workers()) if (other.held.get(report.rangeIndex) !== undefined) return undefined;
    const judged = judgeFailure(held.token, report, this.#failuresMax);
    if ('report' in judged) return judged.report;
    this.#handOut.putBack([{ ...held, token: judged.goOnWith, copy: false }]);
    return undefined;
  }

  /** Puts everything a worker holds back to the front of the queue, in order, but copies and what a copy has finished. */
  #requeue(worker: ServedWorker): number {
    const back = worker.held.values().filter(({ token, copy }) => !copy && !this.#copies.isFinished(token));
    worker.held.clear();
    if (back.length === 0) return 0;
    back.sort((a, b) => a.token.rangeIndex - b.token.rangeIndex);
    this.#handOut.putBack(back);
    return back.length;
  }

  #sendTokens(worker: ServedWorker, batch: number, given: readonly HeldToken[]): void {
    const files: WorkerFile[] = [];
    const frames: Uint8Array[] = [];
    const tokens = given.map(({ token, bytes }): RangeToken => {
      if (worker.learnsFile(token.fileIndex)) {
        const file = this.#files.get(token.fileIndex);
        assert(file !== undefined, 'a token names a file that was announced');
        files.push(file);
      }
      if (bytes === undefined) return token;
      frames.push(bytes);
      return { ...token, frame: frames.length - 1 };
    });
    this.#send(worker, { kind: 'tokens', files, tokens, batch, copy: given[0]?.copy ?? false }, frames);
    this.#listeners.onTokensGiven();
  }

  #send(worker: ServedWorker, message: ToWorker, frames: readonly Uint8Array[] = []): void {
    this.#channel.send(worker.peer, message, frames).then(
      () => worker.board.noteSent(),
      // The session died before the message reached it: the pool reports its end, which requeues what it held.
      (error: unknown) =>
        this.#log.debug({ err: error, workerIndex: worker.workerIndex }, 'message to a session that is gone'),
    );
  }
}
