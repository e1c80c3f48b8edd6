/**
 * The bytes of events that are entries of trees, in the token extractor's thread: has groups of entries unpacked, whole
 * ones and each once, and hands out their events from memory. While events of one group go out, the next one planned
 * is unpacked.
 *
 * Offsets and lengths of requests count entries. A group is *ahead* (asked for by the plan), then *open* (an event of it
 * was read), then forgotten, the least recently read first.
 */
import { assert } from '../../core/assert.ts';
import { deserialiseError, ERROR_TABLE, type GranuleError, isGranuleError, serialiseError } from '../../core/errors.ts';
import type { FileRecord } from '../../core/file-index.ts';
import { ROOT_GROUPS_AHEAD, ROOT_GROUPS_KEPT } from '../../core/limits.ts';
import type { EncodedEntries } from '../../payloads/formats/root-entry-encoder.ts';
import { abortable } from '../remote/abortable.ts';
import type { SourceOptions } from '../remote/source-options.ts';
import { groupOf } from './entry-groups.ts';
import type { RootFile, RootSelection } from './root-messages.ts';
import { RootThread } from './root-thread.ts';

/** Entries `[offsetBytes, offsetBytes + lengthBytes)` of the chosen tree, counted from 0. */
export interface EntryRequest {
  readonly fileIndex: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** The events of a request, one after the other, or why there are none. */
export type EntryData = EntryRun | GranuleError;

export interface EntryRun {
  /** a view that stays valid while it is referenced, or bytes of their own */
  readonly bytes: Uint8Array;
  readonly lengths: readonly number[];
}

interface KnownFile {
  readonly file: RootFile;
  readonly entryCount: number;
  readonly selection: RootSelection;
  /** first entry of each group, once it was asked for */
  starts: Pending<Float64Array> | undefined;
}

interface Group {
  readonly firstEntry: number;
  readonly entries: Pending<EncodedEntries>;
  isOpen: boolean;
}

/** Something asked of the thread; `value` once it is here, so that events of an unpacked group cost no promise. */
interface Pending<Value> {
  readonly done: Promise<Value>;
  value: Value | undefined;
}

export class RootEventReader {
  readonly #thread: RootThread;
  readonly #branches: readonly string[];
  readonly #files = new Map<number, KnownFile>();
  /** by file and number of the group; least recently read first */
  readonly #groups = new Map<string, Group>();
  /** what is planned and not yet looked at, in order, by file and entry */
  readonly #planned = new Map<string, EntryRequest>();
  #isLookingAhead = false;

  /** @param branches see `branch-choice.ts`; empty for all */
  constructor({ remote, cache }: SourceOptions, branches: readonly string[]) {
    this.#thread = new RootThread({ remote, cache });
    this.#branches = branches;
  }

  addFile(file: { readonly fileIndex: number; readonly record: FileRecord; readonly places: readonly string[] }): void {
    const { fileIndex, record, places } = file;
    const { lfn, sizeBytes, sha256, eventCount } = record;
    const tree = record.trees?.chosen;
    assert(typeof tree === 'string', 'the tree of a ROOT file is chosen before its events are read');
    this.#files.set(fileIndex, {
      file: { record: { lfn, sizeBytes, sha256 }, places },
      entryCount: eventCount,
      selection: { tree, branches: this.#branches },
      starts: undefined,
    });
  }

  /** What will be read next, in order. */
  plan(requests: readonly EntryRequest[]): void {
    for (const request of requests) this.#planned.set(keyOf(request.fileIndex, request.offsetBytes), request);
    void this.#lookAhead();
  }

  /** What will not be read after all. */
  forget(requests: readonly EntryRequest[]): void {
    for (const { fileIndex, offsetBytes } of requests) this.#planned.delete(keyOf(fileIndex, offsetBytes));
  }

  /** The events of each request, one after the other, or the error that stands for them. Rejects when `signal` is aborted. */
  async read(requests: readonly EntryRequest[], signal: AbortSignal): Promise<EntryData[]> {
    const results: EntryData[] = [];
    for (const request of requests) {
      this.#planned.delete(keyOf(request.fileIndex, request.offsetBytes));
      results.push(this.#cut(request) ?? (await this.#cutLater(request, signal)));
    }
    return results;
  }

  close(): Promise<void> {
    this.#planned.clear();
    return this.#thread.close();
  }

  /** The events of a request that lies in one group which is here. */
  #cut({ fileIndex, offsetBytes, lengthBytes }: EntryRequest): EntryRun | undefined {
    const starts = this.#file(fileIndex).starts?.value;
    if (starts === undefined) return undefined;
    const index = groupOf(starts, offsetBytes);
    if (groupOf(starts, offsetBytes + lengthBytes - 1) !== index) return undefined;
    const { firstEntry, entries } = this.#openGroup(fileIndex, index);
    const first = offsetBytes - firstEntry;
    return entries.value === undefined ? undefined : cutEvents(entries.value, first, first + lengthBytes);
  }

