/**
 * The event index: where the events of files lie, kept in an LMDB store. One run keeps its own under its output folder;
 * a shared one serves many runs and processes, all of which may read while one writes.
 *
 * Files are known by GUID, which is derived from their content, so what is kept of a file stays true for ever and
 * blocks may be cached for as long as the index is open.
 */
import { GranuleError } from '../../core/errors.ts';
import type { EventSpan, FileRecord } from '../../core/file-index.ts';
import type { Guid } from '../../core/ids.ts';
import { EVENT_INDEX_CACHED_BLOCKS } from '../../core/limits.ts';
import { BlockCache } from './block-cache.ts';
import {
  type EventIndexOptions,
  EventIndexStore,
  isWritableStore,
  type KnownFile,
  type PathRow,
} from './event-index-store.ts';
import type { FileStamp } from './file-stamp.ts';
import type { IndexedFile } from './index-file.ts';
import { type Fences, findBlock, findEntry, type NumberBlock, unpackNumberBlock } from './number-blocks.ts';
import { EVENTS_PER_BLOCK, hasChecksums, type PlaceBlock, unpackPlaceBlock } from './place-blocks.ts';

export type { EventIndexOptions, PathRow } from './event-index-store.ts';

/** Byte ranges of events at any positions, as parallel arrays in the order asked. */
export interface EventPlaces {
  readonly offsets: Float64Array;
  readonly lengths: Uint32Array;
}

/** An event found by its numbers. */
export interface EventMatch {
  /** index into the list asked for */
  readonly request: number;
  readonly guid: Guid;
  readonly position: number;
}

export class EventIndex {
  readonly path: string;
  readonly #store: EventIndexStore;
  readonly #knownFiles = new Map<string, KnownFile>();
  /** files with event numbers, in the order in which they were added, up to `#seenFileID` */
  readonly #numberedFiles: KnownFile[] = [];
  #seenFileID = 0;
  readonly #knownFences = new Map<number, Fences>();
  readonly #placeCache = new BlockCache<PlaceBlock>(EVENT_INDEX_CACHED_BLOCKS);
  readonly #numberCache = new BlockCache<NumberBlock>(EVENT_INDEX_CACHED_BLOCKS);

  private constructor(path: string, store: EventIndexStore) {
    this.path = path;
    this.#store = store;
  }

  /** @throws STORE_MISSING (read-only and not there yet), STORE_VERSION, STORE_FAILED */
  static async open(options: EventIndexOptions): Promise<EventIndex> {
    return new EventIndex(options.path, await EventIndexStore.open(options));
  }

  /**
   * Opens it to be read while threads of this process may begin to write it. A process has one environment of LMDB for a
   * file, and whoever opens it first says whether it can be written: read-only, no thread could write any more.
   *
   * @throws STORE_MISSING, STORE_VERSION, STORE_FAILED
   */
  static openBesideWriters(path: string): Promise<EventIndex> {
    return EventIndex.open({ path, readOnly: !isWritableStore(path) });
  }

  /** The record of a file, undefined when it is not in the index. Its LFN is the one it was first indexed by. */
  fileRecord(guid: Guid): FileRecord | undefined {
    return this.#find(guid)?.record;
  }

