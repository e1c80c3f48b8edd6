/**
 * Sends stretches of a file as the body of an HTTP answer. Node has no sendfile; what costs most instead is fresh memory
 * for each chunk, so the chunks are read into buffers that are used again: one is filled while the other is on its way.
 */
import type { ServerResponse } from 'node:http';
import { SERVED_BUFFERS_KEPT, SERVED_CHUNK_BYTES } from '../../core/limits.ts';
import type { ByteRange } from '../remote/byte-source.ts';

/** A part of a body: bytes as they are, or a range of the file. */
export type Segment = Uint8Array | ByteRange;

/** Fills `target` with the bytes from this offset on. */
type ReadInto = (target: Uint8Array, offsetBytes: number) => Promise<void>;

const spareBuffers: Buffer[] = [];

/**
 * Writes the segments and ends the answer. Resolves early when the client has gone.
 *
 * @param response its status and headers, `content-length` included, are set
 */
export async function sendSegments(
  response: ServerResponse,
  readInto: ReadInto,
  segments: Iterable<Segment>,
): Promise<void> {
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
        await readInto(bytes, piece.offsetBytes);
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
    giveBack(buffers);
  }
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

function giveBack(buffers: readonly Buffer[]): void {
  for (const buffer of buffers) if (spareBuffers.length < SERVED_BUFFERS_KEPT) spareBuffers.push(buffer);
}
