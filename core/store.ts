/**
 * The only door to LMDB. The event table, the event index and the disk cache open their environments here, so that
 * durability options stand in one place.
 *
 * `flushed` is the moment of durability: a put's promise says "visible", not "on disk". Nothing is acknowledged
 * to anybody before {@link Store.flushed} has resolved after it. With `durableCommits` the two are one moment.
 */
import type { Database, RootDatabase } from 'lmdb';
import { requirePackage } from './own-files.ts';

const { compareKeys, open } = requirePackage('lmdb') as typeof import('lmdb');

export type StoreKey = string | number | (string | number)[];

export interface StoreOptions {
  /** folder (created) or single file of the environment */
  readonly path: string;
  /** open without the right to write: for `status` and `events` while another process runs */
  readonly readOnly: boolean;
  /** upper bound of the environment; address space, not disk */
  readonly mapSizeBytes: number;
  /** named databases at most */
  readonly databasesMax: number;
  /**
   * A commit is a plain LMDB one: it resolves when it is synced, and rejects when the sync fails (an overlapped sync that
   * fails is only printed). Writes must then come as `batch` or `transaction`. False when left out.
   */
  readonly durableCommits?: boolean;
}

export type { Database, RootDatabase };
export { compareKeys };

/** Opens an environment with granule's durability rules. Throws what LMDB throws; callers add what was being opened. */
export function openStore(options: StoreOptions): RootDatabase<unknown, StoreKey> {
  const durableCommits = options.durableCommits ?? false;
  return open<unknown, StoreKey>({
    path: options.path,
    readOnly: options.readOnly,
    mapSize: options.mapSizeBytes,
    maxDbs: options.databasesMax,
    encoding: 'binary',
    keyEncoding: 'ordered-binary',
    noSubdir: false,
    overlappingSync: !durableCommits && process.platform !== 'win32',
    compression: false,
    cache: false,
    // Batching by event turn wraps every batch in a promise of its own, which nobody could catch.
    eventTurnBatching: !durableCommits,
    commitDelay: 0,
  });
}
