/** The files an event server gives out: their index, their places, and the ones that are open. */
import { GranuleError } from '../../core/errors.ts';
import type { EventSpan, FileRecord } from '../../core/file-index.ts';
import { type Guid, tryGuid } from '../../core/ids.ts';
import { SERVED_FILES_OPEN_MAX } from '../../core/limits.ts';
import type { ByteSource } from '../remote/byte-source.ts';
import { InflatedSource } from '../remote/inflated-source.ts';
import { LocalSource } from '../remote/local-source.ts';

/** What the server asks of the event index. */
export interface ServedIndex {
  fileRecord(guid: Guid): FileRecord | undefined;
  lookupSpan(guid: Guid, firstPosition: number, count: number): EventSpan;
  lookupEvents(
    requests: readonly (readonly [run: number, eventNumber: number])[],
  ): readonly { readonly request: number; readonly guid: Guid; readonly position: number }[];
}

export interface ServedFile {
  readonly record: FileRecord;
  readonly path: string;
}

interface OpenFile {
  readonly source: Promise<LocalSource>;
  /** what `source` has become */
  ready: LocalSource | undefined;
  userCount: number;
}

export class ServedFiles {
  readonly index: ServedIndex;
  readonly #paths: ReadonlyMap<Guid, string>;
  /** least recently used first */
  readonly #open = new Map<Guid, OpenFile>();
  /** files asked for so far: what a GUID stands for does not change */
  readonly #known = new Map<string, ServedFile>();

  constructor(index: ServedIndex, paths: ReadonlyMap<Guid, string>) {
    this.index = index;
    this.#paths = paths;
  }

  /** All files, by GUID. */
  list(): ServedFile[] {
    const guids = [...this.#paths.keys()].sort();
    return guids.map((guid) => this.require(guid));
  }

  has(guid: Guid): boolean {
    return this.#paths.has(guid);
  }

  /** @throws EVENT_NOT_FOUND for what is no GUID or not served */
  require(text: string): ServedFile {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const guid = tryGuid(text);
    const path = guid === undefined ? undefined : this.#paths.get(guid);
    const record = guid === undefined ? undefined : this.index.fileRecord(guid);
    if (path === undefined || record === undefined) {
      throw new GranuleError('EVENT_NOT_FOUND', `this event server has no file "${text}"`, {
        remedy: 'Ask for /v1/files to see what it has.',
      });
    }
    const file = { record, path };
    if (guid === text) this.#known.set(guid, file);
    return file;
  }

  /** The file's bytes as they lie, if it is open: only for what is done before anything else runs. */
  peek({ record }: ServedFile): LocalSource | undefined {
    const open = this.#open.get(record.guid);
    if (open?.ready !== undefined) this.#noteUse(record.guid, open);
    return open?.ready;
  }

  /** Lends the file's bytes as they lie. Throws `INPUT_CHANGED` when it is not the file that was indexed. */
  async use<Result>(file: ServedFile, action: (source: LocalSource) => Promise<Result>): Promise<Result> {
    const open = await this.#acquire(file);
    try {
      return await action(await open.source);
    } finally {
      this.#release(open);
    }
  }

  /** As {@link use}, for as long as the consumer iterates. */
  async *stream<Item>(file: ServedFile, action: (source: ByteSource) => AsyncIterable<Item>): AsyncGenerator<Item> {
    const open = await this.#acquire(file);
    try {
      yield* action(await open.source);
    } finally {
      this.#release(open);
    }
  }

  /** The bytes that event offsets count: inflated ones of a compressed file. The caller closes it. */
  async openEvents(file: ServedFile): Promise<ByteSource> {
    const source = await openUnchanged(file);
    return file.record.compression === 'none' ? source : new InflatedSource(source);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map(async ({ source }) => (await source).close()));
    this.#open.clear();
  }

  async #acquire(file: ServedFile): Promise<OpenFile> {
    const { guid } = file.record;
    const open = this.#open.get(guid) ?? { source: openUnchanged(file), ready: undefined, userCount: 0 };
    this.#noteUse(guid, open);
    open.userCount += 1;
    try {
      open.ready = await open.source;
      return open;
    } catch (error) {
      if (this.#open.get(guid) === open) this.#open.delete(guid);
      throw error;
    }
  }

  #noteUse(guid: Guid, open: OpenFile): void {
    this.#open.delete(guid);
    this.#open.set(guid, open);
  }

  #release(open: OpenFile): void {
    open.userCount -= 1;
    for (const [guid, candidate] of this.#open) {
      if (this.#open.size <= SERVED_FILES_OPEN_MAX) return;
      if (candidate.userCount > 0) continue;
      this.#open.delete(guid);
      void candidate.source.then((source) => source.close());
    }
  }
}

/** Throws `INPUT_CHANGED` for a file that is not what was indexed. */
async function openUnchanged(file: ServedFile): Promise<LocalSource> {
  const source = new LocalSource(file.path);
  try {
    await checkUnchanged(file, source);
    return source;
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function checkUnchanged({ record, path }: ServedFile, source: LocalSource): Promise<void> {
  const { sizeBytes } = await source.open();
  if (sizeBytes === record.sizeBytes) return;
  throw new GranuleError(
    'INPUT_CHANGED',
    `${path} has ${sizeBytes} bytes; when it was indexed it had ${record.sizeBytes}`,
    {
      details: { path },
      remedy: 'Start the event server again.',
    },
  );
}
