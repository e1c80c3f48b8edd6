/**
 * Reads unmerged files and checks each against its record before a byte of it is used. Runs in the merger thread,
 * synchronously, and reads into two places by turns: while the outputs of one item are checked and used, those of the
 * next lie there already, and the sums of large ones are computed by a thread beside (`checksum-board.ts`).
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import type { MergeItem, OutputRecord } from '../../core/dispatcher-api.ts';
import { isGranuleError } from '../../core/errors.ts';
import { eventCountOf } from '../../core/event-range.ts';
import {
  MERGE_SHARED_FILES_MAX,
  MERGE_SUMMED_BESIDE_BYTES_MAX,
  MERGE_SUMMED_BESIDE_BYTES_MIN,
} from '../../core/limits.ts';
import type { EventStreamInfo, OutputFormat, SplitOutput } from '../../payloads/formats/event-format.ts';
import { ChecksumBoard, type ChecksumBoardMemory } from './checksum-board.ts';
import type { DamagedRange, MergeMode } from './merge-messages.ts';

export type FinishedItem = Extract<MergeItem, { kind: 'finished' }>;

type FormatOf = (stream: string) => OutputFormat;

/** An output that was read and not checked, or what kept it from being read. */
type LoadedOutput =
  | {
      readonly kind: 'loaded';
      readonly record: OutputRecord;
      readonly format: OutputFormat;
      readonly bytes: Buffer;
      /** the file that the output is a share of */
      readonly shared: SharedFile | undefined;
      /** of the sum that another thread computes */
      readonly ticket: number | undefined;
    }
  | DamagedOutput;

interface DamagedOutput {
  readonly kind: 'damaged';
  /** what was wanted and what was found, with the file */
  readonly message: string;
}

/** The outputs of an item in the order of its records, up to the first that could not be read. */
export interface LoadedItem {
  readonly item: FinishedItem;
  readonly outputs: readonly LoadedOutput[];
}

/** An output that is what its record says. The part's bytes are valid until the item after the next is loaded. */
export interface CheckedOutput {
  readonly record: OutputRecord;
  readonly part: SplitOutput;
}

/** What all ranges of a shared file have in common, and how much of it has been taken. */
interface SharedFile {
  readonly header: Uint8Array;
  readonly headerCrc: number;
  readonly info: EventStreamInfo | undefined;
  readonly bodyBytes: number;
  takenBytes: number;
}

/** Where the outputs of an item are read to. */
interface Place {
  readonly buffer: Buffer;
  /** of the buffer on the checksum board; undefined where the sums are computed here */
  readonly boardOffset: number | undefined;
}

/** The file cannot be read: as good as damaged. Any other error says something about the machine, not the file. */
const DAMAGE_CODES = new Set(['ENOENT', 'EIO', 'EISDIR', 'ENOTDIR', 'EUCLEAN']);

const STANDING_BYTES = MERGE_SUMMED_BESIDE_BYTES_MIN;
const NO_BUFFER = Buffer.alloc(0);

export interface UnmergedReaderOptions {
  readonly aggregationFolder: string;
  readonly mode: MergeMode;
  /** Called once, when there are sums that are worth another thread. Without it all are computed here. */
  readonly startHelper?: (board: ChecksumBoardMemory) => void;
}

export class UnmergedReader {
  readonly #options: UnmergedReaderOptions;
  readonly #standing = [Buffer.allocUnsafeSlow(STANDING_BYTES), Buffer.allocUnsafeSlow(STANDING_BYTES)] as const;
  /** for items that fit nowhere else */
  #own = [NO_BUFFER, NO_BUFFER];
  #board: ChecksumBoard | undefined;
  #loadedCount = 0;
  #used = 0;
  /** least recently read first */
  readonly #shared = new Map<string, SharedFile>();

  constructor(options: UnmergedReaderOptions) {
    this.#options = options;
  }

  /**
   * Reads all outputs of an item, which is to be checked once at most. Overwrites what was loaded before the last item.
   * Throws only what is no file's fault, as {@link check} does.
   */
  load(item: FinishedItem, formatOf: FormatOf): LoadedItem {
    const place = this.#placeFor(item);
    const outputs: LoadedOutput[] = [];
    for (const record of item.outputs) {
      const output = this.#load(record, place, formatOf(record.stream));
      outputs.push(output);
      if (output.kind === 'damaged') break;
    }
    return { item, outputs };
  }

  /** All outputs of the item or, when one of them is damaged, none. */
  check({ item, outputs }: LoadedItem): readonly CheckedOutput[] | DamagedRange {
    const checked: CheckedOutput[] = [];
    let damage: DamagedRange | undefined;
    for (const output of outputs) {
      const result = this.#check(item, output);
      if ('part' in result) checked.push(result);
      else damage ??= { rangeIndex: item.rangeIndex, message: result.message };
    }
    return damage ?? checked;
  }

  /** Nothing will be read for a while: buffers of unusual size are not kept, nor items that were not checked. */
  rest(): void {
    this.#own = [NO_BUFFER, NO_BUFFER];
    this.#board?.clear();
  }

