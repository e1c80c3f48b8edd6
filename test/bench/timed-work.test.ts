import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { recordedLengths } from '../../bench/timed-work.ts';
import { runHere } from '../flow/run-here.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-lengths-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('lengths taken from a recorded run', () => {
  it('are those of its events, and no more than are asked for', async () => {
    const input = join(folder, 'events.ndjson');
    writeFileSync(input, Array.from({ length: 8 }, (_, event) => `{"event":${event}}\n`).join(''));
    const out = join(folder, 'out');
    await runHere({ input: [input], payload: 'spin', options: { meanMs: 20, wait: true }, out, workers: 2 });
    const lengths = await recordedLengths(out, 100);
    expect(lengths).toHaveLength(8);
    for (const lengthMs of lengths) expect(lengthMs).toBeGreaterThan(0);
    expect(await recordedLengths(out, 5)).toEqual(lengths.slice(0, 5));
  });
});