  /** All files, in the order in which they were added. */
  *files(): IterableIterator<FileRecord> {
    for (const { record } of this.#store.files(0)) yield record;
  }

  /** What is known of a path; whether the file still is like that is for the caller to find out. */
  pathRow(path: string): PathRow | undefined {
    return this.#store.pathRow(path);
  }

  /** Paths under which files were read, with what they held. Paths beyond 450 characters are left out. */
  pathRows(): IterableIterator<PathRow & { readonly path: string }> {
    return this.#store.pathRows();
  }

  /**
   * Adds a file; a file that is there already stays as it is. On disk when the promise resolves.
   *
   * @param at the path the file was read from, if it has one: kept, so that an unchanged file need not be read again
   */
  add(file: IndexedFile, at?: { readonly path: string; readonly stamp: FileStamp }): Promise<void> {
    return this.#store.add(file, at);
  }

  /**
   * Where `count` consecutive events lie, from `firstPosition` (1-based) on.
   *
   * @throws EVENT_NOT_FOUND when the file is not in the index, has fewer events, or is a ROOT file
   */
  lookupSpan(guid: Guid, firstPosition: number, count: number): EventSpan {
    const file = this.#requireRanges(guid);
    this.#checkPosition(file, firstPosition);
    this.#checkPosition(file, firstPosition + count - 1);
    const offsets = new Float64Array(count);
    const lengths = new Uint32Array(count);
    let checksums: Uint32Array | undefined;
    let done = 0;
    while (done < count) {
      const index = firstPosition - 1 + done;
      const within = index % EVENTS_PER_BLOCK;
      const block = this.#placeBlock(file, Math.floor(index / EVENTS_PER_BLOCK));
      const taken = Math.min(count - done, EVENTS_PER_BLOCK - within);
      offsets.set(block.offsets.subarray(within, within + taken), done);
      lengths.set(block.lengths.subarray(within, within + taken), done);
      if (block.checksums !== undefined) {
        checksums ??= new Uint32Array(count);
        checksums.set(block.checksums.subarray(within, within + taken), done);
      }
      done += taken;
    }
    return { firstPosition, count, offsets, lengths, checksums };
  }

  /**
   * Where the events at these positions (1-based, any order) lie.
   *
   * @throws EVENT_NOT_FOUND
   */
  lookupPositions(guid: Guid, positions: ArrayLike<number>): EventPlaces {
    const file = this.#requireRanges(guid);
    const offsets = new Float64Array(positions.length);
    const lengths = new Uint32Array(positions.length);
    let blockIndex = -1;
    let block: PlaceBlock | undefined;
    for (let at = 0; at < positions.length; at += 1) {
      const position = positions[at] ?? Number.NaN;
      this.#checkPosition(file, position);
      const index = position - 1;
      const wanted = Math.floor(index / EVENTS_PER_BLOCK);
      if (block === undefined || wanted !== blockIndex) {
        block = this.#placeBlock(file, wanted);
        blockIndex = wanted;
      }
      offsets[at] = block.offsets[index % EVENTS_PER_BLOCK] ?? 0;
      lengths[at] = block.lengths[index % EVENTS_PER_BLOCK] ?? 0;
    }
    return { offsets, lengths };
  }

  /**
   * Events by run and event number. Numbers need not be unique, so a request may have several matches, or none. Files
   * that state no run number (HepMC) count as run 0; files without event numbers (LHE, NDJSON) are never matched.
   * The position is that of an entry in the tree `numbered` of a ROOT file.
   *
   * @returns matches in the order of the requests, then of the files, then of the positions
   */
  lookupEvents(requests: readonly (readonly [run: number, eventNumber: number])[]): EventMatch[] {
    this.#catchUp();
    const matches: EventMatch[] = [];
    requests.forEach(([run, eventNumber], request) => {
      for (const file of this.#numberedFiles) {
        if (isBetween(run, eventNumber, file)) this.#collectMatches(file, [run, eventNumber], request, matches);
      }
    });
    return matches;
  }

  /** Whether the index keeps a checksum of each event of the file. */
  hasChecksums(guid: Guid): boolean {
    const { fileID, record } = this.#require(guid);
    return record.format !== 'root' && hasChecksums(this.#store.placeBlock(fileID, 0));
  }

  /** Whether the index keeps exactly these blocks for the file. */
  hasSameBlocks(guid: Guid, { placeBlocks, numbers }: IndexedFile): boolean {
    const { fileID } = this.#require(guid);
    return (
      placeBlocks.every((block, index) => isSameStart(this.#store.placeBlock(fileID, index), block)) &&
      numbers.blocks.every((block, index) => isSameStart(this.#store.numberBlock(fileID, index), block))
    );
  }

  /** Any number of times. */
  close(): Promise<void> {
    return this.#store.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #find(guid: Guid): KnownFile | undefined {
    const known = this.#knownFiles.get(guid);
    if (known !== undefined) return known;
    const file = this.#store.findFile(guid);
    if (file !== undefined) this.#knownFiles.set(guid, file);
    return file;
  }

  /** Takes note of files that were added, by whichever process, since the last look. */
  #catchUp(): void {
    for (const file of this.#store.files(this.#seenFileID + 1)) {
      if (file.entryCount > 0) this.#numberedFiles.push(file);
      this.#seenFileID = file.fileID;
    }
  }

  #require(guid: Guid): KnownFile {
    const file = this.#find(guid);
    if (file !== undefined) return file;
    throw new GranuleError('EVENT_NOT_FOUND', `the event index at ${this.path} does not know file ${guid}`, {
      details: { guid },
    });
  }

  #requireRanges(guid: Guid): KnownFile {
    const file = this.#require(guid);
    if (file.record.format !== 'root') return file;
    throw new GranuleError(
      'EVENT_NOT_FOUND',
      `${file.record.lfn} (${guid}) is a ROOT file: its events are entries of a tree, not ranges of bytes`,
      { details: { guid } },
    );
  }

  #checkPosition({ record }: KnownFile, position: number): void {
    if (position >= 1 && position <= record.eventCount) return;
    throw new GranuleError(
      'EVENT_NOT_FOUND',
      `${record.lfn} (${record.guid}) has no event ${position}: its positions are 1 to ${record.eventCount}`,
      { details: { guid: record.guid, position } },
    );
  }

  #placeBlock({ fileID, record }: KnownFile, block: number): PlaceBlock {
    return this.#placeCache.get(fileID, block, () => {
      const count = Math.min(EVENTS_PER_BLOCK, record.eventCount - block * EVENTS_PER_BLOCK);
      return unpackPlaceBlock(this.#store.placeBlock(fileID, block), count);
    });
  }

