/**
 * Reads unmerged files, or the copies of small ones that workers have left in memory, and checks each against its record
 * before a byte of it is used. Runs in the merger thread; synchronous, into one buffer that is used again and again.
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { MergeItem, OutputRecord } from '../../core/dispatcher-api.ts';
import { isGranuleError } from '../../core/errors.ts';
import { eventCountOf } from '../../core/event-range.ts';
import { MERGE_BUFFER_BYTES, MERGE_SHARED_FILES_MAX } from '../../core/limits.ts';
import type { EventStreamInfo, OutputFormat, SplitOutput } from '../../payloads/formats/event-format.ts';
import type { RecentOutputs } from '../recent-outputs.ts';
import { crc32 } from './crc32.ts';
import type { DamagedRange, MergeMode } from './merge-messages.ts';

export type FinishedItem = Extract<MergeItem, { kind: 'finished' }>;

/** A checked output. The part's bytes are valid until the reader begins another item. */
export type ReadOutput = { readonly kind: 'intact'; readonly part: SplitOutput } | DamagedOutput;

interface DamagedOutput {
  readonly kind: 'damaged';
  readonly message: string;
}

/** What all ranges of a shared file have in common, and how much of it has been taken. */
interface SharedFile {
  readonly header: Uint8Array;
  readonly headerCrc: number;
  readonly info: EventStreamInfo | undefined;
  readonly bodyBytes: number;
  takenBytes: number;
}

/** The file cannot be read: as good as damaged. Any other error says something about the machine, not the file. */
const DAMAGE_CODES = new Set(['ENOENT', 'EIO', 'EISDIR', 'ENOTDIR', 'EUCLEAN']);

export class UnmergedReader {
  readonly #folder: string;
  readonly #mode: MergeMode;
  readonly #recent: RecentOutputs | undefined;
  readonly #standard = Buffer.allocUnsafeSlow(MERGE_BUFFER_BYTES);
  #buffer = this.#standard;
  #used = 0;
  /** least recently read first */
  readonly #shared = new Map<string, SharedFile>();

  constructor(aggregationFolder: string, mode: MergeMode, recent?: RecentOutputs) {
    this.#folder = aggregationFolder;
    this.#mode = mode;
    this.#recent = recent;
  }

