/**
 * Turns event ranges into tokens: looks up where their events lie and, for files that workers cannot read themselves,
 * fetches the bytes that will ride with the token. Pure of threads and channels; `token-extractor.thread.ts` runs it.
 */
import { assert } from '../../core/assert.ts';
import type { LeasedRange } from '../../core/dispatcher-api.ts';
import { GranuleError } from '../../core/errors.ts';
import type { EventSpan, FileRecord } from '../../core/file-index.ts';
import type { Guid } from '../../core/ids.ts';
import type { ExtractFile, RangeToken, WorkerFile } from '../../core/messages.ts';
import type { ByteRange } from '../remote/byte-source.ts';
import { isRemotePlace } from '../remote/place.ts';

/** Where events lie: the event index. */
export interface SpanLookup {
  /** @throws EVENT_NOT_FOUND for positions outside the file */
  lookupSpan(guid: Guid, firstPosition: number, count: number): EventSpan;
}

/** Bytes of files that are not plain local ones. */
export interface EventBytesReader {
  addFile(file: { readonly fileIndex: number; readonly record: FileRecord; readonly places: readonly string[] }): void;
  /** What will be read next, in order: a hint to fetch ahead. */
  plan(requests: readonly ByteRequest[]): void;
  /** What will not be read after all. */
  forget(requests: readonly ByteRequest[]): void;
  /** In the order asked; an error stands for bytes that cannot be had. The bytes belong to the caller. */
  read(requests: readonly ByteRequest[], signal: AbortSignal): Promise<readonly RidingBytes[]>;
}

export type RidingBytes = Uint8Array | EventRun | GranuleError;

/** Events whose lengths are known only now: entries of a ROOT tree. */
export interface EventRun {
  /** the events, one after the other */
  readonly bytes: Uint8Array;
  readonly lengths: readonly number[];
}

export interface ByteRequest {
  readonly fileIndex: number;
  /** half-open range of inflated bytes; of entries, counted from 0, in a ROOT file */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** what is known of the bytes: see `ByteRange` */
  readonly crc32?: number;
  readonly parts?: readonly ByteRange[];
}

/** A token whose bytes ride, as it is asked for; the checks do not travel on. */
type LocatedToken = RangeToken & Pick<ByteRequest, 'crc32' | 'parts'>;

/** Tokens that may be sent: at most a few megabytes of frames at once. */
export interface TokenBatch {
  readonly files: readonly WorkerFile[];
  readonly tokens: readonly RangeToken[];
  readonly frames: readonly Uint8Array[];
  /** tokens whose bytes cannot be had */
  readonly refused: readonly { readonly token: RangeToken; readonly error: GranuleError }[];
}

interface KnownFile {
  readonly file: ExtractFile;
  /** a plain local file: workers read it themselves */
  readonly path: string | null;
  announced: boolean;
}

/** Plain local files are read by the workers; the bytes of all others are fetched and ride with the token. */
export function isReadByWorkers({ record, places }: Pick<ExtractFile, 'record' | 'places'>): boolean {
  return record.compression === 'none' && record.format !== 'root' && !isRemotePlace(places[0] ?? '');
}

export class TokenExtraction {
  readonly #lookup: SpanLookup;
  readonly #reader: EventBytesReader;
  readonly #files = new Map<number, KnownFile>();

  constructor(lookup: SpanLookup, reader: EventBytesReader) {
    this.#lookup = lookup;
    this.#reader = reader;
  }

  addFile(file: ExtractFile): void {
    const [place] = file.places;
    assert(place !== undefined, 'a file has a place');
    const plain = isReadByWorkers(file);
    this.#files.set(file.fileIndex, { file, path: plain ? place : null, announced: false });
    if (!plain) this.#reader.addFile(file);
  }

  /** Where the events of these ranges lie. Consecutive ranges of one file cost one look-up. */
  locate(ranges: readonly LeasedRange[]): RangeToken[] {
    const tokens: RangeToken[] = [];
    let index = 0;
    while (index < ranges.length) {
      const first = ranges[index];
      assert(first !== undefined, 'index is within ranges');
      let end = index + 1;
      for (let last = first; end < ranges.length; end += 1) {
        const next = ranges[end];
        if (next === undefined || next.fileIndex !== last.fileIndex || next.startEvent !== last.lastEvent + 1) break;
        last = next;
      }
      this.#locateRun(ranges.slice(index, end), tokens);
      index = end;
    }
    return tokens;
  }

