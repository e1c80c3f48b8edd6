/**
 * Threads that index files into one event index. Belongs to the main thread.
 *
 * Requests are queued; a thread is started when there is a request and none has room for it, up to the maximum. Remote
 * files, which mostly wait, share a thread of their own, so that local ones never wait for a server. After `close` nothing
 * new is taken, what is queued is done, and the threads end by themselves. A thread that dies fails the requests it had
 * and is replaced when there is work.
 */
import { existsSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { assert } from '../../core/assert.ts';
import { deserialiseError, GranuleError } from '../../core/errors.ts';
import { Fifo } from '../../core/fifo.ts';
import type { Guid } from '../../core/ids.ts';
import { LOCAL_FILES_GIVEN_MAX, LOCAL_FILES_SHARE, REMOTE_FILES_ASKED_MAX } from '../../core/limits.ts';
import { builtModuleUrl } from '../../core/own-files.ts';
import { isRemotePlace } from '../remote/place.ts';
import type { SourceOptions } from '../remote/source-options.ts';
import { chooseTree } from '../root/tree-choice.ts';
import { type Cancellation, Cancellations } from './cancellation.ts';
import type {
  IndexAnswer,
  IndexingReply,
  IndexingRequest,
  IndexingTask,
  IndexingThreadData,
  RemoteFile,
  ToIndexingThread,
  VerifyAnswer,
} from './indexing-messages.ts';

export type { IndexAnswer, RemoteFile, VerifyAnswer } from './indexing-messages.ts';

export interface IndexingPoolOptions {
  /** folder of the event index, created if need be */
  readonly indexPath: string;
  /** threads at most for local files; one more is for remote ones */
  readonly threadsMax: number;
  /** how servers are asked; needed to index remote files */
  readonly sources?: SourceOptions;
  /**
   * of ROOT files: the tree whose entries are the events, null for the only one; when absent, the choice is left to
   * whoever uses the records
   */
  readonly tree?: string | null;
  /** of ROOT files, with `tree`: names and patterns of the branches that will be read; empty for all */
  readonly branches?: readonly string[];
}

type Answered = Extract<IndexingReply, { kind: 'indexed' | 'branches-checked' | 'verified' }>;

/** Where a file is read from, which decides who reads it. */
type Kind = 'local' | 'remote';

interface Job {
  readonly request: IndexingRequest;
  readonly cancellation: Cancellation<Job>;
  readonly resolve: (reply: Answered) => void;
  readonly reject: (error: unknown) => void;
}

/** States: `starting` → `serving` → `ending`. */
interface Thread {
  readonly kind: Kind;
  readonly worker: Worker;
  state: 'starting' | 'serving' | 'ending';
  /** by the request's id */
  readonly jobs: Map<number, Job>;
}

export class IndexingPool {
  readonly #options: IndexingPoolOptions;
  /** answers that need no thread */
  #unchanged: ReadonlyMap<string, IndexAnswer> = new Map();
  readonly #queues: Readonly<Record<Kind, Fifo<Job>>> = { local: new Fifo(), remote: new Fifo() };
  readonly #cancellations = new Cancellations<Job>((jobs, reason) => this.#cancel(jobs, reason));
  #lastID = 0;
  /** callers that have not been answered: one may ask a thread several things */
  #callCount = 0;
  readonly #threads = new Set<Thread>();
  #closing: Promise<void> | undefined;
  /** resolves `#closing` */
  #closed: () => void = () => undefined;

  constructor(options: IndexingPoolOptions) {
    this.#options = options;
  }

  /**
   * Has files that the index knows as they are now answered without a thread. Before anything else is asked: the index
   * is not open twice in one process.
   *
   * @throws STORE_VERSION, STORE_FAILED
   */
  async skipUnchanged(paths: readonly string[]): Promise<void> {
    if (!existsSync(this.#options.indexPath)) return;
    const { findAllUnchanged } = await import('./unchanged-files.ts');
    this.#unchanged = await findAllUnchanged(this.#options.indexPath, paths);
  }

  /**
   * Indexes a file, unless the event index knows the path and the file has not changed since; when the promise
   * resolves, the index is on disk.
   *
   * @param options.acceptChange a path whose content changed stands for the new content from now on
   * @throws what `indexFile` throws, INPUT_TREE_UNKNOWN (also for branches), STORE_FAILED, and the signal's reason
   */
  async index(
    path: string,
    options: { readonly signal?: AbortSignal | undefined; readonly acceptChange?: boolean } = {},
  ): Promise<IndexAnswer> {
    const { signal, acceptChange = false } = options;
    return this.#call(signal, async () => {
      const answer =
        this.#unchanged.get(path) ?? answerOf(await this.#ask({ kind: 'index', path, acceptChange }, signal));
      return this.#withTree(answer, [path], signal);
    });
  }

  /**
   * The same for a file behind URLs: see `runtime/remote/index-remote.ts`.
   *
   * @throws what reading it from its servers throws, too
   */
  async indexRemote(
    file: RemoteFile,
    options: { readonly signal?: AbortSignal | undefined; readonly acceptChange?: boolean } = {},
  ): Promise<IndexAnswer> {
    const { signal, acceptChange = false } = options;
    return this.#call(signal, async () => {
      const reply = await this.#ask({ kind: 'index-remote', file, acceptChange }, signal);
      return this.#withTree(answerOf(reply), file.places, signal);
    });
  }

  /**
   * Reads a file again, past every cache, and compares it with what the index keeps for `guid`.
   *
   * @param place absolute path or URL
   * @throws what reading and indexing throw
   */
  async verify(guid: Guid, place: string, signal?: AbortSignal): Promise<VerifyAnswer> {
    const reply = await this.#call(signal, () => this.#ask({ kind: 'verify', place, guid }, signal));
    assert(reply.kind === 'verified', 'a request to verify is answered as such');
    return reply.answer;
  }

  /** Takes nothing new, finishes what was asked for, ends the threads. Any number of times. */
  close(): Promise<void> {
    this.#closing ??= new Promise<void>((resolve) => {
      this.#closed = resolve;
    });
    this.#advance();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #withTree(
    answer: IndexAnswer,
    places: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<IndexAnswer> {
    const { tree, branches = [] } = this.#options;
    if (tree === undefined) return answer;
    const record = chooseTree(answer.record, tree);
    if (record.trees !== undefined && branches.length > 0) {
      await this.#ask({ kind: 'check-branches', record, places, branches }, signal);
    }
    return { ...answer, record };
  }

  /** Keeps the threads until the whole of what a caller wants is done: what was asked for before `close` is finished. */
  async #call<Answer>(signal: AbortSignal | undefined, action: () => Promise<Answer>): Promise<Answer> {
    signal?.throwIfAborted();
    assert(this.#closing === undefined, 'nothing is asked of a pool that closes');
    this.#callCount += 1;
    try {
      return await action();
    } finally {
      this.#callCount -= 1;
      if (this.#closing !== undefined) this.#advance();
    }
  }

  #ask(task: IndexingTask, signal: AbortSignal | undefined): Promise<Answered> {
    const cancellation = this.#cancellations.of(signal);
    this.#lastID += 1;
    const request = { kind: 'request', id: this.#lastID, task, cancelled: cancellation.cancelled } as const;
    return new Promise<Answered>((resolve, reject) => {
      const job: Job = { request, cancellation, resolve, reject };
      cancellation.waiting.add(job);
      this.#queues[isAboutServer(task) ? 'remote' : 'local'].push(job);
      this.#advance();
    });
  }

  #cancel(jobs: ReadonlySet<Job>, reason: unknown): void {
    for (const queue of Object.values(this.#queues)) queue.retain((job) => !jobs.has(job));
    for (const thread of this.#threads) {
      for (const [id, job] of thread.jobs) {
        if (jobs.has(job)) thread.worker.postMessage({ kind: 'cancel', id } satisfies ToIndexingThread);
      }
    }
    for (const job of jobs) job.reject(reason);
  }

  /**
   * Requests that a thread has at once. Of local files it reads one at a time, and has others so that what it read is
   * committed together; few when few are left, so that no thread waits while another one has several.
   */
  #jobsMax(kind: Kind): number {
    if (kind === 'remote') return REMOTE_FILES_ASKED_MAX;
    const share = Math.floor(this.#queues.local.length / (LOCAL_FILES_SHARE * this.#options.threadsMax));
    return Math.max(1, Math.min(LOCAL_FILES_GIVEN_MAX, share));
  }

  /** Gives queued jobs to threads with room, starts threads that are missing, ends those that are not needed any more. */
  #advance(): void {
    const counts = { local: 0, remote: 0 };
    const starting = { local: 0, remote: 0 };
    for (const thread of this.#threads) {
      const { kind, state, jobs, worker } = thread;
      counts[kind] += 1;
      if (state === 'starting') starting[kind] += 1;
      if (state !== 'serving') continue;
      const jobsMax = this.#jobsMax(kind);
      while (jobs.size < jobsMax) {
        const job = this.#queues[kind].shift();
        if (job === undefined) break;
        jobs.set(job.request.id, job);
        worker.postMessage(job.request satisfies ToIndexingThread);
      }
      if (jobs.size > 0 || this.#callCount > 0 || this.#closing === undefined) continue;
      thread.state = 'ending';
      worker.postMessage({ kind: 'end' } satisfies ToIndexingThread);
    }
    const missing = Math.min(this.#queues.local.length - starting.local, this.#options.threadsMax - counts.local);
    for (let count = 0; count < missing; count += 1) this.#startThread('local');
    if (this.#queues.remote.length > 0 && counts.remote === 0) this.#startThread('remote');
    if (this.#threads.size === 0 && this.#callCount === 0) this.#closed();
  }

  #startThread(kind: Kind): void {
    const { indexPath, sources = null } = this.#options;
    const workerData: IndexingThreadData = { indexPath, sources };
    const worker = new Worker(builtModuleUrl('runtime/indexing/indexing.thread.ts'), { workerData });
    const thread: Thread = { kind, worker, state: 'starting', jobs: new Map() };
    this.#threads.add(thread);
    worker.on('message', (reply: IndexingReply) => this.#receive(thread, reply));
    worker.on('error', (error) => this.#threadEnded(thread, error));
    worker.on('exit', (code) => {
      this.#threadEnded(thread, new GranuleError('INTERNAL', `an indexing thread ended with code ${code}`));
    });
  }

  #receive(thread: Thread, reply: IndexingReply): void {
    switch (reply.kind) {
      case 'ready':
        thread.state = 'serving';
        break;
      case 'broken':
        this.#threadEnded(thread, deserialiseError(reply.error));
        return;
      default: {
        const job = thread.jobs.get(reply.id);
        thread.jobs.delete(reply.id);
        job?.cancellation.waiting.delete(job);
        if (reply.kind === 'failed') job?.reject(deserialiseError(reply.error));
        else job?.resolve(reply);
      }
    }
    this.#advance();
  }

  #threadEnded(thread: Thread, error: Error): void {
    if (!this.#threads.delete(thread)) return;
    // A thread that could not begin fails everybody who waits: another one would fare no better.
    const failed = thread.state === 'starting' ? this.#queues[thread.kind].clear() : thread.jobs.values();
    for (const job of failed) {
      job.cancellation.waiting.delete(job);
      job.reject(error);
    }
    this.#advance();
  }
}

function answerOf(reply: Answered): IndexAnswer {
  assert(reply.kind === 'indexed', 'a request to index is answered as such');
  return reply.answer;
}

function isAboutServer(task: IndexingTask): boolean {
  if (task.kind === 'check-branches') return task.places.some(isRemotePlace);
  return task.kind === 'index-remote' || (task.kind === 'verify' && isRemotePlace(task.place));
}