  /**
   * Looks at all outputs of the items without keeping them. After a power cut many are damaged at once: found in one
   * pass, they are made again at once.
   */
  findDamaged(items: Iterable<MergeItem>, formatOf: FormatOf): DamagedRange[] {
    const damaged: DamagedRange[] = [];
    for (const item of items) {
      if (item.kind === 'missing') continue;
      const checked = this.check(this.load(item, formatOf));
      if ('message' in checked) damaged.push(checked);
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

  #placeFor(item: FinishedItem): Place {
    const turn = this.#loadedCount % 2;
    this.#loadedCount += 1;
    this.#used = 0;
    let needed = 0;
    for (const record of item.outputs) needed += record.lengthBytes + 1;
    if (needed <= STANDING_BYTES) return { buffer: this.#standing[turn] as Buffer, boardOffset: undefined };
    const { startHelper } = this.#options;
    if (needed <= MERGE_SUMMED_BESIDE_BYTES_MAX && startHelper !== undefined) {
      if (this.#board === undefined) {
        this.#board = ChecksumBoard.create(2 * MERGE_SUMMED_BESIDE_BYTES_MAX);
        startHelper(this.#board.memory);
      }
      const boardOffset = turn * MERGE_SUMMED_BESIDE_BYTES_MAX;
      return { buffer: this.#board.bytes.subarray(boardOffset, boardOffset + needed), boardOffset };
    }
    if ((this.#own[turn] as Buffer).length < needed) this.#own[turn] = Buffer.allocUnsafeSlow(needed);
    return { buffer: this.#own[turn] as Buffer, boardOffset: undefined };
  }

  #load(record: OutputRecord, place: Place, format: OutputFormat): LoadedOutput {
    try {
      return record.headerBytes === undefined
        ? this.#loadWhole(record, place, format)
        : this.#loadShare(record, record.headerBytes, place, format);
    } catch (error) {
      return damaged(record, damageOf(error));
    }
  }

  #loadWhole(record: OutputRecord, place: Place, format: OutputFormat): LoadedOutput {
    const { lengthBytes } = record;
    const fd = openSync(`${this.#options.aggregationFolder}/${record.file}`, 'r');
    let found: number;
    try {
      // One byte more than recorded: a longer file is noticed, and so is the end, without another call.
      found = readSync(fd, place.buffer, this.#used, lengthBytes + 1, null);
      // Interrupted, or cut.
      if (found < lengthBytes) {
        found += readFully(fd, place.buffer, this.#used + found, lengthBytes + 1 - found, null);
      }
    } finally {
      closeSync(fd);
    }
    if (found === lengthBytes) return this.#loaded(record, place, format, undefined);
    return damaged(record, `wanted ${lengthBytes} bytes, found ${found > lengthBytes ? 'more' : `${found}`}`);
  }

  #loadShare(record: OutputRecord, headerBytes: number, place: Place, format: OutputFormat): LoadedOutput {
    const { lengthBytes } = record;
    const fd = openSync(`${this.#options.aggregationFolder}/${record.file}`, 'r');
    try {
      const shared = this.#sharedFile(fd, record, format);
      if (shared.header.length !== headerBytes) {
        return damaged(record, `wanted a header of ${headerBytes} bytes, found ${shared.header.length}`);
      }
      const found = readFully(fd, place.buffer, this.#used, lengthBytes, record.offsetBytes);
      if (found === lengthBytes) return this.#loaded(record, place, format, shared);
      return damaged(record, `wanted ${lengthBytes} bytes, found ${found}`);
    } finally {
      closeSync(fd);
    }
  }

  #loaded(record: OutputRecord, place: Place, format: OutputFormat, shared: SharedFile | undefined): LoadedOutput {
    const { buffer, boardOffset } = place;
    const at = this.#used;
    const end = at + record.lengthBytes;
    this.#used = end;
    const ticket =
      boardOffset === undefined
        ? undefined
        : this.#board?.post(boardOffset + at, record.lengthBytes, shared?.headerCrc ?? 0);
    return { kind: 'loaded', record, format, bytes: buffer.subarray(at, end), shared, ticket };
  }

  #check(item: FinishedItem, output: LoadedOutput): CheckedOutput | DamagedOutput {
    if (output.kind === 'damaged') return output;
    const { record, format, bytes, shared } = output;
    const sum = this.#sumOf(output);
    if (sum !== record.crc32) return damaged(record, wrongSum(record, sum));
    try {
      const part = shared === undefined ? format.split(bytes) : shareOf(shared, item, record, bytes);
      // Records that cannot be told apart are not counted.
      if (part.recordCount !== record.recordCount && !Number.isNaN(part.recordCount)) {
        return damaged(record, `wanted ${record.recordCount} records, found ${part.recordCount}`);
      }
      if (this.#options.mode === 'fast') return { record, part };
      return { record, part: { ...part, body: format.rewrite(part.body) } };
    } catch (error) {
      return damaged(record, damageOf(error));
    }
  }

  #sumOf({ bytes, shared, ticket }: Extract<LoadedOutput, { kind: 'loaded' }>): number {
    const sum = ticket === undefined ? undefined : this.#board?.take(ticket);
    return sum ?? crc32(bytes, shared?.headerCrc ?? 0);
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
        // Forgotten, the file is not removed with its last range but when the aggregation folder is swept.
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

/** Of a share that its sum has proved: its records are counted, and said of them what its file says of all. */
function shareOf(shared: SharedFile, item: FinishedItem, { recordCount }: OutputRecord, body: Uint8Array): SplitOutput {
  const { header, info } = shared;
  if (info === undefined) return { header, body, recordCount };
  return { header, body, recordCount, info: { ...info, eventCount: Math.min(recordCount, eventCountOf(item)) } };
}

/** What is wrong with a file. Throws what is not its fault. */
function damageOf(error: unknown): string {
  const isDamage = isGranuleError(error)
    ? error.code === 'OUTPUT_DAMAGED'
    : error instanceof Error && 'code' in error && DAMAGE_CODES.has(String(error.code));
  if (!isDamage) throw error;
  return (error as Error).message;
}

function damaged(record: OutputRecord, problem: string): DamagedOutput {
  return { kind: 'damaged', message: `unmerged output ${record.file} of stream ${record.stream}: ${problem}` };
}
