/** Writes granule's own container (layout: `gev-layout.ts`): single-event files, and merged files with an index. */
import { GranuleError } from '../../core/errors.ts';
import { EVENT_BYTES_MAX } from '../../core/limits.ts';
import type { EventStreamInfo, OutputFormat, OutputJoiner, RecordContext, SplitOutput } from './event-format.ts';
import { EMPTY_INFO, uniteInfo } from './event-stream-info.ts';
import { damaged, refusedRecord } from './format-errors.ts';
import { decodeRecordBody } from './gev.ts';
import {
  BLOCK_PREFIX_BYTES,
  CRC_BYTES,
  decodeFooter,
  decodeLengths,
  encodeFooter,
  encodeHeader,
  encodeIndex,
  encodeLengths,
  encodeRecord,
  FOOTER_MARK,
  type GevFooter,
  HEADER_PREFIX_BYTES,
  INDEX_MARK,
  infoFromPacked,
  isSealIntact,
  NOT_COUNTED,
  packableInfo,
  packValue,
  RECORD_PREFIX_BYTES,
  RECORDS_PER_INDEX,
  readDescription,
  readRecordPrefix,
  TRAILER_BYTES,
  unpackValue,
} from './gev-layout.ts';
import { asBuffer } from './line-blocks.ts';

const MAKER = 'granule';

export const gevOutput: OutputFormat = {
  name: 'gev',
  fileExtension: '.gev',
  carriesInfo: true,
  begin: ({ stream, inputFormat }) => encodeHeader({ stream, maker: MAKER, sourceFormat: inputFormat }),
  encode: encodeValue,
  end: (info) => encodeFooter({ recordCount: NOT_COUNTED, lastIndexOffset: 0, lengths: [], info }),
  split: splitGev,
  readInfo: readGevInfo,
  rewrite: rewriteGev,
  createJoiner: (state, stream) => new GevJoiner(state, stream ?? ''),
};

function encodeValue(value: unknown, meta: RecordContext): Uint8Array {
  if (value instanceof Uint8Array && isRecord(asBuffer(value))) return value;
  if (value === undefined || typeof value === 'function' || typeof value === 'symbol') {
    throw refusedRecord(`msgpack has no form for ${typeof value}`, 'write a value, object or array of values');
  }
  let body: Buffer;
  try {
    body = packValue(value);
  } catch (cause) {
    throw refusedRecord(
      `a value cannot be written as msgpack: ${(cause as Error).message}`,
      'write plain values, without cycles',
      cause,
    );
  }
  const { position, eventNumber, runNumber = Number.NaN } = meta;
  return encodeRecord(body, { position, eventNumber, runNumber });
}

/** Whether the bytes are one intact record: an input event that is passed on. */
function isRecord(bytes: Buffer): boolean {
  return (
    bytes.length >= RECORD_PREFIX_BYTES + CRC_BYTES &&
    readRecordPrefix(bytes).bodyBytes === bytes.length - RECORD_PREFIX_BYTES - CRC_BYTES &&
    isSealIntact(bytes)
  );
}

/**
 * What bytes were last found to mean. The files of a stream begin alike and, for most payloads, end alike: a merge need
 * not check and unpack the same bytes for each of them.
 */
class LastDecoded<T> {
  readonly #decode: (bytes: Buffer) => T | undefined;
  #bytes = Buffer.alloc(0);
  #value: T | undefined;

  constructor(decode: (bytes: Buffer) => T | undefined) {
    this.#decode = decode;
  }

