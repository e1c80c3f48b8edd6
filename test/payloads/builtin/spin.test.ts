import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../../../core/random.ts';
import spin, { drawSpinMs, type SpinRecord, spinUnit } from '../../../payloads/builtin/spin.ts';
import { type SpinOptions, schema } from '../../../payloads/builtin/spin-options.ts';
import { payloadEvent, runPayload } from '../run-payload.ts';

const events = (count: number) =>
  Array.from({ length: count }, (_value, index) => payloadEvent({ position: index + 1 }));

describe('the time drawn', () => {
  const draws = (options: Readonly<Record<string, unknown>>, count = 200_000): number[] => {
    const random = createRandom(11);
    const checked: SpinOptions = schema.parse(options);
    return Array.from({ length: count }, () => drawSpinMs(checked, random));
  };
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

  it('is the mean itself when constant', () => {
    expect(new Set(draws({ meanMs: '4' }, 100))).toEqual(new Set([4]));
  });

  it('has the mean and the median of an exponential distribution', () => {
    const values = draws({ dist: 'exponential', meanMs: '4' });
    expect(Math.abs(mean(values) / 4 - 1)).toBeLessThan(0.01);
    expect(Math.abs(median(values) / (4 * Math.LN2) - 1)).toBeLessThan(0.02);
  });

  it('has the mean and the median of a lognormal distribution', () => {
    const values = draws({ dist: 'lognormal', meanMs: '4', sigma: '0.8' });
    expect(Math.abs(mean(values) / 4 - 1)).toBeLessThan(0.02);
    expect(Math.abs(median(values) / (4 * Math.exp(-0.32)) - 1)).toBeLessThan(0.02);
  });

  it('has the minimum, the mean and the median of a Pareto distribution', () => {
    const values = draws({ dist: 'pareto', meanMs: '4', alpha: '3' });
    const minimum = (4 * 2) / 3;
    expect(values.every((value) => value >= minimum)).toBe(true);
    expect(Math.abs(mean(values) / 4 - 1)).toBeLessThan(0.02);
    expect(Math.abs(median(values) / (minimum * Math.cbrt(2)) - 1)).toBeLessThan(0.02);
  });

  it('is never longer than the cap', () => {
    expect(Math.max(...draws({ dist: 'pareto', meanMs: '4', maxMs: '5' }, 10_000))).toBe(5);
  });
});

describe('the payload', () => {
  it('writes one line per event that depends on nothing but the seed', async () => {
    const options = { dist: 'exponential', meanMs: '0.2' };
    const first = await runPayload(spin, events(50), { options, taskSeed: 3 });
    const second = await runPayload(spin, events(50), { options, taskSeed: 3 });
    expect(second).toEqual(first);
    const text = first.map((outputs) => JSON.stringify(outputs['SPIN']?.[0])).join('\n');
    expect(createHash('sha256').update(text).digest('hex')).toMatchInlineSnapshot(
      `"ad8231a7fbb322dda8b70a550c47f735e0f45556fe263c6d025d90a226ba3425"`,
    );
    expect(first[0]).toMatchInlineSnapshot(`
      {
        "SPIN": [
          {
            "checksum": "ddc918d8",
            "drawnMs": 0.593,
            "position": 1,
          },
        ],
      }
    `);
  });

  it('writes the same lines when it waits instead', async () => {
    const options = { dist: 'lognormal', meanMs: '0.2' };
    const spun = await runPayload(spin, events(5), { options });
    expect(await runPayload(spin, events(5), { options: { ...options, wait: 'true' } })).toEqual(spun);
  });

  it('writes the checksum of its unit of work, which depends on the seed', async () => {
    const checksums = (await runPayload(spin, events(20), { options: { meanMs: 0 } })).map(
      (outputs) => (outputs['SPIN'] as SpinRecord[])[0]?.checksum,
    );
    expect(new Set(checksums).size).toBe(20);
    for (const checksum of checksums) expect(checksum).toMatch(/^[0-9a-f]{8}$/);
    expect(spinUnit(5)).toBe(spinUnit(5));
    expect(spinUnit(5)).not.toBe(spinUnit(7));
  });

  it.each([{ wait: 'false' }, { wait: 'true' }])('ends when its event is aborted, with %o', async ({ wait }) => {
    const abort = new AbortController();
    setImmediate(() => abort.abort(new Error('time is up')));
    const options = { meanMs: 3_600_000, maxMs: 3_600_000, wait };
    await expect(runPayload(spin, events(1), { options, signal: abort.signal })).rejects.toThrow();
  });
});

it.each([
  ['dist', 'normal'],
  ['meanMs', 'long'],
  ['meanMs', '-1'],
  ['alpha', '1'],
  ['wait', 'perhaps'],
  ['means', '5'],
])('refuses %s=%s, naming it', async (key, value) => {
  await expect(runPayload(spin, [], { options: { [key]: value } })).rejects.toThrow(key);
});
