/** Removes what kills have left in the folder of growing files. For the start of a run, before anything is merged. */
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { MergedFile } from '../../core/dispatcher-api.ts';
import type { MergeFolders } from './merge-messages.ts';

/**
 * What is removed: files that are always written anew (snapshots, amendments), growing files of outputs that are
 * complete, and old files kept for an amendment that was committed. What the journal or an amendment not yet committed
 * needs stays. A folder that does not exist holds nothing.
 *
 * @param completed files of complete outputs, by the journal; asked only if there is something to decide
 * @returns how many files were removed
 */
export function sweepGrowingFolder(folders: MergeFolders, completed: () => Iterable<MergedFile>): number {
  const names = listFolder(folders.growing);
  if (names.length === 0) return 0;
  const sizes = new Map<string, number>();
  for (const { path, sizeBytes } of completed()) sizes.set(path, sizeBytes);
  let removed = 0;
  for (const name of names) {
    const dot = name.lastIndexOf('.');
    const fileName = name.slice(0, dot);
    const kind = name.slice(dot);
    const isNeeded =
      (kind === '.part' && !sizes.has(fileName)) ||
      (kind === '.before' && sizeOf(join(folders.out, fileName)) !== sizes.get(fileName));
    if (isNeeded) continue;
    rmSync(join(folders.growing, name), { force: true });
    removed += 1;
  }
  return removed;
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