  /** A copy of the bytes that last meant something: the same object as long as equal bytes are asked for. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Of the bytes in [start, end); undefined when they do not decode, which is not remembered. */
  of(buffer: Buffer, start: number, end: number): T | undefined {
    const remembered = this.#value !== undefined && this.#bytes.length === end - start;
    if (remembered && this.#bytes.compare(buffer, start, end) === 0) return this.#value;
    const value = this.#decode(buffer.subarray(start, end));
    if (value === undefined) return undefined;
    this.#bytes = Buffer.from(buffer.subarray(start, end));
    this.#value = value;
    return value;
  }
}

const lastHeader = new LastDecoded(readDescription);
const lastFooter = new LastDecoded(readFooter);

function splitGev(file: Uint8Array): SplitOutput {
  const buffer = asBuffer(file);
  const headerBytes = headerLength(buffer);
  const trailerStart = buffer.length - TRAILER_BYTES;
  const footerBytes = trailerStart >= headerBytes ? buffer.readUInt32LE(trailerStart) : 0;
  const bodyEnd = buffer.length - footerBytes;
  const footer = bodyEnd >= headerBytes ? lastFooter.of(buffer, bodyEnd, buffer.length) : undefined;
  if (footer === undefined) throw damaged('a gev file has no intact footer');
  const body = buffer.subarray(headerBytes, bodyEnd);
  const recordCount = countRecords(body);
  if (footer.recordCount !== NOT_COUNTED && footer.recordCount !== recordCount) {
    throw damaged(`the footer of a gev file counts ${footer.recordCount} records, there are ${recordCount}`);
  }
  return { header: lastHeader.bytes, body, recordCount, info: footer.info };
}

function readGevInfo(readEnd: (lengthBytes: number) => Uint8Array): EventStreamInfo {
  const trailer = asBuffer(readEnd(TRAILER_BYTES));
  const footerBytes = trailer.length === TRAILER_BYTES ? trailer.readUInt32LE(0) : 0;
  const footer = footerBytes > EVENT_BYTES_MAX ? undefined : readFooter(asBuffer(readEnd(footerBytes)));
  if (footer === undefined) throw damaged('a gev file has no intact footer');
  return footer.info;
}

function readFooter(bytes: Buffer): GevFooter | undefined {
  return bytes.length < BLOCK_PREFIX_BYTES + CRC_BYTES + TRAILER_BYTES ? undefined : decodeFooter(bytes);
}

function headerLength(file: Buffer): number {
  if (file.length >= HEADER_PREFIX_BYTES + CRC_BYTES) {
    const length = HEADER_PREFIX_BYTES + file.readUInt16LE(10) + CRC_BYTES;
    if (length <= file.length && lastHeader.of(file, 0, length) !== undefined) return length;
  }
  throw damaged('a gev file has no intact header');
}

/** Records and the indexes of a merged file follow each other in a body. */
function isIndexAt(body: Buffer, at: number): boolean {
  return body.readUInt32LE(at) === INDEX_MARK;
}

/** Where the record or index ends that begins at `at`. Throws `OUTPUT_DAMAGED` when that is beyond the body. */
function endOfPart(body: Buffer, at: number): number {
  if (at + BLOCK_PREFIX_BYTES > body.length) throw damaged('the records of a gev file are cut');
  const lengthOrMark = body.readUInt32LE(at);
  const lengthBytes =
    lengthOrMark === INDEX_MARK
      ? BLOCK_PREFIX_BYTES + body.readUInt32LE(at + 4) + CRC_BYTES
      : RECORD_PREFIX_BYTES + lengthOrMark + CRC_BYTES;
  const end = at + lengthBytes;
  if (lengthOrMark === FOOTER_MARK || end > body.length) throw damaged('the records of a gev file are cut');
  return end;
}

function countRecords(body: Buffer): number {
  let count = 0;
  for (let at = 0; at < body.length; ) {
    const end = endOfPart(body, at);
    if (!isIndexAt(body, at)) count += 1;
    at = end;
  }
  return count;
}

/** Unpacks every record, which checks its crc, and packs it again; one that comes out as it was is passed on. */
function rewriteGev(body: Uint8Array): Uint8Array {
  const buffer = asBuffer(body);
  const records: Uint8Array[] = [];
  for (let at = 0; at < buffer.length; ) {
    const end = endOfPart(buffer, at);
    if (!isIndexAt(buffer, at)) records.push(rewriteRecord(buffer.subarray(at, end), records.length + 1));
    at = end;
  }
  const [only] = records;
  return only !== undefined && records.length === 1 ? only : Buffer.concat(records);
}

function rewriteRecord(bytes: Buffer, recordNumber: number): Uint8Array {
  try {
    const body = packValue(decodeRecordBody(bytes));
    const isSame = body.compare(bytes, RECORD_PREFIX_BYTES, bytes.length - CRC_BYTES) === 0;
    return isSame ? bytes : encodeRecord(body, readRecordPrefix(bytes));
  } catch (cause) {
    throw damaged(`record ${recordNumber} of a gev file is damaged`, cause);
  }
}

/** What {@link GevJoiner.state} packs, in this order. */
type JoinerState = [
  stream: string,
  recordCount: number,
  lastIndexOffset: number,
  lengths: Uint8Array,
  info: ReturnType<typeof packableInfo>,
];

/** The header of the first part stays in force: later parts must be of its stream. */
class GevJoiner implements OutputJoiner {
  #stream: string;
  #recordCount = 0;
  #lastIndexOffset = 0;
  /** whole lengths of the records since the last index: fewer than `RECORDS_PER_INDEX` */
  #lengths: number[] = [];
  /** without `#alikeEvents` */
  #info: EventStreamInfo = EMPTY_INFO;
  /** events of parts whose metadata were those of the part before: a sum, in place of another object for each of them */
  #alikeEvents = 0;
  /** a header was written */
  #isBegun = false;
  /** of the part before: most parts have the very same objects */
  #partHeader: Uint8Array | undefined;
  #partInfo: EventStreamInfo | undefined;

