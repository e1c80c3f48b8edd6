/**
 * One open output file of a worker: a stream's records of the range in work and, where the sequence rule puts several
 * ranges into one file, of those before it, each a *slice*. In a worker's thread.
 */
import { crc32 } from 'node:zlib';
import type { OutputRecord } from '../../core/dispatcher-api.ts';
import type { OutputFormat } from '../../payloads/formats/event-format.ts';
import { EMPTY_INFO } from '../../payloads/formats/event-stream-info.ts';
import type { EventFile, EventFileMark } from './event-file.ts';
import type { EventInfoCollector } from './event-info.ts';

export interface OutputFileParts {
  readonly stream: string;
  readonly format: OutputFormat;
  readonly file: EventFile;
  /** path below the aggregation folder */
  readonly path: string;
  readonly header: Uint8Array;
  /** undefined where the format holds none */
  readonly info: EventInfoCollector | undefined;
}

/** What one range has in a shared file. */
interface Slice<Range> {
  readonly range: Range;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly crc32: number;
  readonly recordCount: number;
}

/** @typeParam Range what a slice belongs to */
export class OutputFile<Range> {
  readonly stream: string;
  readonly format: OutputFormat;
  readonly info: EventInfoCollector | undefined;
  readonly #file: EventFile;
  readonly #path: string;
  readonly #header: Uint8Array;
  readonly #slices: Slice<Range>[] = [];
  /** where the slice of the range in work begins; undefined while it has none, and in files of one range */
  #sliceStart: EventFileMark | undefined;
  #sliceCrc = 0;
  /** of the range in work */
  #recordCount = 0;
  /** of the event in work */
  #eventBytes = 0;

  constructor({ stream, format, file, path, header, info }: OutputFileParts) {
    this.stream = stream;
    this.format = format;
    this.info = info;
    this.#file = file;
    this.#path = path;
    this.#header = header;
    file.append(header);
  }

  get sizeBytes(): number {
    return this.#file.sizeBytes;
  }

  /** Some range besides the one in work has records here. */
  get isShared(): boolean {
    return this.#slices.length > 0;
  }

  /** All bytes of a complete file that is small. */
  get wholeBytes(): Uint8Array | undefined {
    return this.#file.wholeBytes;
  }

  get eventBytes(): number {
    return this.#eventBytes;
  }

  beginEvent(): void {
    this.#eventBytes = 0;
  }

  /** Returns the bytes that the event in work has here, with these: over a limit, do not append them. */
  countEventBytes(bytes: Uint8Array): number {
    this.#eventBytes += bytes.length;
    return this.#eventBytes;
  }

  append(bytes: Uint8Array): void {
    this.#file.append(bytes);
    // Of nothing Node's sum is 0 sometimes, whatever came before.
    if (this.#sliceStart !== undefined && bytes.length > 0) this.#sliceCrc = crc32(bytes, this.#sliceCrc);
    this.#recordCount += 1;
  }

  /** The range in work has a part of this file to itself from here. Twice is harmless. */
  beginSlice(): void {
    if (this.#sliceStart !== undefined) return;
    this.#sliceStart = this.#file.mark();
    this.#sliceCrc = crc32(this.#header);
    this.#recordCount = 0;
  }

  /** Returns false when the range had begun no slice. */
  endSlice(range: Range): boolean {
    if (this.#sliceStart === undefined) return false;
    const offsetBytes = this.#sliceStart.sizeBytes;
    this.#slices.push({
      range,
      offsetBytes,
      lengthBytes: this.#file.sizeBytes - offsetBytes,
      crc32: this.#sliceCrc,
      recordCount: this.#recordCount,
    });
    this.#sliceStart = undefined;
    this.#recordCount = 0;
    return true;
  }

  /** Takes back what the range in work has here: its slice or, in a file of its own, everything. */
  abandon(): void {
    if (!this.isShared) this.#file.discard();
    else if (this.#sliceStart !== undefined) this.#file.rollback(this.#sliceStart);
    this.#sliceStart = undefined;
    this.#recordCount = 0;
  }

  /** Takes back everything, of all ranges. Never throws. */
  discard(): void {
    this.#file.discard();
  }

  /** Puts a file of one range in place. */
  complete(aggregationFolder: string): OutputRecord {
    const recordCount = this.#recordCount;
    const { sizeBytes, crc32: crc } = this.#putInPlace(aggregationFolder);
    return { stream: this.stream, file: this.#path, offsetBytes: 0, lengthBytes: sizeBytes, crc32: crc, recordCount };
  }

  /** Puts a shared file in place; one entry for each slice, in order. */
  completeSlices(aggregationFolder: string): (readonly [range: Range, output: OutputRecord])[] {
    this.#putInPlace(aggregationFolder);
    const whole = { stream: this.stream, file: this.#path, headerBytes: this.#header.length };
    return this.#slices.map(({ range, ...slice }) => [range, { ...whole, ...slice }]);
  }

  #putInPlace(aggregationFolder: string): { readonly sizeBytes: number; readonly crc32: number } {
    this.#file.append(this.format.end(this.info?.toInfo() ?? EMPTY_INFO));
    return this.#file.complete(`${aggregationFolder}/${this.#path}`);
  }
}
