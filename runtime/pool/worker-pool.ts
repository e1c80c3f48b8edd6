/**
 * The pool of workers: one session each, in a thread or a process of its own; a session that ends before its time is
 * followed by a new one in a fresh thread or process.
 *
 * States of a worker: *starting* → *ready* → *over* (told to end), or *dead* → *starting* again. After
 * {@link INIT_FAILURES_MAX} sessions in a row that die before they are ready, the pool gives up.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from '../../core/assert.ts';
import type { Failure } from '../../core/dispatcher-api.ts';
import { describeThrown, GranuleError } from '../../core/errors.ts';
import { INIT_FAILURES_MAX, STUCK_THREADS_MAX } from '../../core/limits.ts';
import type { Logger } from '../../core/log.ts';
import { formatDuration } from '../../core/quantities.ts';
import { boardTimeMs } from '../board/board-clock.ts';
import type { SupervisedBoard, WorkerHook } from '../board/board-sides.ts';
import { HOOK_REMEDY } from '../worker/failures.ts';
import type { SessionData } from '../worker/session-data.ts';
import { WORKER_LOG_NAME } from '../worker/worker-log.ts';
import { ChildHost } from './child-host.ts';
import { SessionDeath, type SessionHost } from './session-host.ts';
import { endingThreadCount } from './stuck-threads.ts';
import { ThreadHost } from './thread-host.ts';

export type SessionTemplate = Omit<SessionData, 'workerIndex' | 'peer' | 'folder' | 'board'>;

export interface WorkerPoolOptions {
  readonly workerCount: number;
  /** each worker's folder is `worker_<index>` in it */
  readonly workersFolder: string;
  readonly isolation: 'thread' | 'process';
  /** heap limit of a thread or process */
  readonly heapMaxMB: number;
}

export interface DeadSession {
  readonly peer: string;
  readonly workerIndex: number;
  readonly failure: Failure;
  readonly replaced: boolean;
  /** of the payload, in which it died */
  readonly hook: WorkerHook | undefined;
}

export interface WorkerPoolListeners {
  /** A session is about to start and will speak as `peer`. `apart`: it is for suspects only. */
  onSession(
    peer: string,
    session: { readonly workerIndex: number; readonly board: SupervisedBoard; readonly apart: boolean },
  ): void;
  /** A session ended without being told to. `replaced`: another one takes its place. */
  onDeath(dead: DeadSession): void;
  /** Sessions cannot even begin: the run is over. */
  onFatal(error: GranuleError): void;
}

interface Worker {
  readonly workerIndex: number;
  readonly host: SessionHost;
  session: number;
  peer: string;
  abort: AbortController;
  /** of the session under way, or of the last one */
  board: SupervisedBoard | undefined;
  /** why the supervisor terminated the session */
  terminatedBy: Failure | undefined;
  state: 'starting' | 'ready' | 'over';
  /** as the board said when {@link WorkerPool.endHung} looked last, and how often it has said so */
  steps: number | undefined;
  sameSteps: number;
  done: Promise<void>;
}

export class WorkerPool {
  readonly #host: ThreadHost | ChildHost;
  /** for a worker apart from the others, in a process, where they are in threads */
  #hostApart: ChildHost | undefined;
  readonly #options: WorkerPoolOptions;
  #listeners: WorkerPoolListeners | undefined;
  readonly #log: Logger;
  readonly #workers: Worker[] = [];
  #template: SessionTemplate | undefined;
  #initFailures = 0;
  /** some session has initialized its payload */
  #hasWorked = false;
  #closing = false;

  constructor(options: WorkerPoolOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
    this.#host = options.isolation === 'process' ? new ChildHost(options) : new ThreadHost(options);
  }

