import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { resolveScenarioOptions } from '../../../bench/scenario.ts';
import { loadScenario, scenarioNames } from '../../../bench/scenario-list.ts';

it('bench merge measures both merges at both sizes and cleans up', async () => {
  expect(scenarioNames()).toContain('merge');
  const scenario = await loadScenario('merge');
  const disk = mkdtempSync(join(tmpdir(), 'granule-bench-merge-'));
  try {
    for (const format of ['gev', 'ndjson', 'hepmc3']) {
      const given = { format, smallFiles: '30', largeFiles: '3' };
      const result = await scenario.run({
        options: resolveScenarioOptions(scenario.options, given, true),
        quick: true,
        repeats: 1,
        folders: { memory: null, disk },
        signal: new AbortController().signal,
        progress: () => undefined,
      });
      const sizes = { '1kB': { ratioToAppend: expect.any(Number) }, '500kB': { ratioToAppend: expect.any(Number) } };
      expect(result.values).toMatchObject({
        format,
        fast: { ratioToAppend: expect.any(Number), ...sizes },
        slow: { ratioToAppend: expect.any(Number), ...sizes },
      });
      expect(result.tables[0]?.rows).toHaveLength(6);
      expect(result.pictures.map(({ title }) => title)).toEqual([
        'merging files of 1kB: files per second',
        'merging files of 500kB: files per second',
      ]);
      for (const { svg } of result.pictures) expect(svg).not.toContain('NaN');
      expect(readdirSync(disk)).toEqual([]);
    }
  } finally {
    rmSync(disk, { recursive: true });
  }
});
