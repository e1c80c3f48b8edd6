/**
 * CRC-32 of events while their file streams by, once. An indexer may name an event when it has seen all its bytes, or as soon
 * as it knows its length, with bytes to come; so bytes that belong to no event yet are kept, and an event that goes
 * on behind the chunk at hand is *open*. At most one is: events do not overlap, and are named in order.
 */
import { crc32 } from 'node:zlib';

const NOTHING = new Uint8Array(0);

export class EventChecksums {
  readonly #onSum: (crc: number) => void;
  /** copies of bytes before the chunk at hand that may belong to the next event */
  #held: Uint8Array[] = [];
  #heldFrom = 0;
  #chunk: Uint8Array = NOTHING;
  #chunkFrom = 0;
  /** where the event that was named last ends */
  #eventEnd = 0;
  #open: { crc: number; readonly end: number } | undefined;

  /** @param onSum called for each event, in order, before the next one is named */
  constructor(onSum: (crc: number) => void) {
    this.#onSum = onSum;
  }

  /** Before the indexer sees the chunk, which is used until `leave`. */
  enter(chunk: Uint8Array): void {
    this.#chunk = chunk;
    if (this.#open !== undefined) this.#sumOn(this.#open, this.#chunkFrom);
  }

  /** The indexer has named an event. */
  event(offsetBytes: number, lengthBytes: number): void {
    this.#eventEnd = offsetBytes + lengthBytes;
    this.#sumOn({ crc: 0, end: this.#eventEnd }, offsetBytes);
  }

  /** After the indexer has seen the chunk. */
  leave(): void {
    const end = this.#chunkFrom + this.#chunk.length;
    const keepFrom = Math.min(Math.max(this.#eventEnd, this.#heldFrom), end);
    if (keepFrom >= this.#chunkFrom) {
      this.#held = [];
      this.#heldFrom = keepFrom;
    }
    const kept = this.#chunk.subarray(Math.max(keepFrom - this.#chunkFrom, 0));
    if (kept.length > 0) this.#held.push(Uint8Array.from(kept));
    this.#chunk = NOTHING;
    this.#chunkFrom = end;
  }

  #sumOn(event: { crc: number; readonly end: number }, fromBytes: number): void {
    const hereTo = this.#chunkFrom + this.#chunk.length;
    event.crc = this.#sum(event.crc, fromBytes, Math.min(event.end, hereTo));
    this.#open = event.end > hereTo ? event : undefined;
    if (this.#open === undefined) this.#onSum(event.crc);
  }

  #sum(crc: number, fromBytes: number, toBytes: number): number {
    let sum = crc;
    let at = this.#heldFrom;
    if (fromBytes < this.#chunkFrom) {
      for (const piece of this.#held) {
        sum = crc32(piece.subarray(Math.max(fromBytes - at, 0), Math.max(toBytes - at, 0)), sum);
        at += piece.length;
      }
    }
    const from = Math.max(fromBytes - this.#chunkFrom, 0);
    return crc32(this.#chunk.subarray(from, Math.max(toBytes - this.#chunkFrom, from)), sum);
  }
}
