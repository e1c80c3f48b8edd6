/** The aggregation folder: shards, in each the unmerged files of some thousand ranges. Main thread. */
import type { Dirent } from 'node:fs';
import { readdir, rm, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ADOPTION_SLICE_FILES } from '../../core/limits.ts';

export interface UnmergedEntry {
  /** below the aggregation folder */
  readonly file: string;
  /** without its shard */
  readonly name: string;
  /** false for what granule never puts there */
  readonly isFile: boolean;
}

/** All that is there, shard by shard; nothing when there is no such folder. */
export async function* unmergedEntries(folder: string): AsyncGenerator<UnmergedEntry> {
  for (const shard of await entriesOf(folder)) {
    if (!shard.isDirectory()) {
      yield { file: shard.name, name: shard.name, isFile: false };
      continue;
    }
    for (const entry of await entriesOf(join(folder, shard.name))) {
      yield { file: `${shard.name}/${entry.name}`, name: entry.name, isFile: entry.isFile() };
    }
  }
}

/** Removes these, and the shards that are empty then. What is gone already is no error. */
export async function removeUnmerged(folder: string, files: readonly string[]): Promise<void> {
  for (let first = 0; first < files.length; first += ADOPTION_SLICE_FILES) {
    const slice = files.slice(first, first + ADOPTION_SLICE_FILES);
    await Promise.all(slice.map((file) => removeEntry(join(folder, file))));
  }
  for (const shard of await entriesOf(folder)) {
    if (!shard.isDirectory() || (await entriesOf(join(folder, shard.name))).length > 0) continue;
    await rmdir(join(folder, shard.name));
  }
}

/**
 * Removes what the table does not refer to. Nobody may write there meanwhile.
 *
 * @param recordedFiles below the folder: they stay
 */
export async function removeUnrecorded(folder: string, recordedFiles: ReadonlySet<string>): Promise<void> {
  const surplus: string[] = [];
  for await (const { file } of unmergedEntries(folder)) if (!recordedFiles.has(file)) surplus.push(file);
  await removeUnmerged(folder, surplus);
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

async function removeEntry(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return;
    // Somebody put a folder here; it is in nobody's table either.
    await rm(path, { recursive: true });
  }
}
