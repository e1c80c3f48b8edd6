/** What the event index knows of files as they are now, so that they need not be read. Imports nothing that reads them. */
import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { isGranuleError } from '../../core/errors.ts';
import { INDEX_CHECK_SLICE_FILES } from '../../core/limits.ts';
import { EventIndex } from './event-index.ts';
import { stampOfPath } from './file-stamp.ts';
import type { IndexAnswer } from './indexing-messages.ts';

/** The answer for a path that has not changed since it was read; undefined when it has to be read. Quick: one `stat`. */
export function findUnchanged(index: EventIndex, path: string): IndexAnswer | undefined {
  const row = index.pathRow(resolve(path));
  if (row === undefined) return undefined;
  const stamp = stampOfPath(path);
  if (stamp?.sizeBytes !== row.sizeBytes || stamp.mtimeMs !== row.mtimeMs) return undefined;
  const record = index.fileRecord(row.guid);
  if (record === undefined) return undefined;
  return { record: { ...record, lfn: basename(path) }, outcome: 'kept', previousGuid: null };
}

/**
 * What the index at `indexPath` knows of these paths as they are now; nothing when there is no index yet. Spares a start
 * the threads that would find out.
 *
 * @throws STORE_VERSION, STORE_FAILED
 */
export async function findAllUnchanged(
  indexPath: string,
  paths: readonly string[],
): Promise<ReadonlyMap<string, IndexAnswer>> {
  const found = new Map<string, IndexAnswer>();
  if (paths.length === 0 || !existsSync(indexPath)) return found;
  try {
    await using index = await EventIndex.open({ path: indexPath, readOnly: true });
    for (const [count, path] of paths.entries()) {
      if ((count + 1) % INDEX_CHECK_SLICE_FILES === 0) await setImmediate();
      const answer = findUnchanged(index, path);
      if (answer !== undefined) found.set(path, answer);
    }
  } catch (error) {
    if (!isGranuleError(error) || error.code !== 'STORE_MISSING') throw error;
  }
  return found;
}
