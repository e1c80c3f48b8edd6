/**
 * A place bytes can be read from: a local file, a URL, several replicas of one file, an inflated stream. Everything
 * that turns a remote file into events' bytes is written against this interface, and runs in whichever thread uses it.
 */

import { crc32 } from 'node:zlib';
import { GranuleError } from '../../core/errors.ts';

/** Half open: the bytes from `offsetBytes` up to, but not including, `offsetBytes + lengthBytes`. */
export interface ByteRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** CRC-32 (zlib's) of these bytes, where an index or server told it: then it is checked */
  readonly crc32?: number;
  /** stretches of these bytes whose CRC-32 is known */
  readonly parts?: readonly ByteRange[];
}

/** A digest of the whole file as its server states it; `hex` in lower case, adler32 with its leading zeros. */
export interface FileChecksum {
  readonly algorithm: 'adler32' | 'crc32' | 'md5' | 'sha-256' | 'sha-512';
  readonly hex: string;
}

/** What a source says about its file when it is opened. */
export interface SourceIdentity {
  /** undefined when a server sends a body of unstated length */
  readonly sizeBytes: number | undefined;
  /** ETag or Last-Modified, opaque; undefined when there is none to pin the file by */
  readonly validator: string | undefined;
  readonly checksums: readonly FileChecksum[];
}

/**
 * States: new, opened, closed. `open` comes first and may be repeated (it then answers from memory); `close` is final,
 * may be repeated, and makes everything under way fail.
 *
 * All calls may overlap. Returned bytes belong to the caller; several results of one call may be views of one buffer.
 * Exactly the bytes asked for are returned, or an error is thrown:
 * `SOURCE_UNREACHABLE` (worth trying again, or another replica), `SOURCE_CORRUPT` (wrong length, range or checksum),
 * `SOURCE_CHANGED` (other validator or size than at `open`), `SOURCE_REFUSED` (the server will not give it),
 * `INPUT_NOT_FOUND`, and for local files `INPUT_UNREADABLE`.
 */
export interface ByteSource {
  /** path or URL, for messages; holds no secret */
  readonly place: string;
  open(signal: AbortSignal): Promise<SourceIdentity>;
  read(range: ByteRange, signal: AbortSignal): Promise<Uint8Array>;
  /** One result per range, in order. Ranges may come in any order and overlap. */
  readMany(ranges: readonly ByteRange[], signal: AbortSignal): Promise<Uint8Array[]>;
  /** All bytes from an offset to the end of the file; a consumer that stops iterating ends the transfer. */
  stream(offsetBytes: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** Throws `SOURCE_CORRUPT` for the first range whose bytes do not have the CRC-32 that is known of them. */
export function verifyChecksums(ranges: readonly ByteRange[], results: readonly Uint8Array[], place: string): void {
  for (const [index, range] of ranges.entries()) verifyRange(range, results[index] ?? new Uint8Array(0), place);
}

function verifyRange(
  { offsetBytes, lengthBytes, crc32: wanted, parts }: ByteRange,
  bytes: Uint8Array,
  place: string,
): void {
  for (const part of parts ?? []) {
    const from = part.offsetBytes - offsetBytes;
    verifyRange(part, bytes.subarray(from, from + part.lengthBytes), place);
  }
  if (wanted === undefined) return;
  const found = crc32(bytes);
  if (found === wanted) return;
  throw new GranuleError(
    'SOURCE_CORRUPT',
    `${place}: the ${lengthBytes} bytes from ${offsetBytes} on have CRC-32 ${hex(found)} instead of ${hex(wanted)}`,
    { details: { place, offsetBytes, lengthBytes } },
  );
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}

export function endOf(range: ByteRange): number {
  return range.offsetBytes + range.lengthBytes;
}
