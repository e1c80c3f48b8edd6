/**
 * Brings the store of a task forward without doing the work: chunks and complete outputs that are still to come are
 * copies of real ones. What results differs from a store that was worked through in nothing that a benchmark can see.
 */
import { assert } from '../core/assert.ts';
import { RANGES_PER_CHUNK } from '../core/limits.ts';
import { RANGE_STATES } from '../core/states.ts';
import { LmdbTableStore } from '../dispatcher/lmdb-table-store.ts';
import { packRecord, unpackRecord } from '../dispatcher/record-codec.ts';
import { STORE_KEYS, type StoreWrite } from '../dispatcher/table-store.ts';
import type { ProgressRecord } from '../dispatcher/task-record.ts';
import { EVENTS_PER_FILE } from './event-table-work.ts';

/** Ranges that are whole chunks and whole files: a store can be brought forward to multiples of this. */
export const FILL_STEP_RANGES = 6400;

const WRITES_PER_COMMIT = 1000;

/**
 * The store must be closed, and merged up to its cursor, which is where the copies begin.
 *
 * @param path folder of the store
 */
export async function fillMerged(path: string, taskID: number, throughRange: number): Promise<void> {
  assert(throughRange % FILL_STEP_RANGES === 0, 'a store is filled in whole chunks and files');
  const store = new LmdbTableStore(path);
  try {
    const progress = unpackRecord<ProgressRecord>(read(store, STORE_KEYS.progress(taskID)));
    const chunk = read(store, STORE_KEYS.chunk('settled', taskID, 0));
    const output = read(store, STORE_KEYS.completeOutput(taskID, 0));
    assert(progress.cursor % FILL_STEP_RANGES === 0, 'a store is filled from whole chunks and files on');
    let writes: StoreWrite[] = [];
    const write = async (entry: StoreWrite): Promise<void> => {
      writes.push(entry);
      if (writes.length < WRITES_PER_COMMIT) return;
      await store.commit(writes);
      writes = [];
    };
    for (let range = progress.cursor; range < throughRange; range += RANGES_PER_CHUNK) {
      await write({ key: STORE_KEYS.chunk('settled', taskID, range / RANGES_PER_CHUNK), value: chunk });
    }
    for (let range = progress.cursor; range < throughRange; range += EVENTS_PER_FILE) {
      await write({ key: STORE_KEYS.completeOutput(taskID, range / EVENTS_PER_FILE), value: output });
    }
    const value = packRecord(advanced(progress, throughRange));
    await store.commit([...writes, { key: STORE_KEYS.progress(taskID), value }]);
  } finally {
    await store.close();
  }
}

function read(store: LmdbTableStore, key: Parameters<LmdbTableStore['get']>[0]): Uint8Array {
  const bytes = store.get(key);
  assert(bytes !== undefined, `the sample has ${JSON.stringify(key)}`);
  return bytes;
}

function advanced(progress: ProgressRecord, throughRange: number): ProgressRecord {
  const count = throughRange - progress.cursor;
  const move = (counts: readonly number[]): number[] =>
    counts.map((value, state) => {
      if (state === RANGE_STATES.ready) return value - count;
      return state === RANGE_STATES.merged ? value + count : value;
    });
  return { ...progress, ranges: move(progress.ranges), events: move(progress.events), cursor: throughRange };
}
