import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sweepGrowingFolder } from '../../../runtime/merge/growing-sweep.ts';
import type { MergeFolders } from '../../../runtime/merge/merge-messages.ts';
import { createMergeFolders, removeMergeFolders } from './unmerged-files.ts';

let folders: MergeFolders;

beforeEach(() => {
  folders = createMergeFolders();
});
afterEach(() => removeMergeFolders(folders));

function sweep(sizes: Readonly<Record<string, number>> = {}): number {
  const file = { stream: 'S', sha256: '', recordCount: 1 };
  return sweepGrowingFolder(folders, () =>
    Object.entries(sizes).map(([path, sizeBytes]) => ({ ...file, path, sizeBytes })),
  );
}

function grow(name: string): void {
  writeFileSync(join(folders.growing, name), 'x');
}

describe('sweeping the growing files', () => {
  it('keeps those that grow, removes those of complete outputs and all that are written anew', () => {
    for (const name of ['a.part', 'b.part', 'a.part.snapshot', 'b.amended', 'b.before.tmp']) grow(name);
    expect(sweep({ b: 10 })).toBe(4);
    expect(readdirSync(folders.growing)).toEqual(['a.part']);
  });

  it('keeps an old file until the file that replaced it is the one in the journal', () => {
    writeFileSync(join(folders.out, 'a'), 'amended');
    grow('a.before');
    expect(sweep({ a: 3 })).toBe(0);
    expect(sweep({ a: 7 })).toBe(1);
  });

  it('finds nothing in a folder that does not exist', () => {
    removeMergeFolders(folders);
    expect(sweep()).toBe(0);
  });
});
