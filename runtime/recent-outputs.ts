/**
 * Recent outputs: memory in which worker threads leave copies of the small files that they have put in place, so that
 * the merger need not open them. To the kernel a small file is more work than its bytes: most of what merging it costs.
 *
 * It promises nothing, and needs no locks for that. A copy may be overwritten at any moment, by a later one or in part
 * by a thread that is ended in the midst of it. Whoever takes a copy checks it as the file would be checked, by its CRC-32,
 * and reads the file if it is wrong.
 *
 * The memory is a ring of bytes, begun again at the front, and a table of where in it each range's copies lie. Ranges are
 * executed nearly in order, so neighbours in the table are neighbours in time.
 */
import type { OutputRecord } from '../core/dispatcher-api.ts';
import { RECENT_OUTPUTS_BYTES, RECENT_OUTPUTS_MAX } from '../core/limits.ts';

/** Total of the bytes ever left, modulo 2^32: a multiple of the ring's size. */
const HEAD_WORDS = 1;
/** Place in the ring and CRC-32. */
const ENTRY_WORDS = 2;
const WORD_BYTES = Int32Array.BYTES_PER_ELEMENT;
const TABLE_BYTES = WORD_BYTES * (HEAD_WORDS + ENTRY_WORDS * RECENT_OUTPUTS_MAX);

export class RecentOutputs {
  readonly #streams: readonly string[];
  readonly #head: Int32Array;
  readonly #table: Int32Array;
  readonly #ring: Uint8Array;

  /** Memory without copies, to be given to all threads of a run. It is taken from the machine as it is used. */
  static createMemory(): SharedArrayBuffer {
    return new SharedArrayBuffer(TABLE_BYTES + RECENT_OUTPUTS_BYTES);
  }

  /** @param streams names of the task's streams, to all threads in the same order */
  constructor(memory: SharedArrayBuffer, streams: readonly string[]) {
    this.#streams = streams;
    this.#head = new Int32Array(memory, 0, HEAD_WORDS);
    this.#table = new Int32Array(memory, HEAD_WORDS * WORD_BYTES, ENTRY_WORDS * RECENT_OUTPUTS_MAX);
    this.#ring = new Uint8Array(memory, TABLE_BYTES, RECENT_OUTPUTS_BYTES);
  }

  /** @param bytes all of a file with one range's output */
  leave(rangeIndex: number, output: OutputRecord, bytes: Uint8Array): void {
    let place: number;
    do place = (Atomics.add(this.#head, 0, bytes.length) >>> 0) % RECENT_OUTPUTS_BYTES;
    while (place + bytes.length > RECENT_OUTPUTS_BYTES);
    this.#ring.set(bytes, place);
    const entry = this.#entryOf(rangeIndex, output.stream);
    this.#table[entry] = place;
    this.#table[entry + 1] = output.crc32;
  }

  /**
   * Fills `into`, which is as long as the output. Returns false when there is no copy. What it fills in may be a copy of
   * which a part was overwritten: check its sum.
   */
  copy(rangeIndex: number, output: OutputRecord, into: Uint8Array): boolean {
    const entry = this.#entryOf(rangeIndex, output.stream);
    // Signed in the table.
    if (this.#table[entry + 1] !== (output.crc32 | 0) || into.length === 0) return false;
    const place = this.#table[entry] ?? 0;
    if (place + into.length > RECENT_OUTPUTS_BYTES) return false;
    into.set(this.#ring.subarray(place, place + into.length));
    return true;
  }

  #entryOf(rangeIndex: number, stream: string): number {
    const number = rangeIndex * this.#streams.length + this.#streams.indexOf(stream);
    return ENTRY_WORDS * (number % RECENT_OUTPUTS_MAX);
  }
}
