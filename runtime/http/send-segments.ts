/**
 * Sends stretches of a file as the body of an HTTP answer. Node has no sendfile; what costs most instead is fresh memory
 * for each chunk, so the chunks are read into buffers that are used again: one is filled while the other is on its way.
 */
import type { OutgoingHttpHeader, ServerResponse } from 'node:http';
import { SERVED_BUFFERS_KEPT, SERVED_CHUNK_BYTES } from '../../core/limits.ts';
import type { ByteRange } from '../remote/byte-source.ts';

/** A part of a body: bytes as they are, or a range of the file. */
export type Segment = Uint8Array | ByteRange;

/** What is read from. See `LocalSource` for the contract of both. */
export interface SegmentSource {
  readInto(target: Uint8Array, offsetBytes: number): Promise<void>;
  tryReadNow(target: Uint8Array, offsetBytes: number): boolean;
}

/** Status and all headers of an answer; the headers as names and values in turn, which Node writes as they are. */
export interface AnswerHead {
  readonly status: number;
  readonly headers: readonly OutgoingHttpHeader[];
}

const spareBuffers: Buffer[] = [];

/**
 * The quick way for the answer to most requests, a range of an event's length: reads it on the spot, and hands head and
 * body to the kernel in one call, with neither promises nor listeners. False where the range is too long for that or
 * the read might take long: then nothing has been written.
 */
export function trySendAtOnce(
  response: ServerResponse,
  head: AnswerHead,
  source: SegmentSource,
  range: ByteRange,
): boolean {
  if (range.lengthBytes > SERVED_CHUNK_BYTES) return false;
  const buffer = takeBuffer();
  const bytes = buffer.subarray(0, range.lengthBytes);
  if (!source.tryReadNow(bytes, range.offsetBytes)) {
    giveBack(buffer);
    return false;
  }
  writeHead(response, head);
  response.end(bytes);
  // What the kernel has not taken yet is still read from the buffer.
  if (response.socket?.writableLength === 0) giveBack(buffer);
  else response.once('finish', () => giveBack(buffer));
  return true;
}

/**
 * Writes the head, then the segments, and ends the answer. Resolves early when the client has gone.
 *
 * @param head its length is that of the segments together
 */
export async function sendSegments(
  response: ServerResponse,
  head: AnswerHead,
  source: SegmentSource,
  segments: Iterable<Segment>,
): Promise<void> {
  writeHead(response, head);
  const buffers = [takeBuffer(), takeBuffer()] as const;
  let turn: 0 | 1 = 0;
  let underWay: Promise<void> = Promise.resolve();
  try {
    for (const [piece, isLast] of withLast(piecesOf(segments))) {
      let bytes: Uint8Array;
      if (piece instanceof Uint8Array) {
        bytes = piece;
      } else {
        // Written two turns ago, and that write was waited for in the last turn.
        bytes = buffers[turn].subarray(0, piece.lengthBytes);
        turn = turn === 0 ? 1 : 0;
        await source.readInto(bytes, piece.offsetBytes);
      }
      await underWay;
      if (response.destroyed) return;
      underWay = write(response, bytes, isLast);
    }
    await underWay;
    if (!response.writableEnded) response.end();
  } catch (error) {
    response.destroy();
    throw error;
  } finally {
    await underWay;
    for (const buffer of buffers) giveBack(buffer);
  }
}

export function writeHead(response: ServerResponse, { status, headers }: AnswerHead): void {
  response.writeHead(status, headers as OutgoingHttpHeader[]);
}

/** Items, each with whether it is the last. */
function* withLast<Item>(items: Iterable<Item>): Generator<readonly [Item, boolean]> {
  let held: { readonly item: Item } | undefined;
  for (const item of items) {
    if (held !== undefined) yield [held.item, false];
    held = { item };
  }
  if (held !== undefined) yield [held.item, true];
}

/** Ranges cut to the size of a buffer. */
function* piecesOf(segments: Iterable<Segment>): Generator<Segment> {
  for (const segment of segments) {
    if (segment instanceof Uint8Array) {
      yield segment;
      continue;
    }
    const end = segment.offsetBytes + segment.lengthBytes;
    for (let at = segment.offsetBytes; at < end; at += SERVED_CHUNK_BYTES) {
      yield { offsetBytes: at, lengthBytes: Math.min(SERVED_CHUNK_BYTES, end - at) };
    }
  }
}

/** Resolves when the bytes are with the kernel, or never will be. */
function write(response: ServerResponse, bytes: Uint8Array, isLast: boolean): Promise<void> {
  return new Promise((resolve) => {
    if (!isLast) {
      response.write(bytes, () => resolve());
      return;
    }
    // An answer that is cut off is never finished, only closed.
    response.once('close', resolve);
    response.end(bytes, () => resolve());
  });
}

function takeBuffer(): Buffer {
  return spareBuffers.pop() ?? Buffer.allocUnsafeSlow(SERVED_CHUNK_BYTES);
}

function giveBack(buffer: Buffer): void {
  if (spareBuffers.length < SERVED_BUFFERS_KEPT) spareBuffers.push(buffer);
}
