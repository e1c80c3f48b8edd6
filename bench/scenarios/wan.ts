/**
 * The same events from a local file and from a server far away: what a round trip costs when bytes are fetched ahead of
 * the workers, and what it would cost if each worker fetched its own event and waited for it.
 *
 * Events wait on a timer, so that the cores are free and only the hiding of the network is measured.
 */

import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import { moduleUrl } from '../../core/own-files.ts';
import { indexFile } from '../../runtime/indexing/index-file.ts';
import type { ByteRange } from '../../runtime/remote/byte-source.ts';
import { EventDataReader } from '../../runtime/remote/event-data-reader.ts';
import { HttpClient } from '../../runtime/remote/http-client.ts';
import { HttpSource } from '../../runtime/remote/http-source.ts';
import { REMOTE_DEFAULTS } from '../../runtime/remote/remote-options.ts';
import { FarServer, type SentCounts } from '../far-server.ts';
import { runFlow } from '../flow-run.ts';
import { defineScenario, type ResultTable } from '../scenario.ts';
import { describeSummary, interleave, type Measure, median, ratios } from '../statistics.ts';
import { writeTimedFiles } from '../timed-work.ts';

const PAYLOAD = fileURLToPath(moduleUrl('bench/payloads/timed-events.ts'));
/** Bytes of an event per ms of its hint: see `timed-work.ts`. */
const BYTES_PER_HINT_MS = 64;
/** Events of the loops without prefetch: a few seconds' worth. */
const BARE_EVENTS = 60;
/** Part of the file's events in the run that takes neighbouring ones only. */
const CLUSTER_SHARE = 0.01;

interface Work {
  readonly folder: string;
  readonly path: string;
  readonly workerCount: number;
  readonly eventCount: number;
  readonly eventMs: number;
  readonly eventBytes: number;
}

interface Measured {
  /** from the moment all workers are ready to the last event durably finished */
  readonly makespanMs: number;
  readonly sent: SentCounts;
}

export const scenario = defineScenario({
  summary: 'what distance costs: the same events from a local file and from far servers, with and without prefetch',
  options: {
    near: { help: 'shorter round trip in ms', default: 100 },
    far: { help: 'longer round trip in ms', default: 300 },
    workers: { help: 'workers', default: 2 },
    events: { help: 'events', default: 1500, quick: 400 },
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
      const runs = await interleave(['local', 'near', 'far'] as const, repeats, (variant, round) => {
        context.progress(`${variant}, round ${round + 1} of ${repeats}`);
        return measure(work, inputs[variant], servers[variant], signal);
      });
      context.progress('one by one, without prefetch');
      const bare = await measureBare(work, near.url(name), signal);
      context.progress('neighbouring events only, CPU per MB, equal outputs');
      const clustered = await measureClustered(work, near, signal);
      const cpuMsPerMB = await measureCpu(work, far.url(name), signal);
      const identical = await outputsAreIdentical(work, inputs, signal);

      const throughput = (variant: 'near' | 'far'): number[] =>
        ratios(
          runs.local.map(({ makespanMs }) => makespanMs),
          runs[variant].map(({ makespanMs }) => makespanMs),
        );
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
        pictures: [],
        notes: [
          'The clock starts when the last worker has initialized its payload and stops when the last event is durably finished.',
          'Every answer of the servers begins a round trip late, the first on a connection two round trips.',
          'Without prefetch: as many loops as workers, each asking for an event, waiting for it, and then working on it.',
          `Bytes are those of answers to range requests; each run reads the file once more to index it (${work.eventCount} events).`,
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
    path,
    workerCount: options.workers,
    eventCount: options.events,
    eventMs: options.event,
    eventBytes: readFileSync(path).length / options.events,
  };
}

async function measure(
  work: Work,
  input: string,
  server: FarServer | undefined,
  signal: AbortSignal,
  events?: string,
): Promise<Measured> {
  const out = join(work.folder, 'out');
  try {
    await server?.counts();
    const { readyMs, finishedMs } = await runFlow(
      {
        options: {
          input: [input],
          payload: PAYLOAD,
          options: { workers: work.workerCount },
          out,
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

/** Milliseconds that loops take in which every event is asked for when its turn has come. */
async function measureBare(work: Work, url: string, signal: AbortSignal): Promise<number> {
  const client = new HttpClient(REMOTE_DEFAULTS, systemClock);
  const source = new HttpSource(client, new URL(url));
  const ranges = (await rangesOf(work)).slice(0, BARE_EVENTS);
  await source.open(signal);
  const start = performance.now();
  let next = 0;
  const loop = async (): Promise<void> => {
    for (let range = ranges[next++]; range !== undefined; range = ranges[next++]) {
      await source.read(range, signal);
      await delay(work.eventMs, undefined, { signal });
    }
  };
  await Promise.all(Array.from({ length: work.workerCount }, loop));
  const wallMs = performance.now() - start;
  await source.close();
  await client.close();
  return (wallMs * BARE_EVENTS) / ranges.length;
}

/** CPU time of reading all events as the token extractor does, with nothing else in the process. */
async function measureCpu(work: Work, url: string, signal: AbortSignal): Promise<number> {
  const { file } = await indexFile(work.path);
  const requests = (await rangesOf(work)).map((range) => ({ ...range, fileIndex: 0 }));
  const options = { remote: REMOTE_DEFAULTS, cache: undefined, prefetchBytesMax: 64 * 1024 * 1024 };
  const reader = await EventDataReader.open(options, silentLogger);
  try {
    reader.addFile({ fileIndex: 0, record: file.record, places: [url] });
    reader.plan(requests);
    const before = process.cpuUsage();
    for (let at = 0; at < requests.length; at += 10) await reader.read(requests.slice(at, at + 10), signal);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000 / ((work.eventCount * work.eventBytes) / 1e6);
  } finally {
    await reader.close();
  }
}

/** Every line is an event. */
async function rangesOf(work: Work): Promise<ByteRange[]> {
  const bytes = readFileSync(work.path);
  const ranges: ByteRange[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(10, at) + 1;
    ranges.push({ offsetBytes: at, lengthBytes: end - at });
    at = end;
  }
  return ranges;
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

function tableOf(
  work: Work,
  runs: Readonly<Record<'local' | 'near' | 'far', readonly Measured[]>>,
  { near, far, bare }: { readonly near: number; readonly far: number; readonly bare: number },
): ResultTable {
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
