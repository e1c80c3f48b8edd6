/** A store that lives in memory: for simulations of grids that would wear out a disk. Nothing survives the process. */
import { compareKeys } from '../core/store.ts';
import { FencedOff, type StoreEntry, type StoreKey, type StoreWrite, type TableStore } from './table-store.ts';

export class MemoryTableStore implements TableStore {
  /** one map for each first element of a key: entries are looked up by kind, and sorted when they are read */
  readonly #kinds = new Map<string | number, Map<string, StoreEntry>>();
  #liveBytes = 0;

  get(key: StoreKey): Uint8Array | undefined {
    return this.#kindOf(key).get(JSON.stringify(key))?.value;
  }

  *entries(prefix: readonly (string | number)[], from?: StoreKey): Iterable<StoreEntry> {
    const matching = [...this.#kindOf([...prefix]).values()].filter(({ key }) => startsWith(key, prefix));
    matching.sort((left, right) => compareKeys(left.key, right.key));
    for (const entry of matching) if (from === undefined || compareKeys(entry.key, from) >= 0) yield entry;
  }

  *keys(prefix: readonly (string | number)[]): Iterable<StoreKey> {
    for (const { key } of this.entries(prefix)) yield key;
  }

  async commit(writes: readonly StoreWrite[], fence?: StoreKey): Promise<void> {
    if (fence !== undefined && this.get(fence) !== undefined) throw new FencedOff('the store was taken over');
    for (const { key, value } of writes) this.#set(key, value);
  }

  compareAndSet(
    key: StoreKey,
    accept: (present: Uint8Array | undefined) => boolean,
    value: Uint8Array | undefined,
    beside: () => readonly StoreWrite[] = () => [],
  ): boolean {
    if (!accept(this.get(key))) return false;
    for (const write of [{ key, value }, ...beside()]) this.#set(write.key, write.value);
    return true;
  }

  liveBytes(): number {
    return this.#liveBytes;
  }

  async close(): Promise<void> {
    // The content stays: opening the same object again is a restart.
  }

  #kindOf(key: StoreKey): Map<string, StoreEntry> {
    const kind = Array.isArray(key) ? (key[0] ?? '') : key;
    let entries = this.#kinds.get(kind);
    if (entries === undefined) {
      entries = new Map();
      this.#kinds.set(kind, entries);
    }
    return entries;
  }

  #set(key: StoreKey, value: Uint8Array | undefined): void {
    const entries = this.#kindOf(key);
    const text = JSON.stringify(key);
    this.#liveBytes -= entries.get(text)?.value.length ?? 0;
    if (value === undefined) entries.delete(text);
    else {
      entries.set(text, { key, value });
      this.#liveBytes += value.length;
    }
  }
}

function startsWith(key: StoreKey, prefix: readonly (string | number)[]): boolean {
  return Array.isArray(key) && prefix.every((part, index) => key[index] === part);
}
