/**
 * What event granularity costs: no-op events through the whole path, from the event table to durably finished, against a
 * bare loop that writes and renames the same files from as many threads, against piscina alone, and against what a user
 * might take instead. On a memory file system and on disk.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { WORKERS_MAX } from '../../core/limits.ts';
import { formatCount } from '../../core/quantities.ts';
import { type FileWork, measureBareLoop } from '../bare-loop.ts';
import { type FlowRun, runFlow } from '../flow-run.ts';
import { measurePeer, PEERS, type Peer } from '../peer-programs.ts';
import { barChart } from '../pictures/bar-chart.ts';
import { measurePiscina } from '../piscina-alone.ts';
import { defineScenario, type Picture, type ResultTable, type ScenarioContext } from '../scenario.ts';
import { readStageTimes } from '../stage-profile.ts';
import { describeSummary, interleave, type Measure, median, ratios } from '../statistics.ts';
import { steadyRate, WARM_UP_FRACTION } from '../steady-rate.ts';

const VARIANTS = ['bareLoop', 'granule', 'withMerge', 'piscina'] as const;
type Variant = (typeof VARIANTS)[number];

const TITLES: Readonly<Record<Variant | Peer, string>> = {
  bareLoop: 'bare loop',
  granule: 'granule',
  withMerge: 'granule, merged as well',
  piscina: 'piscina alone',
  bullmq: 'BullMQ with Redis',
  dask: 'Dask distributed',
  parallel: 'GNU parallel',
};

interface Sample {
  readonly perSecond: number;
  /** CPU time per event of the main thread, and of all threads; NaN where it was not measured */
  readonly mainMicros: number;
  readonly allMicros: number;
}

/** Measured on one file system. */
interface Place {
  readonly name: 'memory' | 'disk';
  readonly samples: Readonly<Record<Variant, readonly Sample[]>>;
}

export const scenario = defineScenario({
  summary: 'what handing out single events costs, against a bare loop and other tools',
  options: {
    events: { help: 'events in each measurement', default: 200_000, quick: 40_000 },
    diskEvents: { help: 'the same on disk; 0: none', default: 20_000, quick: 4_000 },
    peerEvents: { help: 'events for each other tool, which are slower; 0: none', default: 4_000, quick: 600 },
    bytes: { help: 'size of the file written for each event', default: 1000 },
    workers: { help: 'workers and threads; 0: one per core', default: 0 },
    profile: { help: 'profile one run by stage', default: 'yes', choices: ['yes', 'no'] },
  },
  async run(context) {
    const { options, folders } = context;
    const threadCount = options.workers === 0 ? availableParallelism() : Math.min(options.workers, WORKERS_MAX);
    const work = { sizeBytes: options.bytes, threadCount };
    const places: Place[] = [];
    if (folders.memory !== null) {
      places.push(await measurePlace('memory', folders.memory, { ...work, fileCount: options.events }, context));
    }
    if (options.diskEvents > 0 || folders.memory === null) {
      const fileCount = folders.memory === null ? options.events : options.diskEvents;
      places.push(await measurePlace('disk', folders.disk, { ...work, fileCount }, context));
    }
    const base = folders.memory ?? folders.disk;
    const peers = await measurePeers({ ...work, folder: base, fileCount: options.peerEvents }, context);
    const stages =
      options.profile === 'yes' ? await profileRun({ ...work, folder: base, fileCount: options.events }, context) : [];
    const [first] = places as [Place];
    return {
      values: {
        bytes: options.bytes,
        workers: threadCount,
        ...valuesOf(first),
        ...peerValues(first, peers),
        onDisk: diskValues(places),
      },
      measures: [...places.flatMap(measuresOf), ...peerMeasures(first, peers)],
      tables: [...places.map(tableOf), peerTable(first, peers), ...stages],
      pictures: places.map((place) => pictureOf(place, place === first ? peers : undefined)),
      notes: [
        `The first ${100 * WARM_UP_FRACTION} % of the events of each measurement are warm-up and not counted.`,
        'granule: events are handed out by the durable event table, executed, their files written, checksummed and put in ' +
          'place, and durably recorded as finished. Merging is left out. "merged as well": until the merged file is complete.',
        'Bare loop: as many threads write and rename the same files and do nothing else.',
        ...PEERS.filter((peer) => peers[peer] === null).map((peer) => `${TITLES[peer]} is not installed: absent.`),
        'Other tools do the same work (write a file, rename it) with as many workers; handing them the list of events is not ' +
          'counted for BullMQ.',
      ],
    };
  },
});

async function measurePlace(
  name: Place['name'],
  base: string,
  work: Omit<FileWork, 'folder'>,
  context: ScenarioContext,
): Promise<Place> {
  const samples = await interleave(VARIANTS, context.repeats, (variant, round) => {
    context.progress(`${name}: ${TITLES[variant]}, round ${round + 1} of ${context.repeats}`);
    return inFolder(base, (folder) => measure(variant, { ...work, folder }, context.signal));
  });
  return { name, samples };
}