  /** Makes room for all outputs of an item; what was read before may be overwritten. */
  begin(item: FinishedItem): void {
    this.#used = 0;
    let needed = 0;
    for (const record of item.outputs) needed += record.lengthBytes + 1;
    if (needed <= this.#buffer.length) return;
    this.#buffer = Buffer.allocUnsafeSlow(needed);
  }

  /** Nothing will be read for a while: a buffer of unusual size is not kept. */
  rest(): void {
    this.#buffer = this.#standard;
  }

  /** Reads one output of the item that was begun. Throws only what is not the file's fault. */
  read(item: FinishedItem, record: OutputRecord, format: OutputFormat): ReadOutput {
    try {
      const read =
        record.headerBytes === undefined
          ? this.#readWhole(item, record, format)
          : this.#readSlice(item, record, record.headerBytes, format);
      if (this.#mode === 'fast' || read.kind === 'damaged') return read;
      return { kind: 'intact', part: { ...read.part, body: format.rewrite(read.part.body) } };
    } catch (error) {
      if (isGranuleError(error) && error.code === 'OUTPUT_DAMAGED') return damaged(record, error.message);
      if (error instanceof Error && 'code' in error && DAMAGE_CODES.has(String(error.code))) {
        return damaged(record, error.message);
      }
      throw error;
    }
  }

  /**
   * Looks at all outputs of the items without keeping them. After a power cut many are damaged at once: found in one
   * pass, they are made again at once.
   */
  findDamaged(items: Iterable<MergeItem>, formatOf: (stream: string) => OutputFormat): DamagedRange[] {
    const damaged: DamagedRange[] = [];
    for (const item of items) {
      if (item.kind === 'missing') continue;
      this.begin(item);
      for (const record of item.outputs) {
        const read = this.read(item, record, formatOf(record.stream));
        if (read.kind === 'intact') continue;
        damaged.push({ rangeIndex: item.rangeIndex, message: read.message });
        break;
      }
    }
    return damaged;
  }

  /** Counts the item's shares of shared files as taken; returns the files of which nothing is left to take. */
  take(item: FinishedItem): string[] {
    const finished: string[] = [];
    for (const record of item.outputs) {
      if (record.headerBytes === undefined) {
        finished.push(record.file);
        continue;
      }
      const shared = this.#shared.get(record.file);
      if (shared === undefined) continue;
      shared.takenBytes += record.lengthBytes;
      if (shared.takenBytes < shared.bodyBytes) continue;
      this.#shared.delete(record.file);
      finished.push(record.file);
    }
    return finished;
  }

  #readWhole(item: FinishedItem, record: OutputRecord, format: OutputFormat): ReadOutput {
    const bytes = this.#buffer.subarray(this.#used, this.#used + record.lengthBytes);
    if (this.#recent?.copy(item.rangeIndex, record, bytes) !== true || crc32(bytes) !== record.crc32) {
      const damage = this.#readFile(record, bytes);
      if (damage !== undefined) return damage;
    }
    const part = format.split(bytes);
    // Records that cannot be told apart are not counted.
    if (part.recordCount !== record.recordCount && !Number.isNaN(part.recordCount)) {
      return damaged(record, `wanted ${record.recordCount} records, found ${part.recordCount}`);
    }
    this.#used += bytes.length;
    return { kind: 'intact', part };
  }

  /** @param bytes a part of the buffer, with room for one byte behind it */
  #readFile(record: OutputRecord, bytes: Uint8Array): DamagedOutput | undefined {
    const fd = openSync(`${this.#folder}/${record.file}`, 'r');
    let found: number;
    try {
      // One byte more than recorded: a longer file is noticed, and so is the end, without another call.
      found = readSync(fd, this.#buffer, this.#used, record.lengthBytes + 1, null);
      // Interrupted, or cut.
      if (found < record.lengthBytes) {
        found += readFully(fd, this.#buffer, this.#used + found, record.lengthBytes + 1 - found, null);
      }
    } finally {
      closeSync(fd);
    }
    if (found !== record.lengthBytes) {
      const more = found > record.lengthBytes ? 'more' : `${found}`;
      return damaged(record, `wanted ${record.lengthBytes} bytes, found ${more}`);
    }
    const sum = crc32(bytes);
    return sum === record.crc32 ? undefined : damaged(record, wrongSum(record, sum));
  }

  #readSlice(item: FinishedItem, record: OutputRecord, headerBytes: number, format: OutputFormat): ReadOutput {
    const fd = openSync(`${this.#folder}/${record.file}`, 'r');
    try {
      const shared = this.#sharedFile(fd, record, format);
      if (shared.header.length !== headerBytes) {
        return damaged(record, `wanted a header of ${headerBytes} bytes, found ${shared.header.length}`);
      }
      const found = readFully(fd, this.#buffer, this.#used, record.lengthBytes, record.offsetBytes);
      if (found !== record.lengthBytes) return damaged(record, `wanted ${record.lengthBytes} bytes, found ${found}`);
      const body = this.#buffer.subarray(this.#used, this.#used + found);
      const sum = crc32(body, shared.headerCrc);
      if (sum !== record.crc32) return damaged(record, wrongSum(record, sum));
      this.#used += found;
      const { header, info } = shared;
      const { recordCount } = record;
      if (info === undefined) return { kind: 'intact', part: { header, body, recordCount } };
      const eventCount = Math.min(recordCount, eventCountOf(item));
      return { kind: 'intact', part: { header, body, recordCount, info: { ...info, eventCount } } };
    } finally {
      closeSync(fd);
    }
  }

  /** Header and metadata of a shared file: read once, whole, since only the whole is a file of its format. */
  #sharedFile(fd: number, record: OutputRecord, format: OutputFormat): SharedFile {
    let shared = this.#shared.get(record.file);
    if (shared === undefined) {
      const bytes = Buffer.allocUnsafeSlow(fstatSync(fd).size);
      readFully(fd, bytes, 0, bytes.length, 0);
      const { header, body, info } = format.split(bytes);
      const ownHeader = Uint8Array.from(header);
      shared = { header: ownHeader, headerCrc: crc32(ownHeader), info, bodyBytes: body.length, takenBytes: 0 };
      if (this.#shared.size === MERGE_SHARED_FILES_MAX) {
        // Forgotten, the file is not removed with its last range but when the run is complete.
        for (const oldest of this.#shared.keys()) {
          this.#shared.delete(oldest);
          break;
        }
      }
    } else {
      this.#shared.delete(record.file);
    }
    this.#shared.set(record.file, shared);
    return shared;
  }
}

/** Up to `length` bytes; fewer only at the end of the file. */
function readFully(fd: number, into: Uint8Array, at: number, length: number, position: number | null): number {
  let done = 0;
  while (done < length) {
    const count = readSync(fd, into, at + done, length - done, position === null ? null : position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

function wrongSum(record: OutputRecord, found: number): string {
  const hex = (sum: number) => sum.toString(16).padStart(8, '0');
  return `wanted CRC-32 ${hex(record.crc32)}, found ${hex(found)}`;
}

function damaged(record: OutputRecord, problem: string): DamagedOutput {
  return { kind: 'damaged', message: `unmerged output ${record.file} of stream ${record.stream}: ${problem}` };
}
