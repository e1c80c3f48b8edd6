/** Two result files side by side: for each measure both have, how the second compares with the first. */
import type { BenchRecord } from './result-file.ts';
import type { ResultTable } from './scenario.ts';
import { type Measure, summarise } from './statistics.ts';

export interface MeasureComparison {
  readonly scenario: string;
  readonly measure: string;
  readonly unit: string;
  readonly before: number;
  readonly after: number;
  /** after / before, of the medians */
  readonly ratio: number;
  /** the lowest and highest ratio that any two repeats give */
  readonly ratioMin: number;
  readonly ratioMax: number;
  /** `same` while the ranges of the two overlap */
  readonly verdict: 'better' | 'worse' | 'same';
}

export function compareResults(before: BenchRecord, after: BenchRecord): readonly MeasureComparison[] {
  return after.scenarios.flatMap((scenario) => {
    const other = before.scenarios.find(({ scenario: name }) => name === scenario.scenario);
    return scenario.measures.flatMap((measure) => {
      const earlier = other?.measures.find(({ name }) => name === measure.name);
      return earlier === undefined ? [] : [compareMeasure(scenario.scenario, earlier, measure)];
    });
  });
}

function compareMeasure(scenario: string, before: Measure, after: Measure): MeasureComparison {
  const first = summarise(before.values);
  const second = summarise(after.values);
  const overlap = first.min <= second.max && second.min <= first.max;
  const isHigher = second.median > first.median;
  return {
    scenario,
    measure: after.name,
    unit: after.unit,
    before: first.median,
    after: second.median,
    ratio: second.median / first.median,
    ratioMin: second.min / first.max,
    ratioMax: second.max / first.min,
    verdict: overlap ? 'same' : isHigher === (after.better === 'higher') ? 'better' : 'worse',
  };
}

/** What makes two results hard to compare. */
export function comparisonWarnings(before: BenchRecord, after: BenchRecord): string[] {
  const warnings: string[] = [];
  const facts = ['host', 'cpuModel', 'cores', 'cpuQuota', 'node'] as const;
  for (const fact of facts) {
    const [left, right] = [before.machine[fact], after.machine[fact]];
    if (left !== right) warnings.push(`${fact} differs: ${left ?? 'none'} and ${right ?? 'none'}`);
  }
  for (const scenario of after.scenarios) {
    const other = before.scenarios.find(({ scenario: name }) => name === scenario.scenario);
    if (other === undefined) continue;
    if (JSON.stringify(other.options) !== JSON.stringify(scenario.options)) {
      warnings.push(`${scenario.scenario} was run with other options`);
    }
  }
  return warnings;
}

export function comparisonTable(comparisons: readonly MeasureComparison[]): ResultTable {
  return {
    title: 'second result / first result',
    columns: [
      { title: 'scenario' },
      { title: 'measure' },
      { title: 'first', align: 'right' },
      { title: 'second', align: 'right' },
      { title: 'ratio', align: 'right' },
      { title: 'from', align: 'right' },
      { title: 'to', align: 'right' },
      { title: 'verdict' },
    ],
    rows: comparisons.map((row) => [
      row.scenario,
      row.measure,
      withUnit(row.before, row.unit),
      withUnit(row.after, row.unit),
      row.ratio.toFixed(3),
      row.ratioMin.toFixed(3),
      row.ratioMax.toFixed(3),
      row.verdict,
    ]),
  };
}

function withUnit(value: number, unit: string): string {
  return `${Number(value.toPrecision(4))}${unit === 'ratio' ? '' : ` ${unit}`}`;
}
