import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compareResults, comparisonTable, comparisonWarnings } from '../../bench/compare.ts';
import { describeMachine } from '../../bench/machine.ts';
import { NoiseWatch, noiseWarnings } from '../../bench/noise.ts';
import { barChart } from '../../bench/pictures/bar-chart.ts';
import { laneChart } from '../../bench/pictures/lane-chart.ts';
import { axisTicks } from '../../bench/pictures/svg.ts';
import { htmlReport } from '../../bench/report.ts';
import {
  type BenchRecord,
  benchJson,
  defaultResultPath,
  readResult,
  scenarioJson,
  writeResult,
} from '../../bench/result-file.ts';
import type { Measure } from '../../bench/statistics.ts';
import { writeResultFiles } from '../../runtime/cli/commands/bench.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-bench-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const QUIET = { stealFraction: 0, idleFraction: 0.1, throttledMs: 0, frequencyFraction: null };

function rate(...values: number[]): Measure {
  return { name: 'rate', unit: 'events/s', better: 'higher', values };
}

function record(measures: readonly Measure[], options: Record<string, number> = {}): BenchRecord {
  return {
    schema: 1,
    startedAt: '2026-11-05T10:20:30.400Z',
    machine: describeMachine({ memory: null, disk: folder }),
    scenarios: [
      {
        scenario: 'example',
        quick: true,
        repeats: 3,
        options,
        command: 'granule bench example --quick',
        wallMs: 12,
        values: { answer: 42 },
        measures,
        disturbance: QUIET,
        warnings: ['loud <neighbours>'],
        notes: ['warm-up: none'],
        tables: [
          { title: 'rates', columns: [{ title: 'what' }, { title: 'rate', align: 'right' }], rows: [['a', '1']] },
        ],
        pictures: [{ title: 'bars', svg: barChart({ title: 'bars', bars: [], format: String }) }],
      },
    ],
  };
}

