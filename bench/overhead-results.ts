/** What the scenario `overhead` has measured, as values, measures, tables and pictures. */
import { formatCount } from '../core/quantities.ts';
import { PEERS, type Peer } from './peer-programs.ts';
import { barChart } from './pictures/bar-chart.ts';
import type { Picture, ResultTable } from './scenario.ts';
import { describeSummary, type Measure, median, ratios } from './statistics.ts';

export const VARIANTS = ['bareLoop', 'granule', 'withMerge', 'piscina'] as const;
export type Variant = (typeof VARIANTS)[number];

export const TITLES: Readonly<Record<Variant | Peer, string>> = {
  bareLoop: 'bare loop',
  granule: 'granule',
  withMerge: 'granule, merged as well',
  piscina: 'piscina alone',
  bullmq: 'BullMQ with Redis',
  dask: 'Dask distributed',
  parallel: 'GNU parallel',
};

export interface Sample {
  readonly perSecond: number;
  /** CPU time per event of the main thread, and of all threads; NaN where it was not measured */
  readonly mainMicros: number;
  readonly allMicros: number;
}

/** Measured on one file system. */
export interface Place {
  readonly name: 'memory' | 'disk';
  readonly samples: Readonly<Record<Variant, readonly Sample[]>>;
}

/** Events per second of each repeat; null where a tool is not there or was not asked for. */
export type PeerRates = Readonly<Record<Peer, readonly number[] | null>>;

function rates({ samples }: Place, variant: Variant): number[] {
  return samples[variant].map(({ perSecond }) => perSecond);
}

export function valuesOf(place: Place): object {
  const bare = rates(place, 'bareLoop');
  const ratioOf = (variant: Variant): number => median(ratios(rates(place, variant), bare));
  return {
    fileSystem: place.name,
    eventsPerSecond: median(rates(place, 'granule')),
    bareLoopPerSecond: median(bare),
    ratioToBareLoop: ratioOf('granule'),
    withMerge: { eventsPerSecond: median(rates(place, 'withMerge')), ratioToBareLoop: ratioOf('withMerge') },
    mainThreadMicrosPerEvent: median(place.samples.granule.map(({ mainMicros }) => mainMicros)),
    allThreadsMicrosPerEvent: median(place.samples.granule.map(({ allMicros }) => allMicros)),
  };
}

export function diskValues(places: readonly Place[]): object | null {
  const disk = places.find(({ name }) => name === 'disk');
  return disk === undefined ? null : valuesOf(disk);
}

/**
 * Of each other tool its rate, and how many times granule's rate is that: formed within each round for piscina, and with
 * granule's median for those that are measured afterwards.
 */
export function peerValues(place: Place, peers: PeerRates): { readonly peers: object } {
  const granule = rates(place, 'granule');
  const piscina = rates(place, 'piscina');
  const afterwards = (perSecond: readonly number[]): object => ({
    perSecond: median(perSecond),
    ratio: median(granule) / median(perSecond),
  });
  return {
    peers: Object.fromEntries([
      ['piscina', { perSecond: median(piscina), ratio: median(ratios(granule, piscina)) }],
      ...PEERS.map((peer) => [peer, peers[peer] === null ? null : afterwards(peers[peer])] as const),
    ]),
  };
}

export function measuresOf(place: Place): Measure[] {
  const bare = rates(place, 'bareLoop');
  const mainMicros = place.samples.granule.map((sample) => sample.mainMicros);
  const rate = (variant: Variant): Measure => ({
    name: `${place.name}.${variant}PerSecond`,
    unit: 'events/s',
    better: 'higher',
    values: rates(place, variant),
  });
  const ratio = (variant: Variant): Measure => ({
    name: `${place.name}.${variant}ToBareLoop`,
    unit: 'ratio',
    better: 'higher',
    values: ratios(rates(place, variant), bare),
  });
  return [
    rate('granule'),
    ratio('granule'),
    rate('withMerge'),
    ratio('withMerge'),
    rate('bareLoop'),
    ...(mainMicros.some(Number.isNaN)
      ? []
      : [{ name: `${place.name}.mainThreadMicrosPerEvent`, unit: 'µs', better: 'lower' as const, values: mainMicros }]),
  ];
}

export function peerMeasures(place: Place, peers: PeerRates): Measure[] {
  return PEERS.flatMap((peer): Measure[] => {
    const perSecond = peers[peer];
    if (perSecond === null) return [];
    const granule = median(rates(place, 'granule'));
    return [
      {
        name: `${place.name}.granuleTo.${peer}`,
        unit: 'ratio',
        better: 'higher',
        values: perSecond.map((value) => granule / value),
      },
    ];
  });
}

const perSecond = (value: number): string => `${formatCount(value)}/s`;

export function tableOf(place: Place): ResultTable {
  const bare = rates(place, 'bareLoop');
  return {
    title: `no-op events, ${place.name === 'memory' ? 'memory file system' : 'disk'}`,
    columns: [
      { title: 'what' },
      { title: 'rate', align: 'right' },
      { title: '/ bare loop', align: 'right' },
      { title: 'CPU µs/event: main thread', align: 'right' },
      { title: 'all threads', align: 'right' },
    ],
    rows: VARIANTS.map((variant) => {
      const micros = (of: 'mainMicros' | 'allMicros'): string => {
        const value = median(place.samples[variant].map((sample) => sample[of]));
        return Number.isNaN(value) ? '' : value.toFixed(1);
      };
      return [
        TITLES[variant],
        describeSummary(rates(place, variant), perSecond),
        describeSummary(ratios(rates(place, variant), bare), (value) => value.toFixed(2)),
        micros('mainMicros'),
        micros('allMicros'),
      ];
    }),
  };
}

export function peerTable(place: Place, peers: PeerRates): ResultTable {
  const granule = median(rates(place, 'granule'));
  return {
    title: 'other tools on the same work',
    columns: [{ title: 'what' }, { title: 'rate', align: 'right' }, { title: 'granule is', align: 'right' }],
    rows: PEERS.map((peer) => {
      const values = peers[peer];
      if (values === null) return [TITLES[peer], 'absent', ''];
      return [TITLES[peer], describeSummary(values, perSecond), `${(granule / median(values)).toFixed(1)} times`];
    }),
  };
}

export function pictureOf(place: Place, peers: PeerRates | undefined): Picture {
  const title = `no-op events per second, ${place.name === 'memory' ? 'memory file system' : 'disk'}`;
  const bars = VARIANTS.map((variant) => ({ label: TITLES[variant], values: rates(place, variant) }));
  const others = PEERS.map((peer) => ({ label: TITLES[peer], values: peers?.[peer] ?? [] }));
  return {
    title,
    svg: barChart({ title, bars: peers === undefined ? bars : [...bars, ...others], format: perSecond }),
  };
}
