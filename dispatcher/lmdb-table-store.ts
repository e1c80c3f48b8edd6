/**
 * The event table's store in LMDB. Commits are ordinary LMDB commits: data pages are synced, then the page that makes
 * them valid is written through, so a commit that resolved survives a power cut and a failed sync rejects it.
 */
import { openStore, type RootDatabase } from '../core/store.ts';
import type { StoreEntry, StoreKey, StoreWrite, TableStore } from './table-store.ts';

/** Address space, not disk: outputs of 10^8 ranges would fit. */
const MAP_SIZE_BYTES = 2 ** 38;

/** Sorts after every number and string in a key. */
const KEY_END = '\uffff';

export class LmdbTableStore implements TableStore {
  readonly #database: RootDatabase<unknown, StoreKey>;

  /** @param path folder of the environment, created when it is to be written */
  constructor(path: string, readOnly = false) {
    this.#database = openStore({ path, readOnly, mapSizeBytes: MAP_SIZE_BYTES, databasesMax: 1, durableCommits: true });
  }

  get(key: StoreKey): Uint8Array | undefined {
    return this.#database.getBinary(key);
  }

  *entries(prefix: readonly (string | number)[], from?: StoreKey): Iterable<StoreEntry> {
    const range = this.#database.getRange({ start: from ?? [...prefix], end: [...prefix, KEY_END], snapshot: false });
    for (const { key, value } of range) yield { key: key as StoreKey, value: value as Uint8Array };
  }

  async commit(writes: readonly StoreWrite[]): Promise<void> {
    try {
      await this.#database.batch(() => {
        for (const { key, value } of writes) {
          // Within a batch these promises are one that has resolved already; the batch's own says how it went.
          if (value === undefined) void this.#database.remove(key);
          else void this.#database.put(key, value);
        }
      });
    } catch (error) {
      throw await causeOf(error);
    }
  }

  compareAndSet(
    key: StoreKey,
    accept: (present: Uint8Array | undefined) => boolean,
    value: Uint8Array | undefined,
  ): boolean {
    return this.#database.transactionSync(() => {
      if (!accept(this.#database.getBinary(key))) return false;
      if (value === undefined) this.#database.removeSync(key);
      else this.#database.putSync(key, value);
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
}

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
