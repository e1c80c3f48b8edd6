/** The chunks of one task: read when needed, changed in place, written by the group, and dropped when long unused. */
import { isGranuleError } from '../core/errors.ts';
import { CHUNKS_CACHED } from '../core/limits.ts';
import { Chunk } from './chunk.ts';
import { encodeChunk, readStoredChunk } from './chunk-codec.ts';
import type { GroupCommit, WriteSource } from './group-commit.ts';
import { STORE_KEYS, type StoreKey, type TableStore } from './table-store.ts';

export class ChunkCache implements WriteSource {
  readonly #taskID: number;
  readonly #store: TableStore;
  readonly #commit: GroupCommit;
  /** least recently used first */
  readonly #chunks = new Map<number, Chunk>();
  readonly #dirty = new Set<Chunk>();
  #latest: Chunk | undefined;
  /** Chunks with work left (held or returned ranges) are stored apart, so that a start finds them at once. */
  readonly #hasWork: (chunk: Chunk) => boolean;

  constructor(taskID: number, store: TableStore, commit: GroupCommit, hasWork: (chunk: Chunk) => boolean) {
    this.#taskID = taskID;
    this.#store = store;
    this.#commit = commit;
    this.#hasWork = hasWork;
  }

  /** The chunk as it is now; throws `STORE_FAILED`, for good, when what is stored cannot be believed. */
  get(index: number): Chunk {
    if (this.#latest?.index === index) return this.#latest;
    let chunk = this.#chunks.get(index);
    if (chunk === undefined) {
      chunk = this.#load(index);
      if (this.#chunks.size >= CHUNKS_CACHED) this.#evict();
    } else this.#chunks.delete(index);
    this.#chunks.set(index, chunk);
    this.#latest = chunk;
    return chunk;
  }

  changed(chunk: Chunk): void {
    if (chunk.dirty) return;
    chunk.dirty = true;
    this.#dirty.add(chunk);
    this.#commit.changed(this);
  }

  /** Indices of the chunks that were stored with work left, without loading any. */
  *stored(kind: 'working' | 'settled'): Iterable<number> {
    for (const key of this.#store.keys([kind, this.#taskID])) yield Number((key as readonly unknown[])[2]);
  }

  /** Indices of all chunks that were ever touched, in order. Complete only after what has changed is durable. */
  touched(): readonly number[] {
    const indices = new Set([...this.stored('working'), ...this.stored('settled')]);
    for (const chunk of this.#dirty) indices.add(chunk.index);
    return [...indices].sort((left, right) => left - right);
  }

  collectWrites(write: (key: StoreKey, value: Uint8Array | undefined) => void, group: number): void {
    for (const chunk of this.#dirty) {
      const storedAs = this.#hasWork(chunk) ? 'working' : 'settled';
      if (chunk.storedAs !== undefined && chunk.storedAs !== storedAs) {
        write(STORE_KEYS.chunk(chunk.storedAs, this.#taskID, chunk.index), undefined);
      }
      write(STORE_KEYS.chunk(storedAs, this.#taskID, chunk.index), encodeChunk(chunk));
      chunk.storedAs = storedAs;
      chunk.writtenInGroup = group;
      chunk.dirty = false;
      chunk.settle();
    }
    this.#dirty.clear();
  }

  #load(index: number): Chunk {
    for (const storedAs of ['working', 'settled'] as const) {
      const bytes = this.#store.get(STORE_KEYS.chunk(storedAs, this.#taskID, index));
      if (bytes === undefined) continue;
      try {
        const chunk = readStoredChunk(this.#taskID, index, bytes);
        chunk.storedAs = storedAs;
        return chunk;
      } catch (error) {
        if (isGranuleError(error)) this.#commit.fail(error);
        throw error;
      }
    }
    return new Chunk(index);
  }

  /** Drops the oldest chunks that can be read back as they are, until there is room for one more. */
  #evict(): void {
    for (const [index, chunk] of this.#chunks) {
      if (chunk.dirty || chunk.runningCount > 0 || chunk.writtenInGroup > this.#commit.writtenGroup) continue;
      this.#chunks.delete(index);
      if (this.#latest === chunk) this.#latest = undefined;
      if (this.#chunks.size < CHUNKS_CACHED) return;
    }
  }
}
