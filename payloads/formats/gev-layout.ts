/**
 * granule's own container, `.gev`, byte by byte. Integers and doubles are little-endian; "crc" is CRC-32 (IEEE 802.3,
 * as zlib computes it) over all bytes of the same part that precede it; "msgpack" is https://msgpack.org.
 *
 * ```text
 * file    = header (record | index)* footer
 *
 * header    0  8 bytes   89 47 45 56 0D 0A 1A 0A  ("\x89GEV\r\n\x1a\n": shows text-mode transfers)
 *           8  u16       schema version, 1
 *          10  u16       length n of the description
 *          12  n bytes   msgpack [stream, maker, format of the events it was made from]
 *        12+n  u32       crc
 *
 * record    0  u32       length n of the body, below 0xFFFFFFFE
 *           4  u32       position of the event in the file it was made from, 1-based
 *           8  f64       event number, NaN for none
 *          16  f64       run number, NaN for none
 *          24  n bytes   body: one msgpack value
 *        24+n  u32       crc
 *
 * index     0  u32       0xFFFFFFFE
 *           4  u32       length n of the contents
 *           8  n bytes   msgpack [offset of the index before (0 for none), lengths]
 *         8+n  u32       crc
 *
 * footer    0  u32       0xFFFFFFFF
 *           4  u32       length n of the contents
 *           8  n bytes   msgpack [record count (-1: not counted), offset of the last index (0 for none), lengths, info]
 *         8+n  u32       crc
 *        12+n  u32       length of the whole footer, 20 + n
 *        16+n  4 bytes   "GEV\x1a"
 *
 * lengths = msgpack bin: the whole lengths of the records since the index before (or the header), as LEB128 varints
 * info    = msgpack [event count, [run number…], [event type…], [tag…], [[key, first run, last run, value]…]]
 * ```
 *
 * An unmerged file has no index and counts nothing in its footer: it is short, and read from its front. A merged file
 * has an index after every {@link RECORDS_PER_INDEX} records, each pointing at the one before, so that the whole index
 * is reached from the end of the file, and a merge never keeps more than one stretch of lengths in memory.
 */
import { crc32 } from 'node:zlib';
import { Packr, Unpackr } from 'msgpackr';
import type { EventStreamInfo } from './event-format.ts';
import { asBuffer } from './line-blocks.ts';

export const GEV_MAGIC = Buffer.from([0x89, 0x47, 0x45, 0x56, 0x0d, 0x0a, 0x1a, 0x0a]);
const GEV_END_MAGIC = Buffer.from('GEV\x1a', 'latin1');
export const GEV_SCHEMA = 1;
export const HEADER_PREFIX_BYTES = 12;
export const RECORD_PREFIX_BYTES = 24;
/** Prefix of index and footer. */
export const BLOCK_PREFIX_BYTES = 8;
export const CRC_BYTES = 4;
/** What follows a footer's crc. */
export const TRAILER_BYTES = 8;
export const INDEX_MARK = 0xfffffffe;
export const FOOTER_MARK = 0xffffffff;
export const RECORDS_PER_INDEX = 4096;
export const NOT_COUNTED = -1;

// Plain msgpack: any reader in any language understands it, and no record depends on another.
const packr = new Packr({ useRecords: false, variableMapSize: true, moreTypes: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, moreTypes: true });

/** @throws whatever msgpackr throws for a value it cannot hold */
export function packValue(value: unknown): Buffer {
  return packr.pack(value);
}

/**
 * A key `__proto__` is read as `__proto_`, so that no file can reach into the prototype of what is read.
 *
 * @throws whatever msgpackr throws for bytes that are no msgpack value
 */
export function unpackValue(bytes: Uint8Array): unknown {
  return unpackr.unpack(bytes);
}

/** Undefined for bytes that are no msgpack value. */
function tryUnpack(bytes: Uint8Array): unknown {
  try {
    return unpackValue(bytes);
  } catch {
    return undefined;
  }
}

