/**
 * Who may execute a token of a worker's batch: a word of shared memory for each of the two batches that a worker can have,
 * the one it executes and the next one. Batch `n` uses word `n % 2`: batch `n + 2` is opened only when `n` is known to be
 * finished.
 *
 * Low half of a word: the next unclaimed token; high half: the end of the batch. Changed by compare-and-exchange from
 * both sides, so a token is either claimed by the worker or taken back by the supervisor, never both.
 */
import { assert } from '../../core/assert.ts';
import { BATCHES_PER_WORKER, CREDIT_MAX } from '../../core/limits.ts';

export class BatchClaims {
  readonly #words: Int32Array;

  /** @param words one for each batch that a worker can have */
  constructor(words: Int32Array) {
    this.#words = words;
  }

  // --- the supervisor's side

  /** Opens a batch before it is sent. Only when the worker has finished the one that used the same word. */
  open(batch: number, count: number): void {
    assert(count > 0 && count <= CREDIT_MAX, 'a batch fits the claim word');
    Atomics.store(this.#words, wordOf(batch), count << 16);
  }

  /** True once the worker has claimed a token of the batch. */
  isBegun(batch: number): boolean {
    return (Atomics.load(this.#words, wordOf(batch)) & 0xffff) > 0;
  }

  /** Tokens of the batch that can still be taken back. */
  unclaimed(batch: number): number {
    const word = Atomics.load(this.#words, wordOf(batch));
    return (word >>> 16) - (word & 0xffff);
  }

  /**
   * Takes back up to `count` unclaimed tokens from the end of the batch.
   *
   * @returns how many; they are the last ones of the batch as it was before
   */
  takeBack(batch: number, count: number): number {
    for (;;) {
      const word = Atomics.load(this.#words, wordOf(batch));
      const next = word & 0xffff;
      const end = word >>> 16;
      const taken = Math.min(count, end - next);
      if (taken <= 0) return 0;
      const rest = ((end - taken) << 16) | next;
      if (Atomics.compareExchange(this.#words, wordOf(batch), word, rest) === word) return taken;
    }
  }

  // --- the worker's side

  /** The index of the next token of the batch, or -1 when none is left. */
  claim(batch: number): number {
    for (;;) {
      const word = Atomics.load(this.#words, wordOf(batch));
      const next = word & 0xffff;
      if (next >= word >>> 16) return -1;
      if (Atomics.compareExchange(this.#words, wordOf(batch), word, word + 1) === word) return next;
    }
  }
}

function wordOf(batch: number): number {
  return batch % BATCHES_PER_WORKER;
}