async function inFolder<Value>(base: string, measureIn: (folder: string) => Promise<Value>): Promise<Value> {
  const folder = mkdtempSync(join(base, 'overhead-'));
  try {
    return await measureIn(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(variant: Variant, work: FileWork, signal: AbortSignal): Promise<Sample> {
  signal.throwIfAborted();
  switch (variant) {
    case 'bareLoop':
      return { perSecond: await measureBareLoop(work), mainMicros: Number.NaN, allMicros: Number.NaN };
    case 'piscina':
      return { perSecond: await measurePiscina(work), mainMicros: Number.NaN, allMicros: Number.NaN };
    case 'granule':
      return sampleOf(await runNoops(work, { leaveUnmerged: true }, signal), false);
    case 'withMerge':
      return sampleOf(await runNoops(work, { leaveUnmerged: false }, signal), true);
  }
}

function runNoops(
  work: FileWork,
  how: { readonly leaveUnmerged: boolean; readonly nodeFlags?: readonly string[] },
  signal: AbortSignal,
): Promise<FlowRun> {
  const input = join(work.folder, 'events.ndjson');
  writeFileSync(input, Array.from({ length: work.fileCount }, (_, event) => `{"event":${event}}\n`).join(''));
  const options = {
    input: [input],
    payload: 'noop',
    options: { bytes: work.sizeBytes },
    out: join(work.folder, 'out'),
    workers: work.threadCount,
  };
  return runFlow({ options, ...how }, signal);
}

function sampleOf(run: FlowRun, merged: boolean): Sample {
  const events = run.summary.events.finished;
  const timeline = merged
    ? [...run.finishedEvents.map(([timeMs, count]) => [timeMs, count - 1] as const), [run.mergedMs, events] as const]
    : run.finishedEvents;
  return {
    perSecond: steadyRate(timeline, run.firstExecutingMs),
    mainMicros: run.threads.find(({ name }) => name === 'main')?.cpuMicrosPerEvent ?? Number.NaN,
    allMicros: run.threads.reduce((sum, { cpuMicrosPerEvent }) => sum + cpuMicrosPerEvent, 0),
  };
}

type PeerRates = Readonly<Record<Peer, readonly number[] | null>>;

/** Rates of the peers that are there, and null for those that are not. */
async function measurePeers(work: FileWork, context: ScenarioContext): Promise<PeerRates> {
  const rates: Record<Peer, number[] | null> = { bullmq: null, dask: null, parallel: null };
  if (work.fileCount === 0) return rates;
  await interleave(PEERS, context.repeats, async (peer, round) => {
    if (round > 0 && rates[peer] === null) return;
    context.progress(`${TITLES[peer]}, round ${round + 1} of ${context.repeats}`);
    const perSecond = await inFolder(work.folder, (folder) => measurePeer(peer, { ...work, folder }, context.signal));
    if (perSecond !== null) rates[peer] = [...(rates[peer] ?? []), perSecond];
  });
  return rates;
}

function profileRun(work: FileWork, context: ScenarioContext): Promise<ResultTable[]> {
  context.progress('profile by stage');
  return inFolder(work.folder, async (folder) => {
    const profiles = join(folder, 'profiles');
    mkdirSync(profiles);
    const nodeFlags = ['--cpu-prof', `--cpu-prof-dir=${profiles}`];
    await runNoops({ ...work, folder }, { leaveUnmerged: false, nodeFlags }, context.signal);
    if (readdirSync(profiles).length === 0) return [];
    const rows = readStageTimes(profiles).map(({ thread, stage, cpuMs }) => [
      thread,
      stage,
      ((1000 * cpuMs) / work.fileCount).toFixed(2),
    ]);
    return [
      {
        title: 'where CPU time goes (one profiled run with merge, start and end included)',
        columns: [{ title: 'thread' }, { title: 'stage' }, { title: 'µs per event', align: 'right' }],
        rows,
      },
    ];
  });
}

function rates({ samples }: Place, variant: Variant): number[] {
  return samples[variant].map(({ perSecond }) => perSecond);
}

function valuesOf(place: Place): object {
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

function diskValues(places: readonly Place[]): object | null {
  const disk = places.find(({ name }) => name === 'disk');
  return disk === undefined ? null : valuesOf(disk);
}

/** Of each other tool its rate, and how many times granule's rate is that. */
function peerValues(place: Place, peers: PeerRates): { readonly peers: object } {
  const granule = rates(place, 'granule');
  const against = (perSecond: readonly number[]): object => ({
    perSecond: median(perSecond),
    ratio: median(granule) / median(perSecond),
  });
  return {
    peers: Object.fromEntries([
      ['piscina', against(rates(place, 'piscina'))],
      ...PEERS.map((peer) => [peer, peers[peer] === null ? null : against(peers[peer])] as const),
    ]),
  };
}

function measuresOf(place: Place): Measure[] {
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

function peerMeasures(place: Place, peers: PeerRates): Measure[] {
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

function tableOf(place: Place): ResultTable {
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

function peerTable(place: Place, peers: PeerRates): ResultTable {
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

function pictureOf(place: Place, peers: PeerRates | undefined): Picture {
  const title = `no-op events per second, ${place.name === 'memory' ? 'memory file system' : 'disk'}`;
  const bars = VARIANTS.map((variant) => ({ label: TITLES[variant], values: rates(place, variant) }));
  const others = PEERS.map((peer) => ({ label: TITLES[peer], values: peers?.[peer] ?? [] }));
  return {
    title,
    svg: barChart({ title, bars: peers === undefined ? bars : [...bars, ...others], format: perSecond }),
  };
}
