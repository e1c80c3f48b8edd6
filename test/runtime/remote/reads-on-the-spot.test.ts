/** When small reads of local files are done on the spot, and that they give the bytes they should. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  QUICK_READ_BYTES_MAX,
  QUICK_READ_MS_MAX,
  SLOW_READ_PAUSE_MAX,
  SLOW_READ_PAUSE_MIN,
} from '../../../core/limits.ts';
import { LocalSource } from '../../../runtime/remote/local-source.ts';
import { ReadsOnTheSpot } from '../../../runtime/remote/reads-on-the-spot.ts';
import { failureOf } from './remote-fixtures.ts';

const SLOW_MS = QUICK_READ_MS_MAX + 1;

/** Reads handed over until one is tried again. */
function pauseOf(reads: ReadsOnTheSpot): number {
  let count = 0;
  while (!reads.allow(1)) count += 1;
  return count;
}

describe('reads on the spot', () => {
  it('are small ones', () => {
    const reads = new ReadsOnTheSpot();
    expect([reads.allow(QUICK_READ_BYTES_MAX), reads.allow(QUICK_READ_BYTES_MAX + 1)]).toEqual([true, false]);
  });

  it('pause after a slow one, longer each time, up to a bound', () => {
    const reads = new ReadsOnTheSpot();
    const pauses = Array.from({ length: 10 }, () => {
      reads.note(SLOW_MS);
      return pauseOf(reads);
    });
    expect(pauses.slice(0, 3)).toEqual([SLOW_READ_PAUSE_MIN, SLOW_READ_PAUSE_MIN * 2, SLOW_READ_PAUSE_MIN * 4]);
    expect(pauses.at(-1)).toBe(SLOW_READ_PAUSE_MAX);
  });

  it('pause shortly again once as many were quick as the last pause was long', () => {
    const reads = new ReadsOnTheSpot();
    for (let slow = 0; slow < 3; slow += 1) reads.note(SLOW_MS);
    pauseOf(reads);
    for (let quick = 1; quick < SLOW_READ_PAUSE_MIN * 8; quick += 1) reads.note(0);
    reads.note(SLOW_MS);
    expect(pauseOf(reads)).toBe(SLOW_READ_PAUSE_MIN * 8);
    for (let quick = 0; quick < SLOW_READ_PAUSE_MIN * 16; quick += 1) reads.note(0);
    reads.note(SLOW_MS);
    expect(pauseOf(reads)).toBe(SLOW_READ_PAUSE_MIN);
  });

  it('need an open file, and say where it ends early', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'granule-local-'));
    const path = join(folder, 'bytes');
    await writeFile(path, 'abcdef');
    const source = new LocalSource(path);
    const target = Buffer.alloc(3);
    expect(source.tryReadNow(target, 1)).toBe(false);
    await source.open();
    expect([source.tryReadNow(target, 1), target.toString()]).toEqual([true, 'bcd']);
    const beyond = failureOf(Promise.resolve().then(() => source.tryReadNow(target, 5)));
    expect(await beyond).toMatch(/^SOURCE_CORRUPT: .*ends at byte 6/);
    await source.close();
    expect(source.tryReadNow(target, 1)).toBe(false);
    await rm(folder, { recursive: true });
  });
});
