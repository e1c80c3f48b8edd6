/**
 * The same events from a local file and from a server far away: what a round trip costs when bytes are fetched ahead of
 * the workers, and what it would cost if each worker fetched its own event and waited for it.
 *
 * Events wait on a timer, so that the cores are free and only the hiding of the network is measured.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { moduleUrl } from '../../core/own-files.ts';
import { FarServer, type SentCounts } from '../far-server.ts';
import { runFlow } from '../flow-run.ts';
import { barChart } from '../pictures/bar-chart.ts';
import { BARE_EVENTS, type RemoteWork, readAhead, readOneByOne } from '../remote-reading.ts';
import { defineScenario, type Picture, type ResultTable } from '../scenario.ts';
import { describeSummary, type Measure, median, ratios } from '../statistics.ts';
import { writeTimedFiles } from '../timed-work.ts';

const PAYLOAD = fileURLToPath(moduleUrl('bench/payloads/timed-events.ts'));
/** Bytes of an event per ms of its hint: see `timed-work.ts`. */
const BYTES_PER_HINT_MS = 64;
/** Part of the file's events in the run that takes neighbouring ones only. */
const CLUSTER_SHARE = 0.01;

const VARIANTS = ['local', 'near', 'far'] as const;
type Variant = (typeof VARIANTS)[number];

interface Work extends RemoteWork {
  readonly folder: string;
  /** of the run that is measured */
  readonly out: string;
  readonly index: string;
}

interface Measured {
  /** from the moment all workers are ready to the last event durably finished */
  readonly makespanMs: number;
  readonly sent: SentCounts;
}

type Runs = Readonly<Record<Variant, readonly Measured[]>>;

/** Round trips in ms, and what the first `BARE_EVENTS` took one by one without prefetch, in ms. */
interface Distances {
  readonly near: number;
  readonly far: number;
  readonly bare: number;
}

