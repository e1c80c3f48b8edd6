import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { MergeFolders } from '../../../runtime/merge/merge-messages.ts';
import { removeUnrecorded } from '../../../runtime/run/unmerged-folder.ts';
import { listing } from '../merge/listing-format.ts';
import { createMergeFolders, removeMergeFolders, writeUnmerged } from '../merge/unmerged-files.ts';

let folders: MergeFolders;
beforeEach(() => {
  folders = createMergeFolders();
});
afterEach(() => removeMergeFolders(folders));

const write = (rangeIndex: number) =>
  writeUnmerged(folders, { rangeIndex }, 'HITS', { bytes: listing('run', ['a hit']), recordCount: 1 });

it('what the table refers to stays; all else goes, and shards that are empty then', async () => {
  const kept = [write(0), write(3000)].map(({ file }) => file);
  const removed = [write(1), write(5000)].map(({ file }) => file);
  mkdirSync(join(folders.aggregation, '0', 'folder', 'inner'), { recursive: true });
  writeFileSync(join(folders.aggregation, 'stray'), '');
  await removeUnrecorded(folders.aggregation, new Set(kept));
  for (const file of kept) expect(existsSync(join(folders.aggregation, file))).toBe(true);
  for (const file of removed) expect(existsSync(join(folders.aggregation, file))).toBe(false);
  expect(readdirSync(folders.aggregation).sort()).toEqual(['0', '2']);
  expect(readdirSync(join(folders.aggregation, '0'))).toHaveLength(1);
});

it('a folder that does not exist holds nothing', async () => {
  rmSync(folders.aggregation, { recursive: true });
  await removeUnrecorded(folders.aggregation, new Set());
  expect(existsSync(folders.aggregation)).toBe(false);
});
