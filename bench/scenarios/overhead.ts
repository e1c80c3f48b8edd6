/**
 * What event granularity costs: no-op events through the whole path, from the event table to durably finished, against a
 * bare loop that writes and renames the same files from as many threads, against piscina alone, and against what a user
 * might take instead. On a memory file system and on disk.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { WORKERS_MAX } from '../../core/limits.ts';
import { type FileWork, measureBareLoop } from '../bare-loop.ts';
import { type FlowRun, runFlow } from '../flow-run.ts';
import {
  diskValues,
  measuresOf,
  type PeerRates,
  type Place,
  peerMeasures,
  peerTable,
  peerValues,
  pictureOf,
  type Sample,
  TITLES,
  tableOf,
  VARIANTS,
  type Variant,
  valuesOf,
} from '../overhead-results.ts';
import { measurePeer, PEERS, type Peer } from '../peer-programs.ts';
import { measurePiscina } from '../piscina-alone.ts';
import { defineScenario, type ResultTable, type ScenarioContext } from '../scenario.ts';
import { readStageTimes } from '../stage-profile.ts';
import { interleave } from '../statistics.ts';
import { steadyRate, WARM_UP_FRACTION } from '../steady-rate.ts';

export const scenario = defineScenario({
  summary: 'what handing out single events costs, against a bare loop and other tools',
  // Few long measurements rather than many short ones: what is short is mostly warm-up.
  quickRepeats: 2,
  options: {
    events: { help: 'events in each measurement', default: 200_000, quick: 60_000 },
    diskEvents: { help: 'the same on disk; 0: none', default: 20_000, quick: 1_500 },
    peerEvents: { help: 'events for each other tool, which are slower; 0: none', default: 4_000, quick: 300 },
    bytes: { help: 'size of the file written for each event', default: 1000 },
    workers: { help: 'workers and threads; 0: one per core', default: 0 },
    profile: { help: 'profile one run by stage', default: 'yes', quick: 'no', choices: ['yes', 'no'] },
  },
  async run(context) {
    const { options, folders } = context;
    const threadCount = options.workers === 0 ? availableParallelism() : Math.min(options.workers, WORKERS_MAX);
    const work = { sizeBytes: options.bytes, threadCount };
    // A quick run repeats what the budgets speak of; what stands beside it (disk, other tools) is measured once.
    const beside = context.quick ? { ...context, repeats: 1 } : context;
    const places: Place[] = [];
    if (folders.memory !== null) {
      places.push(await measurePlace('memory', folders.memory, { ...work, fileCount: options.events }, context));
    }
    if (options.diskEvents > 0 || folders.memory === null) {
      const [fileCount, how] = folders.memory === null ? [options.events, context] : [options.diskEvents, beside];
      places.push(await measurePlace('disk', folders.disk, { ...work, fileCount }, how));
    }
    const base = folders.memory ?? folders.disk;
    const peers = await measurePeers({ ...work, folder: base, fileCount: options.peerEvents }, beside);
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
      tables: [...places.map(tableOf), ...(options.peerEvents === 0 ? [] : [peerTable(first, peers)]), ...stages],
      pictures: places.map((place) => pictureOf(place, place === first ? peers : undefined)),
      notes: [
        `The first ${100 * WARM_UP_FRACTION} % of the events of each measurement are warm-up and not counted.`,
        'granule: events are handed out by the durable event table, executed, their files written, checksummed and put in ' +
          'place, and durably recorded as finished. Merging is left out. "merged as well": until the merged file is complete.',
        'Bare loop: as many threads write and rename the same files and do nothing else.',
        ...(context.quick ? ['A quick run measures the disk and other tools once.'] : []),
        ...(options.peerEvents === 0 ? [] : PEERS.filter((peer) => peers[peer] === null)).map(
          (peer) => `${TITLES[peer]} is not installed: absent.`,
        ),
        'Other tools do the same work (write a file, rename it) with as many workers; handing them the list of events is not ' +
          'counted for BullMQ.',
        ...(options.peerEvents === 0
          ? []
          : [
              `${PEERS.map((peer) => TITLES[peer]).join(', ')} are measured after granule, in rounds of their own: their ratios ` +
                "are formed with granule's median. Those of piscina and the bare loop are formed within each round.",
            ]),
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
