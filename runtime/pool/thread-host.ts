/**
 * Sessions in worker threads: the only door to piscina. One long-running task of its pool per session.
 *
 * `terminate()` reaches JavaScript only. A thread in synchronous native code lives on, and another one takes its place
 * beside it; see `stuck-threads.ts` for what becomes of it.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import type * as piscina from 'piscina';
import { HEAP_RESERVE_MB } from '../../core/limits.ts';
import { builtModuleUrl, requirePackage } from '../../core/own-files.ts';
import { BOARD_NAME, BoardFile } from '../board/board-file.ts';
import type { SupervisedBoard } from '../board/board-sides.ts';
import { ExecutionBoard } from '../board/execution-board.ts';
import { Slots } from '../slots.ts';
import { failureOfDeath, OUT_OF_MEMORY } from '../worker/failures.ts';
import type { SessionData } from '../worker/session-data.ts';
import { HeapWatch, type WatchedThread } from './heap-watch.ts';
import { collectWithoutHelpers } from './helper-threads.ts';
import { SessionDeath, type SessionHost } from './session-host.ts';
import { watchEnding } from './stuck-threads.ts';
import { ThreadHeaps } from './thread-heaps.ts';

const { Piscina } = requirePackage('piscina') as typeof piscina;

/**
 * Threads that load their modules at once. It takes each a tenth of a second of a core; beyond the cores there are they would
 * only take turns, and all of them be late. One core is left to what hands out the events.
 */
const LOADING_MAX = Math.max(1, availableParallelism() - 1);

interface BegunSession {
  readonly over: Promise<void>;
  /** the thread that it needed has loaded its modules; at once when it needed none. Never rejects */
  readonly loaded: Promise<void>;
}

export interface ThreadHostOptions {
  readonly workerCount: number;
  /** each worker's folder is `worker_<index>` in it */
  readonly workersFolder: string;
  /** heap limit of a thread */
  readonly heapMaxMB: number;
}

export class ThreadHost implements SessionHost {
  readonly #pool: piscina.Piscina;
  readonly #workersFolder: string;
  /** threads that load their modules, ZeroMQ among them: ending one then would abort the process */
  readonly #loading = new Map<Worker, Promise<void>>();
  readonly #known = new WeakSet<Worker>();
  readonly #loadingSlots = new Slots(LOADING_MAX);
  /** under way, or waiting for their turn */
  #sessionCount = 0;
  /** undefined where nobody can look into heaps: V8 keeps the limit then, as well as it can */
  readonly #heapWatch: HeapWatch | undefined;
  #recording = false;

  /**
   * The first thread starts now, while inputs are still being indexed, the others with their sessions: until then they
   * would only take turns with what the first event waits for.
   */
  constructor(options: ThreadHostOptions) {
    this.#workersFolder = options.workersFolder;
    this.#heapWatch = ThreadHeaps.areReadable ? new HeapWatch(options.heapMaxMB) : undefined;
    collectWithoutHelpers();
    this.#pool = new Piscina({
      filename: builtModuleUrl('runtime/worker/worker-session.thread.ts').href,
      minThreads: 1,
      maxThreads: options.workerCount,
      idleTimeout: Number.POSITIVE_INFINITY,
      maxQueue: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: 1,
      atomics: 'disabled',
      recordTiming: false,
      resourceLimits: {
        maxOldGenerationSizeMb: options.heapMaxMB + (this.#heapWatch === undefined ? 0 : HEAP_RESERVE_MB),
      },
    });
    // What a thread dies of is told by the session's own promise.
    this.#pool.on('error', () => undefined);
    void this.#loadingSlots.use(() => this.#newThreadsLoaded());
    // Right after this piscina puts another one in its place, if it was the only one.
    this.#pool.on('workerDestroy', () => queueMicrotask(() => void this.#newThreadsLoaded()));
  }

  /** From now on workers write what they execute to files, for whoever looks after a death of the whole program. */
  record(): void {
    this.#recording = true;
  }

  createBoard(workerIndex: number): SupervisedBoard {
    if (!this.#recording) return ExecutionBoard.forNewSession();
    const recordPath = join(this.#workersFolder, `worker_${workerIndex}`, BOARD_NAME);
    new BoardFile(recordPath).close();
    return ExecutionBoard.forNewSession(recordPath);
  }

  async run(data: SessionData, board: SupervisedBoard, signal: AbortSignal): Promise<void> {
    const terminated = (): void => {
      const thread = this.#threadOf(board.nodeThreadID);
      if (thread !== undefined) watchEnding(thread, board.systemThreadID);
    };
    const aboveLimit = new AbortController();
    const watched: WatchedThread = {
      get nodeThreadID() {
        return board.nodeThreadID;
      },
      end: () => {
        if (board.doom(true)) aboveLimit.abort();
      },
    };
    const ended = AbortSignal.any([signal, aboveLimit.signal]);
    // Before piscina's own listener, which lets go of the thread.
    ended.addEventListener('abort', terminated, { once: true });
    this.#sessionCount += 1;
    const begin = (): BegunSession => {
      this.#heapWatch?.add(watched);
      return { over: this.#pool.run(data, { signal: ended }), loaded: this.#newThreadsLoaded() };
    };
    try {
      // There is a thread for it, be it loading.
      if (this.#sessionCount <= this.#pool.threads.length) await begin().over;
      else await this.#beginInTurn(begin, board);
    } catch (error) {
      throw new SessionDeath(aboveLimit.signal.aborted ? OUT_OF_MEMORY : failureOfDeath(error), error);
    } finally {
      this.#sessionCount -= 1;
      this.#heapWatch?.remove(watched);
      ended.removeEventListener('abort', terminated);
    }
  }

  async close(): Promise<void> {
    this.#heapWatch?.close();
    await Promise.all(this.#loading.values());
    await this.#pool.destroy();
  }

  /** Begins a session when its turn has come to load a thread, unless the run is over by then. Resolves when it is over. */
  async #beginInTurn(begin: () => BegunSession, board: SupervisedBoard): Promise<void> {
    let over = Promise.resolve();
    await this.#loadingSlots.use(async () => {
      if (board instanceof ExecutionBoard && board.isDoomed) return;
      const begun = begin();
      over = begun.over;
      // Told below.
      over.catch(() => undefined);
      await begun.loaded;
    });
    await over;
  }

  /** Resolves when threads that are new now have loaded their modules: the first message of each, which is piscina's, says so. */
  async #newThreadsLoaded(): Promise<void> {
    const news: Promise<void>[] = [];
    for (const thread of this.#pool.threads) {
      if (this.#known.has(thread)) continue;
      this.#known.add(thread);
      const loaded = new Promise<void>((resolve) => {
        thread.once('message', () => resolve());
        thread.once('exit', () => resolve());
      });
      const noted = loaded.then(() => void this.#loading.delete(thread));
      this.#loading.set(thread, noted);
      news.push(noted);
    }
    await Promise.all(news);
  }

  #threadOf(nodeThreadID: number): Worker | undefined {
    return this.#pool.threads.find((thread) => thread.threadId === nodeThreadID);
  }
}
