/**
 * Reads granule's own container (layout: `gev-layout.ts`) as input: an event is one record, from its prefix through
 * its crc. Indexing checks header, indexes and footer; decoding checks the record's own crc.
 */
import { GranuleError } from '../../core/errors.ts';
import { EVENT_BYTES_MAX } from '../../core/limits.ts';
import type { Indexer, IndexSink, InputFormat } from './event-format.ts';
import { malformed, truncated } from './format-errors.ts';
import {
  BLOCK_PREFIX_BYTES,
  CRC_BYTES,
  decodeBlock,
  decodeFooter,
  FOOTER_MARK,
  GEV_MAGIC,
  GEV_SCHEMA,
  HEADER_PREFIX_BYTES,
  INDEX_MARK,
  isSealIntact,
  NOT_COUNTED,
  RECORD_PREFIX_BYTES,
  readRecordPrefix,
  TRAILER_BYTES,
  unpackValue,
} from './gev-layout.ts';
import { asBuffer } from './line-blocks.ts';

export const gevInput: InputFormat = {
  name: 'gev',
  recognise: (head) => asBuffer(head).subarray(0, GEV_MAGIC.length).equals(GEV_MAGIC),
  createIndexer: (sink: IndexSink) => new GevIndexer(sink),
  identify: (record) => {
    const { eventNumber, runNumber } = readRecordPrefix(asBuffer(record));
    return { eventNumber, runNumber };
  },
  decode: decodeRecordBody,
};

/** The value a record holds. Throws `INPUT_MALFORMED` for a record that is cut or altered. */
export function decodeRecordBody(record: Uint8Array): unknown {
  const buffer = asBuffer(record);
  const isWhole =
    buffer.length >= RECORD_PREFIX_BYTES + CRC_BYTES &&
    buffer.readUInt32LE(0) === buffer.length - RECORD_PREFIX_BYTES - CRC_BYTES;
  if (!isWhole || !isSealIntact(buffer)) {
    throw new GranuleError('INPUT_MALFORMED', 'a gev record does not match its length and CRC-32');
  }
  try {
    return unpackValue(buffer.subarray(RECORD_PREFIX_BYTES, buffer.length - CRC_BYTES));
  } catch (cause) {
    throw new GranuleError('INPUT_MALFORMED', 'the body of a gev record is no msgpack value', { cause });
  }
}

/** What is being collected: the prefix of a part, or the whole of a part that has to be checked. */
type Wanted = 'header prefix' | 'header' | 'part prefix' | 'record prefix' | 'record body' | 'index' | 'footer' | 'end';

class GevIndexer implements Indexer {
  readonly #sink: IndexSink;
  #wanted: Wanted = 'header prefix';
  #wantedBytes = HEADER_PREFIX_BYTES;
  /**
   * Pieces collected of a part that is needed whole; record bodies are skipped, not collected. Joined once, and as many as
   * came: what a file says of a length is not believed.
   */
  #pieces: Buffer[] = [];
  #collectedBytes = 0;
  #partOffset = 0;
  #offsetBytes = 0;
  #recordCount = 0;

  constructor(sink: IndexSink) {
    this.#sink = sink;
  }

