/** What the scenario `cores-idle` has measured, as values, measures, tables and pictures. */
import type { LaneFigures, Lanes } from './lanes.ts';
import { laneChart } from './pictures/lane-chart.ts';
import type { Picture, ResultTable } from './scenario.ts';
import { describeSummary, type Measure, median } from './statistics.ts';

export const GRANULARITIES = ['file', 'chunk', 'event', 'longestFirst', 'longestFirstGuessed'] as const;
export type Granularity = (typeof GRANULARITIES)[number];

const TITLES: Readonly<Record<Granularity, string>> = {
  file: 'whole files',
  chunk: 'a static share each',
  event: 'single events, file order',
  longestFirst: 'single events, longest first',
  longestFirstGuessed: 'longest first, hints of correlation 0.7',
};

/** One pool and the events it gets. */
export interface Setting {
  readonly name: 'cpu' | 'wait';
  readonly workerCount: number;
  readonly lengthsMs: readonly number[];
  readonly unitsPerMs: number | null;
}

export interface Measured {
  readonly figures: LaneFigures;
  readonly lanes: Lanes;
}

export type MeasuredBy = Readonly<Partial<Record<Granularity, readonly Measured[]>>>;

const FIGURES = [
  'makespanMs',
  'boundMs',
  'idealMs',
  'ratioToBound',
  'ratioToIdeal',
  'busyFraction',
  'busyFractionUntilEmpty',
  'idleCoreMs',
] as const;

function granularitiesOf(by: MeasuredBy): (readonly [Granularity, readonly Measured[]])[] {
  return GRANULARITIES.flatMap((granularity) => {
    const runs = by[granularity];
    return runs === undefined ? [] : [[granularity, runs] as const];
  });
}

export function medians(by: MeasuredBy): Partial<Record<Granularity, object>> {
  return Object.fromEntries(
    granularitiesOf(by).map(([granularity, runs]) => {
      const figures = runs.map((measured) => measured.figures);
      const values = FIGURES.map((key) => [key, median(figures.map((figure) => figure[key]))]);
      const lostOnKill = {
        expected: median(figures.map((figure) => figure.lostOnKill.expected)),
        worst: median(figures.map((figure) => figure.lostOnKill.worst)),
      };
      const busyFractionPerWorker = medianByRank(figures.map((figure) => figure.busyFractionPerWorker));
      return [granularity, { ...Object.fromEntries(values), busyFractionPerWorker, lostOnKill }];
    }),
  );
}

/**
 * Of each run's busiest worker the median, then of each run's second, down to the idlest: which worker gets the long events
 * differs from run to run, so its index says nothing.
 */
export function medianByRank(runs: readonly (readonly number[])[]): number[] {
  const sorted = runs.map((fractions) => [...fractions].sort((left, right) => right - left));
  return (sorted[0] ?? []).map((_, rank) => median(sorted.map((fractions) => fractions[rank] ?? Number.NaN)));
}

export function measuresOf({ name }: Setting, by: MeasuredBy): Measure[] {
  return granularitiesOf(by).flatMap(([granularity, runs]): Measure[] => {
    const of = (key: 'ratioToBound' | 'ratioToIdeal' | 'busyFraction'): number[] =>
      runs.map(({ figures }) => figures[key]);
    return [
      { name: `${name}.${granularity}.ratioToBound`, unit: 'ratio', better: 'lower', values: of('ratioToBound') },
      { name: `${name}.${granularity}.ratioToIdeal`, unit: 'ratio', better: 'lower', values: of('ratioToIdeal') },
      { name: `${name}.${granularity}.busyFraction`, unit: 'ratio', better: 'higher', values: of('busyFraction') },
    ];
  });
}

export function tableOf(setting: Setting, by: MeasuredBy): ResultTable {
  const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
  return {
    title: settingTitle(setting),
    columns: [
      { title: 'unit of work' },
      { title: 'makespan', align: 'right' },
      { title: '/ bound', align: 'right' },
      { title: '/ ideal', align: 'right' },
      { title: 'busy', align: 'right' },
      { title: 'until empty', align: 'right' },
      { title: 'idle core s', align: 'right' },
      { title: 'lost on a kill', align: 'right' },
      { title: 'at worst', align: 'right' },
    ],
    rows: granularitiesOf(by).map(([granularity, runs]) => {
      const figures = runs.map((measured) => measured.figures);
      const of = (value: (figure: LaneFigures) => number): number => median(figures.map(value));
      return [
        TITLES[granularity],
        describeSummary(
          figures.map(({ makespanMs }) => makespanMs),
          (value) => `${(value / 1000).toFixed(2)} s`,
        ),
        of((figure) => figure.ratioToBound).toFixed(3),
        of((figure) => figure.ratioToIdeal).toFixed(3),
        percent(of((figure) => figure.busyFraction)),
        percent(of((figure) => figure.busyFractionUntilEmpty)),
        (of((figure) => figure.idleCoreMs) / 1000).toFixed(2),
        percent(of((figure) => figure.lostOnKill.expected)),
        percent(of((figure) => figure.lostOnKill.worst)),
      ];
    }),
  };
}

function settingTitle({ name, workerCount, lengthsMs }: Setting): string {
  const kind = name === 'cpu' ? 'CPU work' : 'events that wait on a timer';
  return `${lengthsMs.length} events, ${workerCount} workers, ${kind}`;
}

/** Of each granularity the run with the middle makespan. */
export function pictureOf(setting: Setting, by: MeasuredBy): Picture {
  const title = settingTitle(setting);
  const panels = granularitiesOf(by).map(([granularity, runs]) => {
    const sorted = [...runs].sort((left, right) => left.figures.makespanMs - right.figures.makespanMs);
    const { lanes, figures } = sorted[Math.floor(sorted.length / 2)] as Measured;
    const idle = (figures.idleCoreMs / 1000).toFixed(2);
    return {
      title: `${TITLES[granularity]}: ${(figures.makespanMs / 1000).toFixed(2)} s, ${idle} core seconds idle`,
      workerCount: lanes.workerCount,
      intervals: lanes.events,
      makespanMs: figures.makespanMs,
      boundMs: figures.boundMs,
    };
  });
  return { title, svg: laneChart({ title, panels, boundMs: median(panels.map((panel) => panel.boundMs)) }) };
}