describe('result files', () => {
  it('are read as they were written, and named after machine and second', () => {
    const written = record([rate(1, 2, 3)]);
    const path = defaultResultPath(folder, written);
    expect(path).toMatch(/bench\/results\/[A-Za-z0-9.-]+-2026-11-05T102030Z\.json$/);
    writeResult(path, JSON.stringify(written));
    expect(readResult(path)).toEqual(written);
  });

  it('refuse what is no result', () => {
    const path = join(folder, 'other.json');
    writeResult(path, '{"schema":99}');
    expect(() => readResult(path)).toThrow(expect.objectContaining({ code: 'USAGE' }));
    expect(() => readResult(join(folder, 'none.json'))).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  it('give scripts the values of a scenario at the top of one object', () => {
    const written = record([rate(1, 2)]);
    const [scenario] = written.scenarios;
    expect(scenario).toBeDefined();
    if (scenario === undefined) return;
    expect(scenarioJson(written, scenario)).toMatchObject({ schema: 1, scenario: 'example', answer: 42 });
    expect(benchJson(written)).toMatchObject({ scenarios: { example: { answer: 42, quick: true } } });
  });
});

describe('what granule bench writes', () => {
  let said = '';
  const write = (name: string, out: string | undefined): Promise<void> => {
    said = '';
    const hear = (text: string): void => {
      said += text;
    };
    const notices = { isTTY: false, columns: 80, write: hear };
    return writeResultFiles(name, record([rate(1, 2)]), out, { currentFolder: folder, notices });
  };

  it('are a result and a report at a place of their own for all scenarios', async () => {
    await write('all', undefined);
    const path = defaultResultPath(folder, record([]));
    expect(readResult(path)).toEqual(record([rate(1, 2)]));
    const reportPath = path.replace(/\.json$/, '.html');
    expect(readFileSync(reportPath, 'utf8')).toContain('<h2>example</h2>');
    expect(said).toMatch(/^result: bench\/results\/.+\.json\nreport: bench\/results\/.+\.html\n$/);
  });

  it('are where --out says, and nowhere for one scenario without it', async () => {
    await write('example', undefined);
    expect(existsSync(join(folder, 'bench'))).toBe(false);
    await write('example', 'kept/one.json');
    expect(readResult(join(folder, 'kept/one.json')).scenarios).toHaveLength(1);
    expect(existsSync(join(folder, 'kept/one.html'))).toBe(true);
  });
});

describe('comparisons', () => {
  it('give ratios with the extremes that the repeats allow', () => {
    const [row] = compareResults(record([rate(90, 100, 110)]), record([rate(190, 200, 220)]));
    expect(row).toMatchObject({ ratio: 2, verdict: 'better' });
    expect(row?.ratioMin).toBeCloseTo(190 / 110);
    expect(row?.ratioMax).toBeCloseTo(220 / 90);
  });

  it('call it the same while the repeats overlap, and worse by the sense of the measure', () => {
    const time = (...values: number[]): Measure => ({ ...rate(...values), unit: 'ms', better: 'lower' });
    const verdict = (before: Measure, after: Measure): string | undefined =>
      compareResults(record([before]), record([after]))[0]?.verdict;
    expect(verdict(time(1, 3), time(2, 4))).toBe('same');
    expect(verdict(time(1, 2), time(3, 4))).toBe('worse');
    expect(verdict(rate(3, 4), rate(1, 2))).toBe('worse');
  });

  it('warn of other options and leave out what only one has', () => {
    const other = { ...rate(1), name: 'other' };
    const comparisons = compareResults(record([rate(1)]), record([rate(1), other]));
    expect(comparisonTable(comparisons).rows).toHaveLength(1);
    expect(comparisonWarnings(record([]), record([], { events: 5 }))).toEqual(['example was run with other options']);
  });
});

describe('the report', () => {
  it('is one page that loads nothing, with machine, command, tables and pictures', () => {
    const html = htmlReport(record([rate(1)]));
    expect(html).toContain('granule bench example --quick');
    expect(html).toContain(process.version);
    expect(html).toContain('<svg xmlns=');
    expect(html).toContain('loud &#60;neighbours&#62;');
    expect(html.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|<script|<link|src=/);
  });
});

describe('pictures', () => {
  it('show bars with their spread, and what is absent as absent', () => {
    const picture = barChart({
      title: 'rates',
      bars: [
        { label: 'granule', values: [80, 100, 120] },
        { label: 'bullmq', values: [] },
      ],
      format: (value) => `${value}/s`,
      reference: { label: 'bare loop', value: 150 },
    });
    expect(picture).toContain('100/s');
    expect(picture).toContain('absent');
    expect(picture).toContain('bare loop');
    expect(picture).not.toContain('NaN');
  });

  it('show ten thousand events on 128 lanes in a small file', () => {
    const intervals = Array.from({ length: 10_000 }, (_, index) => ({
      worker: index % 128,
      start: Math.floor(index / 128) * 10,
      end: Math.floor(index / 128) * 10 + 9,
    }));
    const picture = laneChart({
      title: 'lanes',
      panels: [{ title: 'event', workerCount: 128, intervals, makespanMs: 800 }],
      boundMs: 700,
    });
    expect(picture.length).toBeLessThan(250_000);
    expect(picture).not.toContain('NaN');
  });

  it('have axes with round numbers', () => {
    expect(axisTicks(9.5, 5)).toEqual([0, 2, 4, 6, 8]);
    expect(axisTicks(0, 5)).toEqual([0]);
  });
});

describe('the watch for noise', () => {
  it('sees what the kernel tells, as fractions', () => {
    const { stealFraction } = new NoiseWatch().disturbance();
    if (stealFraction !== null) expect(stealFraction).toBeGreaterThanOrEqual(0);
  });

  it('warns of steal, throttling, low frequency and spread', () => {
    const disturbed = { stealFraction: 0.1, idleFraction: 0, throttledMs: 20, frequencyFraction: 0.5 };
    expect(noiseWarnings(disturbed, [rate(1, 2, 3)])).toHaveLength(4);
    expect(noiseWarnings(QUIET, [rate(100, 101, 102)])).toEqual([]);
  });
});
