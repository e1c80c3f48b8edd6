/**
 * The heap watch: keeps the heaps of worker threads below granule's limit. On the main thread.
 *
 * V8 has a limit of its own, but a thread that reaches it with one large value (the memory of an array or a map that
 * grows, a long string) takes the process with it. So V8's limit lies {@link HEAP_RESERVE_MB} above ours, and a thread that
 * is found above ours, with its garbage collected, is ended.
 *
 * Threads are asked only when the process as a whole holds more than one of them may, beside the little that each of
 * the others has: all of them when it has just grown, else one after the other. While it holds less than half of that
 * it is looked at seldom: each look takes its time from a worker where all cores compute.
 */
import {
  HEAP_ANSWER_MS,
  HEAP_CHECK_FAR_MS,
  HEAP_CHECK_MS,
  HEAP_GROWTH_PART,
  HEAP_THREAD_BYTES_MIN,
} from '../../core/limits.ts';
import { ThreadHeaps } from './thread-heaps.ts';

const MiB = 1024 * 1024;

/** What V8 collects while an older collection is under way may leave garbage behind; the second time nothing is left. */
const COLLECTIONS = 2;

export interface WatchedThread {
  /** 0 while it is not known */
  readonly nodeThreadID: number;
  /** Its heap is above the limit. If it must not be ended right now nothing happens, and it is asked again. */
  end(): void;
}

export class HeapWatch {
  readonly #limitBytes: number;
  /** in the order in which they are asked */
  readonly #threads = new Set<WatchedThread>();
  /** who has not answered yet, and since when (`performance.now()`): native code does not before it is over */
  readonly #asked = new Map<WatchedThread, number>();
  #timer: NodeJS.Timeout | undefined;
  /** the least that the process has held since all were asked */
  #leastBytes = Number.POSITIVE_INFINITY;

  constructor(limitMB: number) {
    this.#limitBytes = limitMB * MiB;
    this.#checkAfter(HEAP_CHECK_MS);
  }

  add(thread: WatchedThread): void {
    this.#threads.add(thread);
  }

  remove(thread: WatchedThread): void {
    this.#threads.delete(thread);
    this.#asked.delete(thread);
  }

  /** Twice is harmless. */
  close(): void {
    clearTimeout(this.#timer);
    this.#threads.clear();
  }

  #checkAfter(delayMs: number): void {
    this.#timer = setTimeout(() => {
      const heldBytes = process.memoryUsage.rss();
      const harmlessBytes = this.#limitBytes + (this.#threads.size - 1) * HEAP_THREAD_BYTES_MIN;
      this.#leastBytes = Math.min(this.#leastBytes, heldBytes);
      this.#checkAfter(heldBytes < harmlessBytes / 2 ? HEAP_CHECK_FAR_MS : HEAP_CHECK_MS);
      if (this.#threads.size > 0 && heldBytes >= harmlessBytes) this.#askSome(heldBytes);
    }, delayMs).unref();
  }

  #askSome(heldBytes: number): void {
    ThreadHeaps.open().then(
      (heaps) => this.#askThreads(heaps, heldBytes),
      // V8's own limit is left.
      () => this.close(),
    );
  }

  #askThreads(heaps: ThreadHeaps, heldBytes: number): void {
    if (heldBytes - this.#leastBytes > HEAP_GROWTH_PART * this.#limitBytes) {
      this.#leastBytes = heldBytes;
      for (const thread of this.#threads) this.#ask(heaps, thread);
      return;
    }
    const [next] = this.#threads;
    if (next === undefined) return;
    this.#threads.delete(next);
    this.#threads.add(next);
    this.#ask(heaps, next);
  }

  #ask(heaps: ThreadHeaps, thread: WatchedThread): void {
    const nowMs = performance.now();
    if (thread.nodeThreadID === 0 || nowMs - (this.#asked.get(thread) ?? Number.NEGATIVE_INFINITY) < HEAP_ANSWER_MS)
      return;
    this.#asked.set(thread, nowMs);
    void this.#isAboveLimit(heaps, thread.nodeThreadID).then((isAbove) => {
      this.#asked.delete(thread);
      if (isAbove && this.#threads.has(thread)) thread.end();
    });
  }

  /** Never rejects. */
  async #isAboveLimit(heaps: ThreadHeaps, nodeThreadID: number): Promise<boolean> {
    let usedBytes = await heaps.usedBytes(nodeThreadID);
    for (let round = 0; round < COLLECTIONS; round += 1) {
      if (usedBytes === undefined || usedBytes <= this.#limitBytes) return false;
      usedBytes = await heaps.usedBytesWithoutGarbage(nodeThreadID);
    }
    return usedBytes !== undefined && usedBytes > this.#limitBytes;
  }
}
