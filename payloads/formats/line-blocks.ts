/**
 * Cuts a stream of chunks into blocks of whole lines, so that a scanner never sees half a line. Almost all bytes are
 * passed on as views into the chunk; only a line that crosses a chunk boundary is copied.
 */
import { EVENT_BYTES_MAX } from '../../core/limits.ts';
import { malformed } from './format-errors.ts';

export const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;

/** A view of the same bytes with Buffer's native searches. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** First index from `at` on that is neither space, tab nor carriage return; `end` if there is none. */
export function skipBlanks(bytes: Uint8Array, at: number, end: number): number {
  let index = at;
  while (index < end) {
    const byte = bytes[index];
    if (byte !== SPACE && byte !== TAB && byte !== CARRIAGE_RETURN) return index;
    index += 1;
  }
  return end;
}

/** Length of the UTF-8 byte order mark that some programs put in front of a text; 0 when there is none. */
export function byteOrderMarkLength(start: Uint8Array): number {
  return start[0] === 0xef && start[1] === 0xbb && start[2] === 0xbf ? 3 : 0;
}

/** Whether the ASCII bytes of `text` stand at `at`. */
export function hasTextAt(bytes: Uint8Array, at: number, text: string): boolean {
  if (at + text.length > bytes.length) return false;
  for (let index = 0; index < text.length; index += 1) {
    if (bytes[at + index] !== text.charCodeAt(index)) return false;
  }
  return true;
}

/** `block` holds whole lines, the last one of the file perhaps without its newline; valid during the call only. */
export type LineBlockConsumer = (block: Buffer, offsetBytes: number) => void;

export class LineBlocks {
  readonly #consume: LineBlockConsumer;
  /** Pieces of the line that is not complete yet. */
  #carry: Buffer[] = [];
  #carryBytes = 0;
  /** Bytes handed to the consumer so far. */
  #offsetBytes = 0;

  constructor(consume: LineBlockConsumer) {
    this.#consume = consume;
  }

  /** Bytes received so far. */
  get receivedBytes(): number {
    return this.#offsetBytes + this.#carryBytes;
  }

  push(chunk: Uint8Array): void {
    const buffer = asBuffer(chunk);
    const lastNewline = buffer.lastIndexOf(NEWLINE);
    if (lastNewline < 0) {
      this.#keep(buffer);
      return;
    }
    let start = 0;
    if (this.#carryBytes > 0) {
      start = buffer.indexOf(NEWLINE) + 1;
      this.#keep(buffer.subarray(0, start));
      this.#flushCarry();
    }
    if (lastNewline >= start) this.#emit(buffer.subarray(start, lastNewline + 1));
    this.#keep(buffer.subarray(lastNewline + 1));
  }

  end(): void {
    this.#flushCarry();
  }

  #keep(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#carry.push(Buffer.from(piece));
    this.#carryBytes += piece.length;
    if (this.#carryBytes > EVENT_BYTES_MAX) {
      throw malformed(`a line is longer than ${EVENT_BYTES_MAX} bytes`, {
        offsetBytes: this.#offsetBytes,
        position: 0,
      });
    }
  }

  #flushCarry(): void {
    if (this.#carryBytes === 0) return;
    const line = Buffer.concat(this.#carry, this.#carryBytes);
    this.#carry = [];
    this.#carryBytes = 0;
    this.#emit(line);
  }

  #emit(block: Buffer): void {
    const offsetBytes = this.#offsetBytes;
    this.#offsetBytes += block.length;
    this.#consume(block, offsetBytes);
  }
}