  /** Tells the reader what is coming. */
  plan(tokens: readonly RangeToken[]): void {
    const riding = tokens.filter((token) => this.#known(token.fileIndex).path === null);
    if (riding.length > 0) this.#reader.plan(riding);
  }

  /** Whether bytes of any of these will ride. */
  ride(tokens: readonly RangeToken[]): boolean {
    return tokens.some((token) => this.#known(token.fileIndex).path === null);
  }

  /** Tells the reader what is not coming after all. */
  forget(tokens: readonly RangeToken[]): void {
    this.#reader.forget(tokens.filter((token) => this.#known(token.fileIndex).path === null));
  }

  /** Completes tokens with the descriptions of new files and the bytes that ride. */
  async load(tokens: readonly RangeToken[], signal: AbortSignal): Promise<TokenBatch> {
    const files: WorkerFile[] = [];
    for (const token of tokens) {
      const known = this.#known(token.fileIndex);
      if (known.announced) continue;
      files.push(await this.#describe(known, signal));
      known.announced = true;
    }
    const riding = tokens.filter((token) => this.#known(token.fileIndex).path === null);
    if (riding.length === 0) return { files, tokens, frames: [], refused: [] };
    const read = await this.#reader.read(riding, signal);
    const bytesOf = new Map(riding.map((token, index) => [token, read[index]]));
    const complete: RangeToken[] = [];
    const frames: Uint8Array[] = [];
    const refused: { token: RangeToken; error: GranuleError }[] = [];
    for (const token of tokens) {
      const bytes = bytesOf.get(token);
      if (bytes === undefined) {
        complete.push(token);
      } else if (bytes instanceof Uint8Array) {
        complete.push({ ...token, frame: frames.length });
        frames.push(bytes);
      } else if ('lengths' in bytes) {
        complete.push({ ...token, ...placesIn(bytes), frame: frames.length });
        frames.push(bytes.bytes);
      } else {
        refused.push({ token, error: bytes });
      }
    }
    return { files, tokens: complete, frames, refused };
  }

  async #describe(known: KnownFile, signal: AbortSignal): Promise<WorkerFile> {
    const { fileIndex, record } = known.file;
    const runHeaders =
      known.path !== null || record.runSegments.length === 0
        ? null
        : await this.#readAll(
            record.runSegments.map((segment) => ({ fileIndex, ...segment })),
            signal,
          );
    return {
      fileIndex,
      guid: record.guid,
      lfn: record.lfn,
      format: record.format,
      path: known.path,
      runSegments: record.runSegments,
      runHeaders,
    };
  }

  async #readAll(requests: readonly ByteRequest[], signal: AbortSignal): Promise<Uint8Array[]> {
    this.#reader.plan(requests);
    const read = await this.#reader.read(requests, signal);
    return read.map((bytes) => {
      assert(!('lengths' in bytes), 'run information is a range of bytes');
      if (bytes instanceof Uint8Array) return bytes;
      throw bytes;
    });
  }

  #locateRun(run: readonly LeasedRange[], tokens: RangeToken[]): void {
    const first = run[0];
    const last = run[run.length - 1];
    assert(first !== undefined && last !== undefined, 'a run holds a range');
    const { file, path } = this.#known(first.fileIndex);
    const { record } = file;
    const count = last.lastEvent - first.startEvent + 1;
    const span =
      record.format === 'root'
        ? spanOfEntries(record, first.startEvent, count)
        : this.#lookup.lookupSpan(record.guid, first.startEvent, count);
    for (const range of run) {
      const begin = range.startEvent - first.startEvent;
      const end = range.lastEvent - first.startEvent;
      const offsetBytes = span.offsets[begin] ?? 0;
      const token: LocatedToken = {
        rangeIndex: range.rangeIndex,
        attemptNr: range.attemptNr,
        fileIndex: range.fileIndex,
        startEvent: range.startEvent,
        lastEvent: range.lastEvent,
        failures: range.failures,
        offsetBytes,
        lengthBytes: (span.offsets[end] ?? 0) + (span.lengths[end] ?? 0) - offsetBytes,
        cuts: begin === end ? null : cutsOf(span, begin, end),
        frame: -1,
        failedEvents: null,
        suspect: range.suspect === true,
        ...(path === null ? checksOf(span, begin, end) : {}),
      };
      tokens.push(token);
    }
  }

  #known(fileIndex: number): KnownFile {
    const known = this.#files.get(fileIndex);
    if (known === undefined)
      throw new GranuleError('INTERNAL', `the token extractor was not told of file ${fileIndex}`);
    return known;
  }
}

/** Entries of a ROOT tree, as if each were one byte: what they come to is known when they are read. */
function spanOfEntries(record: FileRecord, firstPosition: number, count: number): EventSpan {
  const last = firstPosition + count - 1;
  if (firstPosition < 1 || last > record.eventCount) {
    throw new GranuleError('EVENT_NOT_FOUND', `${record.lfn} has no events ${firstPosition} to ${last}`, {
      details: { guid: record.guid, position: last },
    });
  }
  const offsets = Float64Array.from({ length: count }, (_, index) => firstPosition - 1 + index);
  return { firstPosition, count, offsets, lengths: new Uint32Array(count).fill(1) };
}

/** Length and cuts of a token whose events have been read. */
function placesIn({ bytes, lengths }: EventRun): Pick<RangeToken, 'lengthBytes' | 'cuts'> {
  if (lengths.length === 1) return { lengthBytes: bytes.length, cuts: null };
  let offset = 0;
  const cuts = lengths.flatMap((length) => {
    offset += length;
    return [offset - length, length];
  });
  return { lengthBytes: bytes.length, cuts };
}

/** Checksums of the events from `begin` to `end` of the span, both included, as far as they are known. */
function checksOf({ checksums, offsets, lengths }: EventSpan, begin: number, end: number): Partial<LocatedToken> {
  if (checksums === undefined) return {};
  const parts: Required<Pick<ByteRange, 'offsetBytes' | 'lengthBytes' | 'crc32'>>[] = [];
  for (let index = begin; index <= end; index += 1) {
    parts.push({
      offsetBytes: offsets[index] ?? 0,
      lengthBytes: lengths[index] ?? 0,
      crc32: checksums[index] ?? 0,
    });
  }
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? { crc32: only.crc32 } : { parts };
}

/** Offset (relative to the first event) and length of each event, alternating. */
function cutsOf(span: EventSpan, begin: number, end: number): number[] {
  const base = span.offsets[begin] ?? 0;
  const cuts: number[] = [];
  for (let index = begin; index <= end; index += 1) {
    cuts.push((span.offsets[index] ?? 0) - base, span.lengths[index] ?? 0);
  }
  return cuts;
}
