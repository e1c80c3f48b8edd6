/**
 * The wire form in which an event server streams events: frames of a 16-byte header and the event's bytes, all numbers
 * little-endian.
 *
 * | offset | size | what |
 * |---|---|---|
 * | 0 | 8 | position in the file, 1-based (in answers to byte ranges: place in the request, 1-based) |
 * | 8 | 4 | length of the bytes that follow |
 * | 12 | 4 | CRC-32 (zlib's) of those bytes |
 *
 * The last frame has position 0, the number of frames before it as length but no bytes, and as CRC-32 that of the
 * preceding frames' CRC fields: a stream without it was cut.
 */
import { crc32 } from 'node:zlib';
import { GranuleError } from '../../core/errors.ts';
import { EVENT_BYTES_MAX } from '../../core/limits.ts';

export const EVENT_FRAMES_TYPE = 'application/vnd.granule.events';
const HEADER_BYTES = 16;

export interface EventFrame {
  readonly position: number;
  readonly bytes: Uint8Array;
}

export class EventFrameWriter {
  #frameCount = 0;
  #crcOfCrcs = 0;

  /** Frames joined into one buffer. */
  encode(frames: readonly EventFrame[]): Buffer {
    const pieces: Uint8Array[] = [];
    for (const { position, bytes } of frames) {
      const header = frameHeader(position, bytes.length, crc32(bytes));
      this.#frameCount += 1;
      this.#crcOfCrcs = crc32(header.subarray(12), this.#crcOfCrcs);
      pieces.push(header, bytes);
    }
    return Buffer.concat(pieces);
  }

  end(): Buffer {
    return frameHeader(0, this.#frameCount, this.#crcOfCrcs);
  }
}

function frameHeader(position: number, lengthBytes: number, crc: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeBigUInt64LE(BigInt(position), 0);
  header.writeUInt32LE(lengthBytes, 8);
  header.writeUInt32LE(crc, 12);
  return header;
}

/**
 * Frames out of chunks of any size. A frame's bytes are a view of the chunk it lies in, else a copy.
 *
 * @param place for messages
 * @throws SOURCE_CORRUPT for a wrong checksum, a senseless length, or a stream that was cut
 */
export async function* readEventFrames(chunks: AsyncIterable<Uint8Array>, place: string): AsyncGenerator<EventFrame> {
  let held: Buffer = Buffer.alloc(0);
  let frameCount = 0;
  let crcOfCrcs = 0;
  for await (const chunk of chunks) {
    const view = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    held = held.length === 0 ? view : Buffer.concat([held, view]);
    let at = 0;
    while (held.length - at >= HEADER_BYTES) {
      const position = Number(held.readBigUInt64LE(at));
      const lengthBytes = held.readUInt32LE(at + 8);
      const crc = held.readUInt32LE(at + 12);
      if (position === 0) {
        if (lengthBytes === frameCount && crc === crcOfCrcs) return;
        throw damaged(place, `it ends after ${frameCount} events, but ${lengthBytes} were sent`);
      }
      if (lengthBytes > EVENT_BYTES_MAX) throw damaged(place, `event ${position} is said to have ${lengthBytes} bytes`);
      const end = at + HEADER_BYTES + lengthBytes;
      if (held.length < end) break;
      const bytes = held.subarray(at + HEADER_BYTES, end);
      if (crc32(bytes) !== crc) throw damaged(place, `event ${position} does not have its CRC-32`);
      crcOfCrcs = crc32(held.subarray(at + 12, at + HEADER_BYTES), crcOfCrcs);
      frameCount += 1;
      at = end;
      yield { position, bytes };
    }
    held = held.subarray(at);
  }
  throw damaged(place, `it was cut after ${frameCount} events`);
}

function damaged(place: string, problem: string): GranuleError {
  return new GranuleError('SOURCE_CORRUPT', `${place}: the stream of events is damaged: ${problem}`, {
    details: { place },
  });
}

/** Places of events or byte ranges, one after the other: the offset as an 8-byte float, the length as a 4-byte integer. */
export const EVENT_PLACES_TYPE = 'application/vnd.granule.places';
export const PLACE_BYTES = 12;

interface PlainRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export function encodePlaces(ranges: readonly PlainRange[]): Buffer {
  const body = Buffer.allocUnsafe(ranges.length * PLACE_BYTES);
  for (const [index, { offsetBytes, lengthBytes }] of ranges.entries()) {
    body.writeDoubleLE(offsetBytes, index * PLACE_BYTES);
    body.writeUInt32LE(lengthBytes, index * PLACE_BYTES + 8);
  }
  return body;
}

/**
 * @param bytes a multiple of `PLACE_BYTES`
 * @throws SOURCE_CORRUPT for an offset that is none
 */
export function* readPlaces(bytes: Buffer): Generator<PlainRange> {
  for (let at = 0; at + PLACE_BYTES <= bytes.length; at += PLACE_BYTES) {
    const offsetBytes = bytes.readDoubleLE(at);
    if (!Number.isSafeInteger(offsetBytes) || offsetBytes < 0) {
      throw new GranuleError('SOURCE_CORRUPT', `${offsetBytes} is not an offset in a file`);
    }
    yield { offsetBytes, lengthBytes: bytes.readUInt32LE(at + 8) };
  }
}
