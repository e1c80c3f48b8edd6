import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { resolveScenarioOptions } from '../../../bench/scenario.ts';
import { loadScenario } from '../../../bench/scenario-list.ts';

it.each(['work', 'copies'])(
  'bench table measures a tiny table, brought forward by %s, and cleans up',
  async (between) => {
    const scenario = await loadScenario('table');
    const disk = mkdtempSync(join(tmpdir(), 'granule-bench-table-'));
    try {
      const given = { small: '5000', large: '128000', window: '19200', held: '50000', between };
      const { values, tables, pictures, notes } = await scenario.run({
        options: resolveScenarioOptions(scenario.options, given, true),
        quick: true,
        repeats: 2,
        folders: { memory: null, disk },
        signal: new AbortController().signal,
        progress: () => undefined,
      });
      expect(values).toMatchObject({
        rangesPerSecond: { '5e3': expect.any(Number), '1.28e5': expect.any(Number) },
        flatness: expect.any(Number),
        openSeconds: expect.any(Number),
        rssBytes: expect.any(Number),
        expiryStallMs: expect.any(Number),
        undisturbedStallMs: expect.any(Number),
        builtFromSample: between === 'copies',
      });
      expect(values['registerBytes']).toBeLessThan(1e6);
      expect(values['bytesPerFinishedRange']).toBeLessThan(3);
      expect(tables[0]?.rows).toHaveLength(10);
      expect(pictures.length).toBeGreaterThan(0);
      for (const { svg } of pictures) expect(svg).not.toContain('NaN');
      expect(notes.join(' ')).toContain('Warm-up: ');
      expect(readdirSync(disk)).toEqual([]);
    } finally {
      rmSync(disk, { recursive: true });
    }
  },
);
