/**
 * Sessions in worker threads: the only door to piscina. One long-running task of its pool per session.
 *
 * `terminate()` reaches JavaScript only. A thread in synchronous native code lives on, and another one takes its place
 * beside it; see `stuck-threads.ts` for what becomes of it.
 */
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import type * as piscina from 'piscina';
import { HEAP_RESERVE_MB } from '../../core/limits.ts';
import { builtModuleUrl, requirePackage } from '../../core/own-files.ts';
import { BOARD_NAME, BoardFile } from '../board/board-file.ts';
import type { SupervisedBoard } from '../board/board-sides.ts';
import { ExecutionBoard } from '../board/execution-board.ts';
import { failureOfDeath, OUT_OF_MEMORY } from '../worker/failures.ts';
import type { SessionData } from '../worker/session-data.ts';
import { HeapWatch, type WatchedThread } from './heap-watch.ts';
import { collectWithoutHelpers } from './helper-threads.ts';
import { SessionDeath, type SessionHost } from './session-host.ts';
import { watchEnding } from './stuck-threads.ts';
import { ThreadHeaps } from './thread-heaps.ts';

const { Piscina } = requirePackage('piscina') as typeof piscina;

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
    this.#noteNewThreads();
    // Piscina puts another one in its place right after this.
    this.#pool.on('workerDestroy', () => queueMicrotask(() => this.#noteNewThreads()));
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
    this.#heapWatch?.add(watched);
    try {
      const over = this.#pool.run(data, { signal: ended });
      this.#noteNewThreads();
      await over;
    } catch (error) {
      throw new SessionDeath(aboveLimit.signal.aborted ? OUT_OF_MEMORY : failureOfDeath(error), error);
    } finally {
      this.#heapWatch?.remove(watched);
      ended.removeEventListener('abort', terminated);
    }
  }

  async close(): Promise<void> {
    this.#heapWatch?.close();
    await Promise.all(this.#loading.values());
    await this.#pool.destroy();
  }

  /** The first message of each, which is piscina's, says that it is loaded. */
  #noteNewThreads(): void {
    for (const thread of this.#pool.threads) {
      if (this.#known.has(thread)) continue;
      this.#known.add(thread);
      const loaded = new Promise<void>((resolve) => {
        thread.once('message', () => resolve());
        thread.once('exit', () => resolve());
      });
      this.#loading.set(
        thread,
        loaded.then(() => {
          this.#loading.delete(thread);
        }),
      );
    }
  }

  #threadOf(nodeThreadID: number): Worker | undefined {
    return this.#pool.threads.find((thread) => thread.threadId === nodeThreadID);
  }
}
