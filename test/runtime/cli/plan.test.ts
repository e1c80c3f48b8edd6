/** `granule plan`, as users call it, before, between and beside runs. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toyEventText, toyFooter, toyHeader } from '../../../payloads/generator/toy-generator.ts';
import type { RunPlan } from '../../../runtime/run/run-plan.ts';
import { makeFolder, removeFolder } from '../../dispatcher/fixture.ts';
import { type Ended, granule } from './program.ts';

let folder = '';
let eventBytes: number[] = [];

beforeAll(() => {
  folder = makeFolder();
  mkdirSync(join(folder, 'tmp'));
  const settings = { seed: 3, energyGeV: 91.2, meanPrimaries: 4 };
  const events = Array.from({ length: 40 }, (_, index) => toyEventText(settings, index + 1));
  eventBytes = events.map(({ length }) => length);
  writeFileSync(join(folder, 'a.hepmc3.gz'), gzipSync(toyHeader() + events.join('') + toyFooter()));
  writeFileSync(join(folder, 'b.ndjson'), '{"a":1}\n'.repeat(30));
  writeFileSync(join(folder, 'cut.lhe'), '<LesHouchesEvents version="3.0">\n<init>\n');
});

afterAll(() => removeFolder(folder));

function call(...args: string[]): Promise<Ended> {
  return granule(args, { cwd: folder, environment: { TMPDIR: join(folder, 'tmp') } });
}

async function plan(...args: string[]): Promise<RunPlan & { readonly defaultLimits: Record<string, string> }> {
  return JSON.parse((await call('plan', '--json', ...args)).stdout);
}

describe('granule plan', () => {
  it('counts events, ranges and outputs, names what is refused and which limits nobody chose, and leaves no trace', async () => {
    const planned = await call('plan', 'a.hepmc3.gz', 'b.ndjson', 'cut.lhe', '--payload', 'digest', '--out', 'new');
    expect(planned).toMatchObject({ code: 4, stderr: '' });
    expect(planned.stdout).toMatch(/a\.hepmc3\.gz +hepmc3 +40 +40 /);
    expect(planned.stdout).toMatch(/refused: .*cut\.lhe.*INPUT_TRUNCATED/);
    expect(planned.stdout).toContain('70 events of 2 files in 70 ranges');
    expect(planned.stdout).toMatch(/DIGEST +ndjson +new\/b\.ndjson\.DIGEST\.ndjson/);
    expect(planned.stdout).toContain('a new run\nto process: 70 events\n');
    expect(planned.stdout).toContain('limits by default: timeout 1h, failuresMax 3');
    expect(existsSync(join(folder, 'new'))).toBe(false);
    expect(readdirSync(join(folder, 'tmp')).filter((name) => name.startsWith('granule-'))).toEqual([]);
  });

  it('lays out chosen events and outputs of many files, and knows the size of those copied from the input', async () => {
    const cut = ['--events', '1-10,31-', '--events-per-range', '4', '--timeout', '5s', '--payload', 'hepmc-filter'];
    const perFile = await plan('a.hepmc3.gz', ...cut, '--out', 'new');
    expect(perFile).toMatchObject({
      schema: 1,
      events: 20,
      ranges: 6,
      inputs: [{ lfn: 'a.hepmc3.gz', events: 40, chosen: 20 }],
      outputs: [{ stream: 'EVENTS', path: 'a.hepmc3.gz.EVENTS.hepmc3', format: 'hepmc3' }],
      resume: null,
      expectedMs: null,
    });
    const chosen = [...eventBytes.slice(0, 10), ...eventBytes.slice(30)].reduce((sum, bytes) => sum + bytes, 0);
    expect(perFile.disk.streams).toEqual([{ stream: 'EVENTS', sizeBytes: chosen, basis: 'input' }]);
    expect(Object.keys(perFile.defaultLimits)).not.toContain('timeout');

    const perTask = await plan(
      'a.hepmc3.gz',
      'b.ndjson',
      '--payload',
      'digest',
      '--events-per-output',
      '30',
      '--out',
      'new',
    );
    expect(perTask.outputCount).toBe(3);
    expect(perTask.outputs.map(({ path }) => path)).toEqual(
      ['00001', '00002', '00003'].map((number) => `new.DIGEST.${number}.ndjson`),
    );
  });

  it('says what a resume has left, and refuses what the run would refuse', async () => {
    const args = ['b.ndjson', '--payload', 'digest', '--out', 'out', '--workers', '1'];
    expect((await call('run', ...args, '-n', '12')).code).toBe(0);
    const left = await plan(...args);
    expect(left).toMatchObject({
      resume: { finished: 12, failed: 0, handedOut: 0, damaged: [], runningOn: null, payloadChanged: false },
      toProcess: 18,
      removesRun: false,
    });
    expect(left.expectedMs).toBeGreaterThan(0);
    expect((await plan(...args, '-n', '5')).toProcess).toBe(5);
    expect(await plan(...args, '--fresh')).toMatchObject({ resume: null, removesRun: true, toProcess: 30 });
    expect((await call('plan', ...args, '--fresh')).stdout).toContain(
      'the run in out is removed, since --fresh is given',
    );

    const other = await call('plan', ...args, '--seed', '2');
    expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('seed: was 1, is 2')]);
    const inputs = await call('plan', 'a.hepmc3.gz', ...args);
    expect([inputs.code, inputs.stderr]).toEqual([2, expect.stringContaining('RUN_DIFFERS')]);

    expect((await call('run', ...args)).code).toBe(0);
    const done = await plan(...args);
    expect(done).toMatchObject({ resume: { finished: 30 }, toProcess: 0 });
    expect(done.disk.streams).toMatchObject([{ stream: 'DIGEST', basis: 'measured', sizeBytes: expect.any(Number) }]);

    rmSync(join(folder, 'out', 'b.ndjson.DIGEST.ndjson'));
    const again = await plan(...args);
    expect(again).toMatchObject({ resume: { damaged: [{ events: 30 }] }, toProcess: 30 });
    expect((await call('plan', ...args)).stdout).toContain('is missing: its 30 events are made again');
  });

  it('refuses what cannot run at all', async () => {
    const ended = await call('plan', 'none.hepmc', '--payload', 'digest', '--out', 'new');
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining('none.hepmc')]);
    const payload = await call('plan', 'b.ndjson', '--payload', 'digets', '--out', 'new');
    expect([payload.code, payload.stderr]).toEqual([2, expect.stringContaining('did you mean "digest"?')]);
  });
});