  constructor(state: Uint8Array | undefined, stream: string) {
    this.#stream = stream;
    if (state === undefined || state.length === 0) return;
    const [name, recordCount, lastIndexOffset, lengths, info] = unpackValue(state) as JoinerState;
    this.#stream = name;
    this.#recordCount = recordCount;
    this.#lastIndexOffset = lastIndexOffset;
    this.#lengths = decodeLengths(lengths);
    this.#info = infoFromPacked(info);
    this.#isBegun = true;
  }

  append(part: SplitOutput, offsetBytes: number): readonly Uint8Array[] {
    const pieces: Uint8Array[] = [];
    let offset = offsetBytes;
    if (part.header.length > 0 && part.header !== this.#partHeader) offset += this.#header(part.header, pieces);
    if (part.info !== undefined) this.#unite(part.info);
    const body = asBuffer(part.body);
    let runStart = 0;
    // Records that follow each other are one piece; indexes are left out and made anew.
    const endRun = (end: number): void => {
      if (end > runStart) pieces.push(runStart === 0 && end === body.length ? body : body.subarray(runStart, end));
    };
    for (let at = 0; at < body.length; ) {
      const end = endOfPart(body, at);
      if (isIndexAt(body, at)) {
        endRun(at);
        runStart = end;
      } else {
        offset += end - at;
        this.#recordCount += 1;
        this.#lengths.push(end - at);
        if (this.#lengths.length === RECORDS_PER_INDEX) {
          endRun(end);
          runStart = end;
          const index = encodeIndex(this.#lastIndexOffset, this.#lengths);
          pieces.push(index);
          this.#lastIndexOffset = offset;
          this.#lengths = [];
          offset += index.length;
        }
      }
      at = end;
    }
    endRun(body.length);
    return pieces;
  }

  finish(): Uint8Array {
    const footer = encodeFooter({
      recordCount: this.#recordCount,
      lastIndexOffset: this.#lastIndexOffset,
      lengths: this.#lengths,
      info: this.#wholeInfo(),
    });
    if (this.#isBegun) return footer;
    return Buffer.concat([encodeHeader({ stream: this.#stream, maker: MAKER, sourceFormat: '' }), footer]);
  }

  state(): Uint8Array {
    if (!this.#isBegun) return new Uint8Array(0);
    const state: JoinerState = [
      this.#stream,
      this.#recordCount,
      this.#lastIndexOffset,
      encodeLengths(this.#lengths),
      packableInfo(this.#wholeInfo()),
    ];
    return packValue(state);
  }

  #unite(info: EventStreamInfo): void {
    if (info === this.#partInfo) {
      this.#alikeEvents += info.eventCount;
    } else {
      this.#info = uniteInfo(this.#info, info);
      this.#partInfo = info;
    }
  }

  #wholeInfo(): EventStreamInfo {
    return { ...this.#info, eventCount: this.#info.eventCount + this.#alikeEvents };
  }

  /** Returns the bytes it adds to `pieces`. */
  #header(header: Uint8Array, pieces: Uint8Array[]): number {
    const description = lastHeader.of(asBuffer(header), 0, header.length);
    if (description === undefined) throw damaged('a gev file has no intact header');
    if (!this.#isBegun) {
      this.#isBegun = true;
      this.#stream = description.stream;
      this.#partHeader = header;
      pieces.push(header);
      return header.length;
    }
    if (description.stream === this.#stream) {
      this.#partHeader = header;
      return 0;
    }
    throw new GranuleError(
      'OUTPUT_UNMERGEABLE',
      `records of stream ${description.stream} cannot stand in a gev file of stream ${this.#stream}`,
    );
  }
}