export interface GevDescription {
  readonly stream: string;
  readonly maker: string;
  readonly sourceFormat: string;
}

export interface GevFooter {
  readonly recordCount: number;
  readonly lastIndexOffset: number;
  /** whole lengths of the records since the last index */
  readonly lengths: readonly number[];
  readonly info: EventStreamInfo;
}

/** Writes the crc of everything before into the last four bytes. */
function sealPart(part: Buffer, endBytes = part.length): Buffer {
  part.writeUInt32LE(crc32(part.subarray(0, endBytes - CRC_BYTES)), endBytes - CRC_BYTES);
  return part;
}

/** Whether the last four bytes are the crc of the rest. */
export function isSealIntact(part: Uint8Array): boolean {
  if (part.length < CRC_BYTES) return false;
  const buffer = asBuffer(part);
  return buffer.readUInt32LE(part.length - CRC_BYTES) === crc32(buffer.subarray(0, part.length - CRC_BYTES));
}

export function encodeHeader(description: GevDescription): Buffer {
  const contents = packValue([description.stream, description.maker, description.sourceFormat]);
  const header = Buffer.allocUnsafe(HEADER_PREFIX_BYTES + contents.length + CRC_BYTES);
  GEV_MAGIC.copy(header, 0);
  header.writeUInt16LE(GEV_SCHEMA, 8);
  header.writeUInt16LE(contents.length, 10);
  contents.copy(header, HEADER_PREFIX_BYTES);
  return sealPart(header);
}

/** @param header the whole header. Undefined when it is none, or damaged. */
export function readDescription(header: Buffer): GevDescription | undefined {
  if (!header.subarray(0, GEV_MAGIC.length).equals(GEV_MAGIC) || !isSealIntact(header)) return undefined;
  if (header.readUInt16LE(8) !== GEV_SCHEMA) return undefined;
  const packed = tryUnpack(header.subarray(HEADER_PREFIX_BYTES, header.length - CRC_BYTES));
  if (!Array.isArray(packed)) return undefined;
  const [stream, maker, sourceFormat] = packed as readonly unknown[];
  return { stream: String(stream), maker: String(maker), sourceFormat: String(sourceFormat) };
}

export interface RecordMeta {
  readonly position: number;
  readonly eventNumber: number;
  readonly runNumber: number;
}

export function encodeRecord(body: Uint8Array, meta: RecordMeta): Buffer {
  const record = Buffer.allocUnsafe(RECORD_PREFIX_BYTES + body.length + CRC_BYTES);
  record.writeUInt32LE(body.length, 0);
  record.writeUInt32LE(meta.position, 4);
  record.writeDoubleLE(meta.eventNumber, 8);
  record.writeDoubleLE(meta.runNumber, 16);
  record.set(body, RECORD_PREFIX_BYTES);
  return sealPart(record);
}

/** @param record at least the prefix of a record */
export function readRecordPrefix(record: Buffer): RecordMeta & { readonly bodyBytes: number } {
  return {
    bodyBytes: record.readUInt32LE(0),
    position: record.readUInt32LE(4),
    eventNumber: record.readDoubleLE(8),
    runNumber: record.readDoubleLE(16),
  };
}

export function encodeIndex(previousOffset: number, lengths: readonly number[]): Buffer {
  return encodeBlock(INDEX_MARK, [previousOffset, encodeLengths(lengths)], 0);
}

export function encodeFooter(footer: GevFooter): Buffer {
  const { recordCount, lastIndexOffset, lengths, info } = footer;
  const contents = [recordCount, lastIndexOffset, encodeLengths(lengths), packableInfo(info)];
  const bytes = encodeBlock(FOOTER_MARK, contents, TRAILER_BYTES);
  bytes.writeUInt32LE(bytes.length, bytes.length - TRAILER_BYTES);
  GEV_END_MAGIC.copy(bytes, bytes.length - GEV_END_MAGIC.length);
  return bytes;
}