  #numberBlock({ fileID, entryCount }: KnownFile, block: number): NumberBlock {
    return this.#numberCache.get(fileID, block, () => {
      const count = Math.min(EVENTS_PER_BLOCK, entryCount - block * EVENTS_PER_BLOCK);
      return unpackNumberBlock(this.#store.numberBlock(fileID, block), count);
    });
  }

  #collectMatches(
    file: KnownFile,
    [run, eventNumber]: readonly [number, number],
    request: number,
    matches: EventMatch[],
  ): void {
    const { guid } = file.record;
    let blockIndex = findBlock(this.#fencesOf(file), run, eventNumber);
    let block = this.#numberBlock(file, blockIndex);
    let entry = findEntry(block, run, eventNumber);
    for (;;) {
      if (entry === block.runs.length) {
        blockIndex += 1;
        if (blockIndex * EVENTS_PER_BLOCK >= file.entryCount) return;
        block = this.#numberBlock(file, blockIndex);
        entry = 0;
      }
      if (block.runs[entry] !== run || block.eventNumbers[entry] !== eventNumber) return;
      matches.push({ request, guid, position: block.positions[entry] ?? 0 });
      entry += 1;
    }
  }

  #fencesOf({ fileID }: KnownFile): Fences {
    const known = this.#knownFences.get(fileID);
    if (known !== undefined) return known;
    const fences = this.#store.fences(fileID);
    this.#knownFences.set(fileID, fences);
    return fences;
  }
}

function isBetween(run: number, eventNumber: number, { first, last }: KnownFile): boolean {
  const isAfterFirst = run > first[0] || (run === first[0] && eventNumber >= first[1]);
  const isBeforeLast = run < last[0] || (run === last[0] && eventNumber <= last[1]);
  return isAfterFirst && isBeforeLast;
}

/** A block read from the store may be a view that is longer than the block. */
function isSameStart(read: Uint8Array, block: Uint8Array): boolean {
  return Buffer.compare(read.subarray(0, block.length), block) === 0;
}
