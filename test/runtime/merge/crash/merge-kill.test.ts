/** Kills a merging program at every step of the protocol, as often as it comes there, and lets it finish. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectedFile, outputPath, RANGES_PER_OUTPUT, STREAMS } from '../event-outputs.ts';
import { createMergeFolders, removeMergeFolders } from '../unmerged-files.ts';

const DIST = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', '..', 'dist');
const STEPS = [
  'opened',
  'written',
  'flushed',
  'hashed',
  'renamed',
  'published',
  'before commit',
  'after commit',
  'removed',
  'amend hashed',
  'amend renamed',
  'amend published',
  'amend before commit',
  'amend after commit',
  'amend removed',
] as const;

let folder = '';
let victim = '';

beforeAll(async () => {
  mkdirSync(DIST, { recursive: true });
  // Below the project, so that the bundle finds the packages.
  folder = mkdtempSync(join(DIST, 'merge-victim-'));
  victim = join(folder, 'victim.mjs');
  await build({
    entryPoints: [fileURLToPath(new URL('./merge-victim.ts', import.meta.url))],
    outfile: victim,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
  });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Returns the signal that ended it. */
function runVictim(out: string, step = '', occurrence = 0): NodeJS.Signals | null {
  const { signal, status, stderr } = spawnSync(process.execPath, [victim, out, step, String(occurrence)], {
    encoding: 'utf8',
  });
  if (signal === null) expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return signal;
}

function checkOutputs(out: string): void {
  for (const outputIndex of [0, 1]) {
    const ranges = Array.from({ length: RANGES_PER_OUTPUT }, (_, index) => outputIndex * RANGES_PER_OUTPUT + index);
    for (const [streamIndex, stream] of STREAMS.entries()) {
      const found = readFileSync(join(out, outputPath(outputIndex, stream)), 'latin1');
      expect(found).toBe(expectedFile(streamIndex, ranges).bytes.toString('latin1'));
    }
  }
  expect(readdirSync(join(out, '.granule', 'merge'))).toEqual([]);
  expect(readdirSync(join(out, '.granule', 'unmerged'))).toEqual([]);
}

describe('a merge that is killed', () => {
  it.each(STEPS)('at step "%s", each time it comes there, loses and doubles nothing', (step) => {
    const folders = createMergeFolders();
    try {
      // Each start is killed one occurrence later than the one before, so that none repeats without end.
      let kills = 0;
      while (runVictim(folders.out, step, kills + 1) === 'SIGKILL') kills += 1;
      expect(kills).toBeGreaterThan(0);
      checkOutputs(folders.out);
    } finally {
      removeMergeFolders(folders);
    }
  });

  it('not at all gives the same files', () => {
    const folders = createMergeFolders();
    try {
      expect(runVictim(folders.out)).toBeNull();
      checkOutputs(folders.out);
    } finally {
      removeMergeFolders(folders);
    }
  });
});