function encodeBlock(mark: number, contents: unknown, spareBytes: number): Buffer {
  const packed = packValue(contents);
  const sealedBytes = BLOCK_PREFIX_BYTES + packed.length + CRC_BYTES;
  const block = Buffer.allocUnsafe(sealedBytes + spareBytes);
  block.writeUInt32LE(mark, 0);
  block.writeUInt32LE(packed.length, 4);
  packed.copy(block, BLOCK_PREFIX_BYTES);
  return sealPart(block, sealedBytes);
}

/**
 * The contents of an index or a footer, whatever their types.
 *
 * @param block from the mark through the crc
 * @returns undefined when the crc is wrong, or the contents are no msgpack value
 */
export function decodeBlock(block: Uint8Array): unknown {
  if (!isSealIntact(block)) return undefined;
  return tryUnpack(block.subarray(BLOCK_PREFIX_BYTES, block.length - CRC_BYTES));
}

/** @param footer the whole footer. Undefined when it is none, or damaged. */
export function decodeFooter(footer: Uint8Array): GevFooter | undefined {
  const buffer = asBuffer(footer);
  const sealedBytes = buffer.length - TRAILER_BYTES;
  if (sealedBytes < BLOCK_PREFIX_BYTES + CRC_BYTES || buffer.readUInt32LE(0) !== FOOTER_MARK) return undefined;
  if (buffer.readUInt32LE(sealedBytes) !== buffer.length) return undefined;
  if (!buffer.subarray(sealedBytes + 4).equals(GEV_END_MAGIC)) return undefined;
  const contents = decodeBlock(buffer.subarray(0, sealedBytes));
  if (!Array.isArray(contents)) return undefined;
  const [recordCount, lastIndexOffset, lengths, info] = contents as readonly unknown[];
  if (!Number.isSafeInteger(recordCount) || !(lengths instanceof Uint8Array) || !isPackedInfo(info)) return undefined;
  return {
    recordCount: recordCount as number,
    lastIndexOffset: Number(lastIndexOffset),
    lengths: decodeLengths(lengths),
    info: infoFromPacked(info),
  };
}

type PackedInfo = [number, number[], string[], string[], [string, number, number, string][]];

function isPackedInfo(value: unknown): value is PackedInfo {
  if (!Array.isArray(value)) return false;
  const [eventCount, ...lists] = value as readonly unknown[];
  const [, , , intervals] = lists;
  if (!Number.isSafeInteger(eventCount) || lists.length !== 4 || !lists.every(Array.isArray)) return false;
  return (intervals as readonly unknown[]).every(Array.isArray);
}

/** As nested arrays: field names would cost more than the values of a single event. */
export function packableInfo(info: EventStreamInfo): PackedInfo {
  return [
    info.eventCount,
    [...info.runNumbers],
    [...info.eventTypes],
    [...info.processingTags],
    info.intervalsOfValidity.map(({ key, firstRun, lastRun, value }) => [key, firstRun, lastRun, value]),
  ];
}

export function infoFromPacked(packed: PackedInfo): EventStreamInfo {
  const [eventCount, runNumbers, eventTypes, processingTags, intervals] = packed;
  const intervalsOfValidity = intervals.map(([key, firstRun, lastRun, value]) => ({ key, firstRun, lastRun, value }));
  return { eventCount, runNumbers, eventTypes, processingTags, intervalsOfValidity };
}

export function encodeLengths(lengths: readonly number[]): Buffer {
  const bytes: number[] = [];
  for (const length of lengths) {
    let rest = length;
    while (rest >= 0x80) {
      bytes.push((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    bytes.push(rest);
  }
  return Buffer.from(bytes);
}

export function decodeLengths(bytes: Uint8Array): number[] {
  const lengths: number[] = [];
  let value = 0;
  let scale = 1;
  for (const byte of bytes) {
    value += (byte & 0x7f) * scale;
    scale *= 0x80;
    if (byte < 0x80) {
      lengths.push(value);
      value = 0;
      scale = 1;
    }
  }
  return lengths;
}