  /** Waits for the groups of a request, one after the other. */
  async #cutLater({ fileIndex, offsetBytes, lengthBytes }: EntryRequest, signal: AbortSignal): Promise<EntryData> {
    const runs: EntryRun[] = [];
    const end = offsetBytes + lengthBytes;
    try {
      const starts = await abortable(this.#starts(this.#file(fileIndex)).done, signal);
      for (let index = groupOf(starts, offsetBytes); (starts[index] ?? end) < end; index += 1) {
        const { firstEntry, entries } = this.#openGroup(fileIndex, index);
        const unpacked = await abortable(entries.done, signal);
        const last = Math.min(end - firstEntry, unpacked.ends.length);
        runs.push(cutEvents(unpacked, Math.max(offsetBytes - firstEntry, 0), last));
      }
      return join(runs);
    } catch (error) {
      signal.throwIfAborted();
      return isGranuleError(error) ? error : deserialiseError(serialiseError(error));
    }
  }

  /** Has groups of planned events unpacked, as many as are worth it. Errors wait for whoever reads. */
  async #lookAhead(): Promise<void> {
    if (this.#isLookingAhead) return;
    this.#isLookingAhead = true;
    for (const [key, { fileIndex, offsetBytes }] of this.#planned) {
      if (this.#countGroups(false) >= ROOT_GROUPS_AHEAD) break;
      this.#planned.delete(key);
      const pending = this.#starts(this.#file(fileIndex));
      const starts = pending.value ?? (await pending.done.catch(() => undefined));
      if (starts !== undefined) this.#group(fileIndex, groupOf(starts, offsetBytes));
    }
    this.#isLookingAhead = false;
  }

  #starts(known: KnownFile): Pending<Float64Array> {
    known.starts ??= pending(this.#thread.openTree(known.file, known.selection), () => {
      known.starts = undefined;
    });
    return known.starts;
  }

  /** A group an event of which is read. */
  #openGroup(fileIndex: number, index: number): Group {
    const group = this.#group(fileIndex, index);
    if (group.isOpen) return group;
    group.isOpen = true;
    this.#forgetOld();
    void this.#lookAhead();
    return group;
  }

  #group(fileIndex: number, index: number): Group {
    const key = keyOf(fileIndex, index);
    const group = this.#groups.get(key) ?? this.#unpack(fileIndex, index);
    this.#groups.delete(key);
    this.#groups.set(key, group);
    return group;
  }

  #unpack(fileIndex: number, index: number): Group {
    const known = this.#file(fileIndex);
    const starts = known.starts?.value;
    assert(starts !== undefined, 'groups are known before they are unpacked');
    const firstEntry = starts[index] ?? 0;
    const endEntry = starts[index + 1] ?? known.entryCount;
    const entries = pending(this.#thread.readEntries(known.file, known.selection, firstEntry, endEntry), () => {
      this.#groups.delete(keyOf(fileIndex, index));
    });
    return { firstEntry, entries, isOpen: false };
  }

  #forgetOld(): void {
    for (const [key, { isOpen }] of this.#groups) {
      if (this.#countGroups(true) <= ROOT_GROUPS_KEPT) return;
      if (isOpen) this.#groups.delete(key);
    }
  }

  #countGroups(isOpen: boolean): number {
    let count = 0;
    for (const group of this.#groups.values()) if (group.isOpen === isOpen) count += 1;
    return count;
  }

  #file(fileIndex: number): KnownFile {
    const file = this.#files.get(fileIndex);
    assert(file !== undefined, 'a file is added before its events are planned or read');
    return file;
  }
}

/** The events `[first, end)`, counted from the group's first. */
function cutEvents({ bytes, ends }: EncodedEntries, first: number, end: number): EntryRun {
  const start = ends[first - 1] ?? 0;
  const lengths: number[] = [];
  for (let index = first; index < end; index += 1) lengths.push((ends[index] ?? 0) - (ends[index - 1] ?? 0));
  return { bytes: bytes.subarray(start, ends[end - 1]), lengths };
}

function join(runs: readonly EntryRun[]): EntryRun {
  const [only] = runs;
  if (only !== undefined && runs.length === 1) return only;
  return { bytes: Buffer.concat(runs.map(({ bytes }) => bytes)), lengths: runs.flatMap(({ lengths }) => lengths) };
}

function keyOf(fileIndex: number, number: number): string {
  return `${fileIndex} ${number}`;
}

/** @param forget called when it failed for a reason that may pass: otherwise the error stays, since a try may cost a thread */
function pending<Value>(done: Promise<Value>, forget: () => void): Pending<Value> {
  const asked: Pending<Value> = { done, value: undefined };
  done.then(
    (value) => {
      asked.value = value;
    },
    (error: unknown) => {
      if (!isGranuleError(error) || ERROR_TABLE[error.code].retry !== 'never') forget();
    },
  );
  return asked;
}
