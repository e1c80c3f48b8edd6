/** Histograms: filled line by line, joined by addition, read back and drawn. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HISTOGRAMS_MAX } from '../../../core/limits.ts';
import type { Histogram, HistogramFill } from '../../../payloads/formats/histogram.ts';
import { outputFormat } from '../../../payloads/formats/registry.ts';
import { drawHistogram, readHistograms } from '../../../payloads/histogram.ts';

const format = outputFormat('histogram');
const META = { position: 1, eventNumber: 1 };
const binning = { name: 'mass', bins: 4, low: 0, high: 8 };

const fileOf = (fills: readonly HistogramFill[]) => Buffer.concat(fills.map((fill) => format.encode(fill, META)));
const split = (file: Uint8Array) => format.split(file);
const parse = (merged: Uint8Array): Histogram[] =>
  Buffer.from(merged)
    .toString()
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Histogram);

function merge(files: readonly Uint8Array[], restarts: readonly boolean[] = []): Uint8Array {
  let joiner = format.createJoiner(undefined);
  for (const [index, file] of files.entries()) {
    if (restarts[index]) joiner = format.createJoiner(Uint8Array.from(joiner.state()));
    expect(joiner.append(split(file), 0)).toEqual([]);
  }
  return joiner.finish(0);
}

describe('merging', () => {
  it('adds up what events filled', () => {
    const fills = [-1, 0, 1.9, 2, 7.999, 8, 9].map((x) => ({ ...binning, title: 'Mass', x }));
    const weighted = { ...binning, x: 5, weight: -0.5 };
    const [histogram, ...others] = parse(merge([fileOf(fills), fileOf([weighted]), fileOf([])]));
    expect(others).toEqual([]);
    expect(histogram).toEqual({
      ...binning,
      title: 'Mass',
      xLabel: '',
      entries: 8,
      underflow: 1,
      overflow: 2,
      contents: [2, 1, -0.5, 1],
      squares: [2, 1, 0.25, 1],
      sums: [3.5, 1.9 + 2 + 7.999 - 2.5, 1.9 * 1.9 + 4 + 7.999 * 7.999 - 12.5],
    });
  });

  it('gives the same however it is cut, restarted or merged in stages', () => {
    const fill = fc.record({
      name: fc.constantFrom('a', 'b'),
      bins: fc.constantFrom(3, 7),
      low: fc.constant(-1),
      high: fc.constant(1),
      x: fc.integer({ min: -80, max: 80 }).map((n) => n / 64),
      weight: fc.constantFrom(1, 2, 0.5),
    });
    const files = fc.array(fc.array(fill, { maxLength: 5 }), { maxLength: 8 });
    fc.assert(
      fc.property(files, fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }), fc.nat(8), (events, restarts, cut) => {
        const parts = events.map(fileOf);
        const whole = Buffer.from(merge(parts)).toString();
        expect(Buffer.from(merge(parts, restarts)).toString()).toBe(whole);
        expect(Buffer.from(merge([...parts].reverse())).toString()).toBe(whole);
        expect(Buffer.from(merge([merge(parts.slice(0, cut)), merge(parts.slice(cut))])).toString()).toBe(whole);
      }),
    );
  });

  it('keeps histograms of one name but another binning apart, and refuses too many', () => {
    const other = { ...binning, bins: 8, x: 1 };
    expect(parse(merge([fileOf([{ ...binning, x: 1 }, other])]))).toHaveLength(2);
    const many = Array.from({ length: HISTOGRAMS_MAX + 1 }, (_, n) => ({ ...binning, name: `event ${n}`, x: 1 }));
    expect(() => merge([fileOf(many)])).toThrow(expect.objectContaining({ code: 'OUTPUT_UNMERGEABLE' }));
  });

  it('notices damage', () => {
    const file = fileOf([{ ...binning, x: 1 }]);
    expect(() => split(file.subarray(0, -1))).toThrow(expect.objectContaining({ code: 'OUTPUT_DAMAGED' }));
    expect(format.rewrite(file)).toBe(file);
    expect(() => format.rewrite(Buffer.from('{"name":"mass"}\n'))).toThrow(
      expect.objectContaining({ code: 'OUTPUT_DAMAGED' }),
    );
  });
});

it.each([
  [null, 'it is null'],
  [{ ...binning, name: '', x: 1 }, '"name" is missing'],
  [{ ...binning, bins: 0, x: 1 }, '"bins" must be'],
  [{ ...binning, low: 8, x: 1 }, '"low" must be below "high"'],
  [{ ...binning }, '"x" must be a finite number, but is undefined'],
  [{ ...binning, x: Number.NaN }, 'but is NaN'],
  [{ ...binning, x: 1, weight: '2' }, '"weight" must be'],
  [{ ...binning, x: 1, weight: 1e101 }, '"weight" is 1e+101'],
  [{ ...binning, high: 1e300, x: 1 }, '"low" and "high" are 0 and 1e+300'],
  [{ ...binning, x: 1, title: 3 }, '"title"'],
])('refuses %j as a fill', (value, message) => {
  expect(() => format.encode(value, META)).toThrow(
    expect.objectContaining({ code: 'PAYLOAD_OUTPUT_INVALID', message: expect.stringContaining(message) }),
  );
});

it('holds the largest values it takes, squared and summed', () => {
  const largest = { name: 'large', bins: 2, low: -1e100, high: 1e100, weight: -1e100 };
  const files = [0.99e100, -1e100, 1e308].map((x) => fileOf([{ ...largest, x }]));
  const [histogram] = parse(merge(files, [false, true, true]));
  expect(histogram).toMatchObject({ entries: 3, overflow: -1e100, contents: [-1e100, -1e100] });
});

describe('a report', () => {
  it('reads the sums of several merged files, and none of a stream without files', () => {
    const folder = mkdtempSync(join(tmpdir(), 'granule-histogram-'));
    try {
      const paths = [1, 5].map((x) => {
        const path = join(folder, `${x}.hist.ndjson`);
        writeFileSync(path, merge([fileOf([{ ...binning, x }])]));
        return path;
      });
      expect(readHistograms(paths)).toEqual([expect.objectContaining({ entries: 2, contents: [1, 0, 1, 0] })]);
      expect(readHistograms(undefined)).toEqual([]);
      writeFileSync(paths[1] ?? '', '{}\n');
      expect(() => readHistograms(paths)).toThrow(`${paths[1]}:1 is no histogram`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('draws a histogram with its numbers, also an empty one', () => {
    const [histogram] = parse(merge([fileOf([{ ...binning, title: 'm(ℓℓ) < 8 & more', xLabel: 'm [GeV]', x: 3 }])]));
    if (histogram === undefined) throw new Error('there is one');
    const svg = drawHistogram(histogram);
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" [^>]*>\n/);
    expect(svg).toContain('m(ℓℓ) &lt; 8 &amp; more');
    expect(svg).toContain('>entries 1<');
    expect(svg).toContain('>mean 3<');
    const distant = { ...histogram, low: 1e17, high: 1e17 + 64 };
    expect(drawHistogram(distant)).not.toMatch(/NaN|Infinity/);
    const empty = { ...histogram, contents: [0, 0, 0, 0], squares: [0, 0, 0, 0], sums: [0, 0, 0] as const };
    expect(drawHistogram(empty)).not.toMatch(/NaN|Infinity/);
  });
});
