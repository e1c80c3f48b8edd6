import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeFolder, removeFolder } from '../../dispatcher/fixture.ts';
import { granule } from './program.ts';

let folder = '';
beforeEach(() => {
  folder = makeFolder();
});
afterEach(() => removeFolder(folder));

describe('granule demo', () => {
  it('processes generated events, says what was done and what to try next, and may be given again', async () => {
    const { code, stdout, stderr } = await granule(['demo', '--events', '60'], { cwd: folder });
    expect(code).toBe(0);
    expect(stderr).toContain('generated 60 events');
    expect(stdout).toMatch(/^60 of 60 events finished, 0 failed; /);
    expect(stdout).toContain('Now try:\n  npx granule demo --kill ');
    const manifest = JSON.parse(readFileSync(join(folder, 'granule-demo/out/manifest.json'), 'utf8'));
    expect(manifest.outputs).toMatchObject([{ stream: 'HITS', eventCount: 60 }]);
    const again = JSON.parse((await granule(['demo', '--events', '60', '--json'], { cwd: folder })).stdout);
    expect(again).toMatchObject({ ending: 'complete', events: { finished: 60, recovered: 0 } });
  });

  it('with --kill kills a run half-way and ends with the outputs of an undisturbed one', async () => {
    const { code, stdout } = await granule(['demo', '--kill', '--events', '600', '--json'], { cwd: folder });
    expect(code).toBe(0);
    const verdict = JSON.parse(stdout);
    expect(verdict).toMatchObject({ schema: 1, total: 600, differing: [] });
    expect(verdict.finishedAtKill).toBeGreaterThanOrEqual(300);
    expect(verdict.recovered).toBeGreaterThanOrEqual(verdict.finishedAtKill);
  }, 180_000);

  it('refuses a number of events that is none', async () => {
    const { code, stderr } = await granule(['demo', '--events', 'many'], { cwd: folder });
    expect(code).toBe(2);
    expect(stderr).toContain('--events: "many" is not a whole number from 1 on');
    expect(existsSync(join(folder, 'granule-demo'))).toBe(false);
  });
});