  /** Begins a session in every worker. Once. */
  start(template: SessionTemplate, listeners: WorkerPoolListeners): void {
    this.#template = template;
    this.#listeners = listeners;
    for (let workerIndex = 0; workerIndex < this.#options.workerCount; workerIndex += 1) this.#add(this.#host);
  }

  /** Begins a worker in a process for what must not run in this one, unless all of them do. Twice is harmless. */
  startApart(): void {
    if (this.#host instanceof ChildHost || this.#hostApart !== undefined || this.#closing) return;
    this.#hostApart = new ChildHost({ ...this.#options, workerCount: 0 });
    this.#add(this.#hostApart);
  }

  /** From now on workers write what they execute to files, for whoever looks after a death of the whole program. */
  recordExecutions(): void {
    if (this.#host instanceof ThreadHost) this.#host.record();
  }

  #add(host: SessionHost): void {
    const worker: Worker = {
      workerIndex: this.#workers.length,
      host,
      session: 0,
      peer: '',
      abort: new AbortController(),
      board: undefined,
      terminatedBy: undefined,
      state: 'starting',
      steps: undefined,
      sameSteps: 0,
      done: Promise.resolve(),
    };
    this.#workers.push(worker);
    worker.done = this.#begin(worker);
  }

  /** The session of this worker has initialized its payload. */
  noteReady(workerIndex: number): void {
    this.#initFailures = 0;
    this.#hasWorked = true;
    const worker = this.#workers[workerIndex];
    if (worker !== undefined) worker.state = 'ready';
  }

  /** `initialize` threw. The session is over; another one tries, up to the limit. */
  noteInitFailed(workerIndex: number, error: GranuleError): void {
    const worker = this.#workers[workerIndex];
    if (worker !== undefined) worker.state = 'over';
    if (this.#closing) return;
    this.#initFailures += 1;
    if (this.#initFailures >= INIT_FAILURES_MAX) {
      const seeLog = `see ${join(this.#options.workersFolder, `worker_${workerIndex}`, WORKER_LOG_NAME)}`;
      this.#closing = true;
      this.#listeners?.onFatal(
        new GranuleError(
          this.#hasWorked ? 'WORKERS_LOST' : 'PAYLOAD_INIT_FAILED',
          `payload ${this.#template?.processingTag} failed to initialize ${this.#initFailures} times in a row: ${error.message}`,
          { cause: error, remedy: error.remedy === undefined ? seeLog : `${error.remedy}, or ${seeLog}` },
        ),
      );
      return;
    }
    this.#beginAgain(workerIndex);
  }

  /** The session sent its last message. `again`: another one takes its place. */
  noteLeft(workerIndex: number, again: boolean): void {
    const worker = this.#workers[workerIndex];
    if (worker !== undefined) worker.state = 'over';
    if (again) this.#beginAgain(workerIndex);
  }

  /**
   * Ends a worker that runs foreign code; the session dies of `failure`. A worker that waits for tokens is left alone:
   * nothing happens and the answer is false.
   */
  terminate(workerIndex: number, failure: Failure): boolean {
    const worker = this.#workers[workerIndex];
    if (worker === undefined || worker.state === 'over') return false;
    return this.#terminate(worker, failure, false);
  }

  #terminate(worker: Worker, failure: Failure, alsoIdle: boolean): boolean {
    if (worker.board?.doom(alsoIdle) !== true) return false;
    worker.terminatedBy = failure;
    worker.abort.abort();
    return true;
  }

  /** Ends every worker whose payload has not come back from `initialize` or `finalize` for so long. */
  endHung(limitMs: number): void {
    for (const { workerIndex, board } of this.#workers) {
      const running = board?.inHook();
      if (running === undefined || boardTimeMs() - running.startedAtMs <= limitMs) continue;
      const message = `${running.hook} has not come back after ${formatDuration(limitMs)}`;
      this.terminate(workerIndex, { cause: 'timeout', message, logTail: [] });
    }
  }

  /**
   * Ends every worker that has something to do and does nothing, in no event and no hook: what its payload has left behind
   * (a timer, a promise's callback) keeps its thread busy. To be called at regular intervals.
   *
   * @param looksMax how many times in a row it may look like that: not a time, since this process may stand still, too
   */
  endDeaf(looksMax: number): void {
    for (const worker of this.#workers) {
      const steps = worker.board?.stepsBetweenEvents();
      worker.sameSteps = steps !== undefined && steps === worker.steps ? worker.sameSteps + 1 : 0;
      worker.steps = steps;
      if (worker.sameSteps > looksMax) this.#terminate(worker, KEPT_BUSY, true);
    }
  }

  /** No session that ends is followed by another one any more. */
  replaceNoMore(): void {
    this.#closing = true;
  }

  /** There is nothing left for workers to do: those that are not ready yet need not become so. */
  endStarting(): void {
    this.#closing = true;
    for (const { workerIndex, state } of this.#workers) {
      if (state === 'starting') this.terminate(workerIndex, NOT_NEEDED);
    }
  }

  /**
   * Ends every worker that runs foreign code. Those that wait for tokens are ended by the scatterer's message.
   *
   * @param alsoIdle ends those, too: they have not heeded it
   */
  terminateAll(failure: Failure, alsoIdle = false): void {
    this.#closing = true;
    for (const worker of this.#workers)
      if (alsoIdle || worker.state !== 'over') this.#terminate(worker, failure, alsoIdle);
  }

  /** Resolves when every session is over; no new ones begin from now on. */
  async sessionsOver(): Promise<void> {
    this.#closing = true;
    await Promise.all(this.#workers.map((worker) => worker.done));
  }

  /** Ends the threads or processes. Only after {@link sessionsOver}. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#host.close();
    await this.#hostApart?.close();
  }

  #beginAgain(workerIndex: number): void {
    const worker = this.#workers[workerIndex];
    if (worker === undefined || this.#closing) return;
    if (endingThreadCount() > STUCK_THREADS_MAX) {
      this.#closing = true;
      this.#listeners?.onFatal(tooManyStuck());
      return;
    }
    // After the old session has ended: its thread can be used again then.
    worker.done = worker.done.then(() => (this.#closing ? undefined : this.#begin(worker)));
  }

  /** Resolves when the session is over; never rejects. */
  #begin(worker: Worker): Promise<void> {
    const template = this.#template;
    assert(template !== undefined, 'the pool was started');
    worker.session += 1;
    worker.peer = `worker-${worker.workerIndex}-${worker.session}`;
    worker.abort = new AbortController();
    worker.terminatedBy = undefined;
    worker.state = 'starting';
    worker.steps = undefined;
    const { peer, workerIndex } = worker;
    const folder = join(this.#options.workersFolder, `worker_${workerIndex}`);
    mkdirSync(folder, { recursive: true });
    const board = worker.host.createBoard(workerIndex);
    worker.board = board;
    this.#listeners?.onSession(peer, { workerIndex, board, apart: worker.host === this.#hostApart });
    const data: SessionData = { ...template, workerIndex, peer, folder, board: board.place };
    return worker.host
      .run(data, board, worker.abort.signal)
      .catch((error: unknown) => this.#noteDeath(worker, peer, error))
      .finally(() => board.close());
  }

  #noteDeath(worker: Worker, peer: string, error: unknown): void {
    if (worker.peer !== peer || worker.state === 'over') return;
    const failure = worker.terminatedBy ?? failureOf(error);
    this.#log.warn({ workerIndex: worker.workerIndex, cause: failure.cause, reason: failure.message }, 'worker died');
    const wasStarting = worker.state === 'starting';
    worker.state = 'over';
    const { workerIndex, board } = worker;
    const tell = (): void =>
      this.#listeners?.onDeath({ peer, workerIndex, failure, replaced: !this.#closing, hook: board?.inHook()?.hook });
    if (wasStarting) {
      const remedy = failure.cause === 'timeout' ? { remedy: HOOK_REMEDY } : {};
      const cause = new GranuleError('PAYLOAD_INIT_FAILED', failure.message, { cause: error, ...remedy });
      tell();
      this.noteInitFailed(workerIndex, cause);
      return;
    }
    this.#beginAgain(workerIndex);
    tell();
  }
}

const KEPT_BUSY: Failure = {
  cause: 'timeout',
  message: 'what the payload has left behind keeps the worker busy although no event is in execution',
  logTail: [],
};

const NOT_NEEDED: Failure = { cause: 'cancelled', message: 'the run is over', logTail: [] };

function failureOf(error: unknown): Failure {
  if (error instanceof SessionDeath) return error.failure;
  return { cause: 'worker-died', message: describeThrown(error).message, logTail: [] };
}

function tooManyStuck(): GranuleError {
  return new GranuleError(
    'WORKERS_STUCK',
    `${endingThreadCount()} worker threads were told to end and live on: the payload calls native code that never returns`,
    { remedy: 'run again with --isolation process, where such a worker is killed' },
  );
}
