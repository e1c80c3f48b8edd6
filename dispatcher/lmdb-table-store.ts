/**
 * The event table's store in LMDB. Commits are ordinary LMDB commits: data pages are synced, then the page that makes
 * them valid is written through, so a commit that resolved survives a power cut and a failed sync rejects it.
 */

import { GranuleError } from '../core/errors.ts';
import { describeFullDisk } from '../core/free-space.ts';
import { STORE_RESERVE_BYTES } from '../core/limits.ts';
import { openStore, type RootDatabase } from '../core/store.ts';
import { FencedOff, type StoreEntry, type StoreKey, type StoreWrite, type TableStore } from './table-store.ts';

/** Address space, not disk: outputs of 10^8 ranges would fit. */
const MAP_SIZE_BYTES = 2 ** 38;

/** Sorts after every number and string in a key. */
const KEY_END = '\uffff';

export class LmdbTableStore implements TableStore {
  readonly #database: RootDatabase<unknown, StoreKey>;
  readonly #path: string;
  readonly #reserveBytes: number;
  /** what may be written before the free space is looked at again */
  #checkedBytes = 0;

  /**
   * @param path folder of the environment, created when it is to be written
   * @param options.reserveBytes commits are refused when less than this is free
   */
  constructor(path: string, options: { readonly readOnly?: boolean; readonly reserveBytes?: number } = {}) {
    this.#path = path;
    this.#reserveBytes = options.reserveBytes ?? STORE_RESERVE_BYTES;
    this.#database = openStore({
      path,
      readOnly: options.readOnly ?? false,
      mapSizeBytes: MAP_SIZE_BYTES,
      databasesMax: 1,
      durableCommits: true,
    });
  }

  get(key: StoreKey): Uint8Array | undefined {
    return this.#database.getBinary(key);
  }

  *entries(prefix: readonly (string | number)[], from?: StoreKey): Iterable<StoreEntry> {
    const range = this.#database.getRange({ start: from ?? [...prefix], end: [...prefix, KEY_END], snapshot: false });
    for (const { key, value } of range) yield { key: key as StoreKey, value: value as Uint8Array };
  }

  *keys(prefix: readonly (string | number)[]): Iterable<StoreKey> {
    yield* this.#database.getKeys({ start: [...prefix], end: [...prefix, KEY_END], snapshot: false });
  }

  async commit(writes: readonly StoreWrite[], fence?: StoreKey): Promise<void> {
    this.#checkSpace(writes);
    const write = (): void => {
      for (const { key, value } of writes) {
        // Within a batch these promises are one that has resolved already; the batch's own says how it went.
        if (value === undefined) void this.#database.remove(key);
        else void this.#database.put(key, value);
      }
    };
    let isWritten: boolean;
    try {
      // The condition is looked at within the transaction that writes.
      isWritten = await (fence === undefined ? this.#database.batch(write) : this.#database.ifNoExists(fence, write));
    } catch (error) {
      throw await causeOf(error);
    }
    if (!isWritten) throw new FencedOff('the store was taken over');
  }

  compareAndSet(
    key: StoreKey,
    accept: (present: Uint8Array | undefined) => boolean,
    value: Uint8Array | undefined,
    beside: () => readonly StoreWrite[] = () => [],
  ): boolean {
    return this.#database.transactionSync(() => {
      if (!accept(this.#database.getBinary(key))) return false;
      for (const write of [{ key, value }, ...beside()]) {
        if (write.value === undefined) this.#database.removeSync(write.key);
        else this.#database.putSync(write.key, write.value);
      }
      return true;
    });
  }

  liveBytes(): number {
    const stats = this.#database.getStats() as Readonly<Record<string, number>>;
    const pages =
      (stats['treeBranchPageCount'] ?? 0) + (stats['treeLeafPageCount'] ?? 0) + (stats['overflowPages'] ?? 0);
    return pages * (stats['pageSize'] ?? 0);
  }

  /** Readers of a store that another process writes: look at its latest state from here on. */
  refresh(): void {
    this.#database.resetReadTxn();
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  /** Looks at the file system only after as much has been written as was known to fit. */
  #checkSpace(writes: readonly StoreWrite[]): void {
    for (const { value } of writes) this.#checkedBytes -= (value?.length ?? 0) + OVERHEAD_BYTES;
    if (this.#checkedBytes > 0) return;
    const full = describeFullDisk(this.#path, this.#reserveBytes, -this.#checkedBytes);
    if (full !== undefined) throw new Error(full);
    this.#checkedBytes = this.#reserveBytes / 2;
  }
}

/** Keys, page headers and the pages of the tree that a write of one value copies. */
const OVERHEAD_BYTES = 16 * 1024;

/** LMDB's bindings reject with "see commitError", which is a promise that rejects with the reason. */
async function causeOf(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !('commitError' in error)) return error;
  try {
    await error.commitError;
    return error;
  } catch (cause) {
    return cause;
  }
}

/** For the one who writes it. Throws `STORE_FAILED` when it cannot be opened. */
export function openTableStore(path: string): TableStore {
  try {
    return new LmdbTableStore(path);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GranuleError('STORE_FAILED', `the event table in ${path} cannot be opened: ${reason}`, {
      details: { path },
      cause,
      remedy: 'check the rights and the disk, or use another output folder',
    });
  }
}