  push(chunk: Uint8Array): void {
    const buffer = asBuffer(chunk);
    let at = 0;
    while (at < buffer.length) {
      if (this.#wanted === 'end') throw malformed('bytes follow the footer', this.#place());
      const missing = this.#wantedBytes - this.#collectedBytes;
      const taken = Math.min(missing, buffer.length - at);
      const piece = buffer.subarray(at, at + taken);
      at += taken;
      this.#offsetBytes += taken;
      if (this.#wanted === 'record body') {
        this.#wantedBytes -= taken;
        if (this.#wantedBytes === 0) this.#want('part prefix', BLOCK_PREFIX_BYTES);
      } else if (taken === missing) {
        this.#part(this.#collectedBytes === 0 ? piece : Buffer.concat([...this.#pieces, piece]));
      } else {
        // A copy: a chunk is valid until the next one.
        this.#pieces.push(Buffer.from(piece));
        this.#collectedBytes += taken;
      }
    }
  }

  end(): void {
    if (this.#wanted !== 'end') throw truncated('the footer of a gev file', this.#place());
  }

  /** @param bytes the part from its first byte on: exactly as many as were wanted */
  #part(bytes: Buffer): void {
    switch (this.#wanted) {
      case 'header prefix':
        if (bytes.readUInt16LE(8) !== GEV_SCHEMA) {
          throw malformed(`schema version ${bytes.readUInt16LE(8)} of gev is not known`, this.#place());
        }
        this.#extend('header', bytes, HEADER_PREFIX_BYTES + bytes.readUInt16LE(10) + CRC_BYTES);
        return;
      case 'header':
        if (!isSealIntact(bytes)) throw malformed('the header does not match its CRC-32', this.#place());
        this.#want('part prefix', BLOCK_PREFIX_BYTES);
        return;
      case 'part prefix':
        this.#partPrefix(bytes);
        return;
      case 'record prefix': {
        const { bodyBytes, eventNumber, runNumber } = readRecordPrefix(bytes);
        this.#openRecord(RECORD_PREFIX_BYTES + bodyBytes + CRC_BYTES, eventNumber, runNumber);
        this.#want('record body', bodyBytes + CRC_BYTES);
        return;
      }
      case 'index':
        if (decodeBlock(bytes) === undefined) throw malformed('an index does not match its CRC-32', this.#place());
        this.#want('part prefix', BLOCK_PREFIX_BYTES);
        return;
      case 'footer':
        this.#footer(bytes);
    }
  }

  #partPrefix(bytes: Buffer): void {
    this.#partOffset = this.#offsetBytes - bytes.length;
    const lengthOrMark = bytes.readUInt32LE(0);
    const blockBytes = BLOCK_PREFIX_BYTES + bytes.readUInt32LE(4) + CRC_BYTES;
    if (lengthOrMark !== FOOTER_MARK && lengthOrMark !== INDEX_MARK) {
      this.#extend('record prefix', bytes, RECORD_PREFIX_BYTES);
    } else if (blockBytes > EVENT_BYTES_MAX) {
      throw malformed('an index or footer has an impossible length', this.#place());
    } else if (lengthOrMark === INDEX_MARK) {
      this.#extend('index', bytes, blockBytes);
    } else {
      this.#extend('footer', bytes, blockBytes + TRAILER_BYTES);
    }
  }

  /** The event is reported once its prefix is read; a file that ends within it is refused by `end`. */
  #openRecord(lengthBytes: number, eventNumber: number, runNumber: number): void {
    if (lengthBytes > EVENT_BYTES_MAX) {
      throw malformed(`a record is longer than ${EVENT_BYTES_MAX} bytes`, this.#place());
    }
    this.#sink.event(this.#partOffset, lengthBytes, eventNumber, runNumber);
    this.#recordCount += 1;
  }

  #footer(bytes: Buffer): void {
    const footer = decodeFooter(bytes);
    if (footer === undefined) throw malformed('the footer does not match its CRC-32', this.#place());
    if (footer.recordCount !== NOT_COUNTED && footer.recordCount !== this.#recordCount) {
      throw malformed(`the footer counts ${footer.recordCount} records, there are ${this.#recordCount}`, this.#place());
    }
    this.#want('end', 1);
  }

  #want(wanted: Wanted, bytes: number): void {
    this.#wanted = wanted;
    this.#wantedBytes = bytes;
    this.#pieces = [];
    this.#collectedBytes = 0;
  }

  /** The same part, of which more is needed than was collected. */
  #extend(wanted: Wanted, bytes: Buffer, wantedBytes: number): void {
    this.#wanted = wanted;
    this.#wantedBytes = wantedBytes;
    this.#pieces = [Buffer.from(bytes)];
    this.#collectedBytes = bytes.length;
  }

  #place(): { offsetBytes: number; position: number } {
    const isInRecord = this.#wanted === 'record body';
    return { offsetBytes: this.#offsetBytes, position: this.#recordCount + (isInRecord ? 0 : 1) };
  }
}
