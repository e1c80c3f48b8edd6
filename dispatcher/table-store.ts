/**
 * What the event table needs of a key-value store: ordered keys, atomic durable groups of writes. Kept by LMDB in real
 * life (`lmdb-table-store.ts`) and by plain memory in simulations (`memory-table-store.ts`); one contract test runs
 * on both.
 */
import type { StoreKey } from '../core/store.ts';

export type { StoreKey };

export interface StoreWrite {
  readonly key: StoreKey;
  /** undefined removes the key; the bytes must not change afterwards */
  readonly value: Uint8Array | undefined;
}

export interface StoreEntry {
  readonly key: StoreKey;
  readonly value: Uint8Array;
}

/** What a commit rejects with behind its fence. */
export class FencedOff extends Error {}

export interface TableStore {
  /** Bytes of the caller's own. */
  get(key: StoreKey): Uint8Array | undefined;
  /** Entries whose keys begin with `prefix`, in key order, from `from` on; values are the caller's own. */
  entries(prefix: readonly (string | number)[], from?: StoreKey): Iterable<StoreEntry>;
  /** The keys of these entries, without reading any value. */
  keys(prefix: readonly (string | number)[]): Iterable<StoreKey>;
  /**
   * All or nothing, in the order given; resolves when it is on disk. Rejects with the reason, nothing written.
   *
   * @param fence nothing is written once this key is there, whoever wrote it: rejects with {@link FencedOff}
   */
  commit(writes: readonly StoreWrite[], fence?: StoreKey): Promise<void>;
  /**
   * Replaces the value of `key` if `accept` agrees with the present one; atomic across processes.
   *
   * @param beside more to be written then; asked after `accept`
   */
  compareAndSet(
    key: StoreKey,
    accept: (present: Uint8Array | undefined) => boolean,
    value: Uint8Array | undefined,
    beside?: () => readonly StoreWrite[],
  ): boolean;
  /** Bytes of the pages in use. */
  liveBytes(): number;
  close(): Promise<void>;
}

/**
 * Where everything lies. `tasks`: what was submitted. `progress`: counts and cursor. `files`: rows of a block of files,
 * by first file. `working`, `settled`: chunks with and without ranges that are held or wait to be handed out once more.
 * `outputs`: output records of a group of finished ranges. `open`, `complete`: merge state by output. `job`: the task
 * that a job is of.
 */
export const STORE_KEYS = {
  schema: ['meta', 'schema'] as StoreKey,
  lock: ['meta', 'lock'] as StoreKey,
  /** there once the store was taken from the lock's holder with this token */
  fence: (token: string): StoreKey => ['meta', 'fence', token],
  counters: ['meta', 'counters'] as StoreKey,
  task: (taskID: number): StoreKey => ['task', taskID],
  progress: (taskID: number): StoreKey => ['progress', taskID],
  files: (taskID: number, firstFile: number): StoreKey => ['files', taskID, firstFile],
  chunk: (storedAs: 'working' | 'settled', taskID: number, chunk: number): StoreKey => [storedAs, taskID, chunk],
  outputs: (taskID: number, serial: number): StoreKey => ['outputs', taskID, serial],
  failure: (taskID: number, rangeIndex: number): StoreKey => ['failure', taskID, rangeIndex],
  openOutput: (taskID: number, outputIndex: number): StoreKey => ['open', taskID, outputIndex],
  completeOutput: (taskID: number, outputIndex: number): StoreKey => ['complete', taskID, outputIndex],
  epoch: (taskID: number, epoch: number): StoreKey => ['epoch', taskID, epoch],
  deaths: (taskID: number): StoreKey => ['deaths', taskID],
  consumer: (serial: number): StoreKey => ['consumer', serial],
  job: (jobID: number): StoreKey => ['job', jobID],
};

/** Kinds of entries that belong to one task: what `deleteTask` removes. */
export const TASK_KEY_KINDS = [
  'progress',
  'files',
  'working',
  'settled',
  'outputs',
  'failure',
  'open',
  'complete',
  'epoch',
  'deaths',
  'task',
] as const;