export const scenario = defineScenario({
  summary: 'what distance costs: the same events from a local file and from far servers, with and without prefetch',
  options: {
    near: { help: 'shorter round trip in ms', default: 100 },
    far: { help: 'longer round trip in ms', default: 300 },
    workers: { help: 'workers', default: 2 },
    events: { help: 'events', default: 1500, quick: 250 },
    event: { help: 'length of an event in ms', default: 20 },
    bytes: { help: 'size of an event', default: 50_000 },
  },
  async run(context) {
    const { options, repeats, signal } = context;
    const folder = join(context.folders.memory ?? context.folders.disk, 'wan');
    mkdirSync(folder);
    try {
      const work = writeWork(folder, options);
      await using near = await FarServer.start(folder, options.near);
      await using far = await FarServer.start(folder, options.far);
      const name = basename(work.path);
      const inputs = { local: work.path, near: near.url(name), far: far.url(name) };
      const servers = { local: undefined, near, far };
      const runs: Record<Variant, Measured[]> = { local: [], near: [], far: [] };
      for (let round = 1; round <= repeats; round += 1) {
        context.progress(`local, near and far side by side, round ${round} of ${repeats}`);
        const measured = await Promise.all(
          VARIANTS.map((variant) => measure(placesOf(work, variant), inputs[variant], servers[variant], signal)),
        );
        for (const [index, variant] of VARIANTS.entries()) runs[variant].push(measured[index] as Measured);
      }
      context.progress('one by one, without prefetch');
      const bare = await readOneByOne(work, near.url(name), signal);
      context.progress('neighbouring events only, CPU per MB, equal outputs');
      const clustered = await measureClustered(placesOf(work, 'near'), near, signal);
      const cpuMsPerMB = await readAhead(work, far.url(name), signal);
      const identical = await outputsAreIdentical(work, inputs, signal);

      const throughput = (variant: 'near' | 'far'): number[] => throughputToLocal(runs, variant);
      const neededBytes = work.eventCount * work.eventBytes;
      const fetched = [...runs.near, ...runs.far].map(({ sent }) => sent.rangeBytes / neededBytes);
      const bareRatio = ((work.eventMs / work.workerCount) * BARE_EVENTS) / bare;
      return {
        values: {
          throughputToLocal: { near: median(throughput('near')), far: median(throughput('far')) },
          withoutPrefetchToIdeal: bareRatio,
          fetchedToNeeded: median(fetched),
          clusteredShareOfFile: clustered,
          cpuMsPerMB,
          outputsIdentical: identical,
        },
        measures: [
          { name: 'near.throughputToLocal', unit: 'ratio', better: 'higher', values: throughput('near') },
          { name: 'far.throughputToLocal', unit: 'ratio', better: 'higher', values: throughput('far') },
          { name: 'fetchedToNeeded', unit: 'ratio', better: 'lower', values: fetched },
          { name: 'cpuMsPerMB', unit: 'ms/MB', better: 'lower', values: [cpuMsPerMB] },
        ] satisfies Measure[],
        tables: [tableOf(work, runs, { near: options.near, far: options.far, bare })],
        pictures: [pictureOf(work, runs, { near: options.near, far: options.far, bare })],
        notes: [
          'The clock starts when the last worker has initialized its payload and stops when the last event is durably finished.',
          'The three runs of a round go on side by side: their events wait, so that the cores are free for all of them.',
          'Every answer of the servers begins a round trip late, the first on a connection two round trips.',
          'Without prefetch: as many loops as workers, each asking for an event, waiting for it, and then working on it.',
          `Bytes are those of answers to range requests; the first run reads the file once more to index it (${work.eventCount} events).`,
          'CPU per MB: all threads of a process that does nothing but read the file by events, at the longer round trip.',
          'Warm-up: none in a run; every run is a fresh process, started before its clock.',
        ],
      };
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
});

function writeWork(
  folder: string,
  options: { readonly workers: number; readonly events: number; readonly event: number; readonly bytes: number },
): Work {
  const lengthsMs = Array.from({ length: options.events }, () => options.event);
  const hintsMs = lengthsMs.map(() => options.bytes / BYTES_PER_HINT_MS);
  const [path = ''] = writeTimedFiles(folder, { lengthsMs, hintsMs, unitsPerMs: null, eventsPerFile: options.events });
  return {
    folder,
    out: join(folder, 'out'),
    index: join(folder, 'index'),
    path,
    workerCount: options.workers,
    eventCount: options.events,
    eventMs: options.event,
    eventBytes: readFileSync(path).length / options.events,
  };
}

/** Runs that are measured side by side share nothing but the file. */
function placesOf(work: Work, variant: Variant): Work {
  return { ...work, out: join(work.folder, variant), index: join(work.folder, `index-${variant}`) };
}

async function measure(
  work: Work,
  input: string,
  server: FarServer | undefined,
  signal: AbortSignal,
  events?: string,
): Promise<Measured> {
  const { out, index } = work;
  try {
    await server?.counts();
    const { readyMs, finishedMs } = await runFlow(
      {
        options: {
          input: [input],
          payload: PAYLOAD,
          options: { workers: work.workerCount },
          out,
          index,
          workers: work.workerCount,
          speculate: false,
          ...(events === undefined ? {} : { events }),
        },
      },
      signal,
    );
    const sent = (await server?.counts()) ?? { requestCount: 0, rangeBytes: 0, wholeBytes: 0 };
    return { makespanMs: finishedMs - readyMs, sent };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

/** What the range requests of a run over a stretch of neighbouring events fetch, as part of the file. */
async function measureClustered(work: Work, server: FarServer, signal: AbortSignal): Promise<number> {
  const count = Math.max(1, Math.round(CLUSTER_SHARE * work.eventCount));
  const first = Math.floor(work.eventCount / 2);
  const url = server.url(basename(work.path));
  const { sent } = await measure(work, url, server, signal, `${first}-${first + count - 1}`);
  return sent.rangeBytes / (work.eventCount * work.eventBytes);
}

async function outputsAreIdentical(
  work: Work,
  inputs: { readonly local: string; readonly near: string },
  signal: AbortSignal,
): Promise<boolean> {
  const digests: string[] = [];
  for (const input of [inputs.local, inputs.near]) {
    const out = join(work.folder, 'digests');
    const { summary } = await runFlow(
      { options: { input: [input], payload: 'digest', out, workers: work.workerCount } },
      signal,
    );
    digests.push(summary.outputs.map(({ sha256 }) => sha256).join());
    rmSync(out, { recursive: true });
  }
  return digests[0] === digests[1];
}

function throughputToLocal(runs: Runs, variant: 'near' | 'far'): number[] {
  return ratios(
    runs.local.map(({ makespanMs }) => makespanMs),
    runs[variant].map(({ makespanMs }) => makespanMs),
  );
}

function pictureOf(work: Work, runs: Runs, { near, far, bare }: Distances): Picture {
  const title = 'throughput as part of that with a local file (a ratio)';
  const bareMs = (bare / BARE_EVENTS) * work.eventCount;
  const bars = [
    { label: `${near} ms away`, values: throughputToLocal(runs, 'near') },
    { label: `${far} ms away`, values: throughputToLocal(runs, 'far') },
    { label: `${near} ms away, no prefetch`, values: runs.local.map(({ makespanMs }) => makespanMs / bareMs) },
  ];
  const reference = { label: 'local file', value: 1 };
  return { title, svg: barChart({ title, bars, format: (value) => value.toFixed(2), reference }) };
}

function tableOf(work: Work, runs: Runs, { near, far, bare }: Distances): ResultTable {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
  const localMs = median(runs.local.map(({ makespanMs }) => makespanMs));
  const bareMs = (bare / BARE_EVENTS) * work.eventCount;
  const row = (title: string, measured: readonly Measured[]): string[] => {
    const makespans = measured.map(({ makespanMs }) => makespanMs);
    return [
      title,
      describeSummary(makespans, seconds),
      (localMs / median(makespans)).toFixed(3),
      String(median(measured.map(({ sent }) => sent.requestCount))),
      (median(measured.map(({ sent }) => sent.rangeBytes)) / (work.eventCount * work.eventBytes)).toFixed(3),
    ];
  };
  return {
    title: `${work.eventCount} events of ${work.eventMs} ms and ${Math.round(work.eventBytes / 1000)} kB, ${work.workerCount} workers`,
    columns: [
      { title: 'input' },
      { title: 'makespan', align: 'right' },
      { title: 'throughput / local', align: 'right' },
      { title: 'requests', align: 'right' },
      { title: 'fetched / needed', align: 'right' },
    ],
    rows: [
      row('local file', runs.local),
      row(`${near} ms away`, runs.near),
      row(`${far} ms away`, runs.far),
      [
        `${near} ms away, no prefetch`,
        seconds(bareMs),
        (localMs / bareMs).toFixed(3),
        String(work.eventCount),
        '1.000',
      ],
    ],
  };
}
