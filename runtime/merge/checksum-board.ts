/**
 * CRC-32 sums of what stands in shared memory, computed by whichever of two threads comes to it first. The *poster* (the
 * merger thread) posts a sum as soon as it has read the bytes, reads on, and takes the sum before it uses them. By then
 * the *helper* (`checksum.thread.ts`) has it; or has not begun, for want of a core, and the poster computes it itself.
 *
 * States of an entry: *free* → *posted* (poster) → *taken* → *done* (helper) → *free* (poster), or back from *posted* to
 * *free* when the poster computes the sum. Whoever changes a state does it by compare-and-exchange, or owns the entry.
 */
import { crc32 } from 'node:zlib';
import { CHECKSUM_BOARD_ENTRIES, CHECKSUM_WAIT_MS } from '../../core/limits.ts';

const FREE = 0;
const POSTED = 1;
const TAKEN = 2;
const DONE = 3;

/** The first word: counts posts, so that a helper which has seen all of them can wait for the next. */
const POST_COUNT = 0;
/** Words of an entry. */
const STATE = 0;
const OFFSET_BYTES = 1;
const LENGTH_BYTES = 2;
/** sum of what precedes the bytes */
const SEED = 3;
const SUM = 4;
const ENTRY_WORDS = 5;

/** The board as it crosses to the helper. */
export interface ChecksumBoardMemory {
  readonly words: SharedArrayBuffer;
  /** what is summed */
  readonly bytes: SharedArrayBuffer;
}

export class ChecksumBoard {
  readonly memory: ChecksumBoardMemory;
  /** all that can be summed; the poster's to write */
  readonly bytes: Buffer;
  readonly #words: Int32Array;
  #posted = 0;

  constructor(memory: ChecksumBoardMemory) {
    this.memory = memory;
    this.bytes = Buffer.from(memory.bytes);
    this.#words = new Int32Array(memory.words);
  }

  static create(sizeBytes: number): ChecksumBoard {
    const wordCount = 1 + CHECKSUM_BOARD_ENTRIES * ENTRY_WORDS;
    return new ChecksumBoard({
      words: new SharedArrayBuffer(wordCount * Int32Array.BYTES_PER_ELEMENT),
      bytes: new SharedArrayBuffer(sizeBytes),
    });
  }

  /**
   * Asks for the sum of `bytes` in [offset, offset + length), which must stay as they are until it is taken or dropped.
   *
   * @param seed sum of what precedes them
   * @returns the ticket to take it with; undefined when the board is full
   */
  post(offsetBytes: number, lengthBytes: number, seed: number): number | undefined {
    const entry = entryAt(this.#posted % CHECKSUM_BOARD_ENTRIES);
    const words = this.#words;
    if (Atomics.load(words, entry + STATE) !== FREE) return undefined;
    words[entry + OFFSET_BYTES] = offsetBytes;
    words[entry + LENGTH_BYTES] = lengthBytes;
    words[entry + SEED] = seed;
    Atomics.store(words, entry + STATE, POSTED);
    Atomics.add(words, POST_COUNT, 1);
    Atomics.notify(words, POST_COUNT);
    this.#posted += 1;
    return entry;
  }

  /** The sum, once for each ticket. */
  take(ticket: number): number {
    const words = this.#words;
    if (Atomics.compareExchange(words, ticket + STATE, POSTED, FREE) === POSTED) return this.#sum(ticket);
    while (Atomics.load(words, ticket + STATE) === TAKEN) {
      // A helper that does not come back keeps the entry: the board is as good as full, and all sums are computed here.
      if (Atomics.wait(words, ticket + STATE, TAKEN, CHECKSUM_WAIT_MS) === 'timed-out') return this.#sum(ticket);
    }
    const sum = words[ticket + SUM] as number;
    Atomics.store(words, ticket + STATE, FREE);
    return sum >>> 0;
  }

  /** Gives up the sums that were not taken. */
  clear(): void {
    for (let index = 0; index < CHECKSUM_BOARD_ENTRIES; index += 1) {
      const entry = entryAt(index);
      if (Atomics.load(this.#words, entry + STATE) !== FREE) this.take(entry);
    }
  }

  /** Computes what is posted, and waits for more, for ever: the helper's life. */
  serve(): never {
    for (;;) {
      const seen = Atomics.load(this.#words, POST_COUNT);
      this.computePosted();
      Atomics.wait(this.#words, POST_COUNT, seen);
    }
  }

  /** Computes what is posted now. */
  computePosted(): void {
    const words = this.#words;
    for (let index = 0; index < CHECKSUM_BOARD_ENTRIES; index += 1) {
      const entry = entryAt(index);
      if (Atomics.compareExchange(words, entry + STATE, POSTED, TAKEN) !== POSTED) continue;
      words[entry + SUM] = this.#sum(entry);
      Atomics.store(words, entry + STATE, DONE);
      Atomics.notify(words, entry + STATE);
    }
  }

  #sum(entry: number): number {
    const words = this.#words;
    const offset = words[entry + OFFSET_BYTES] as number;
    const length = words[entry + LENGTH_BYTES] as number;
    return crc32(this.bytes.subarray(offset, offset + length), (words[entry + SEED] as number) >>> 0);
  }
}

function entryAt(index: number): number {
  return 1 + index * ENTRY_WORDS;
}
