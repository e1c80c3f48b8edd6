/**
 * Where CPU time goes in a run, by thread and stage: V8's sampling profiles of every thread (`--cpu-prof`), each sample
 * charged to the nearest frame of our own source. What a stage calls (system calls, ZeroMQ, msgpack, LMDB) is its own.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The part of V8's .cpuprofile that is read here (Chrome DevTools protocol, Profiler.Profile). */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  /** in µs, one a sample */
  readonly timeDeltas: readonly number[];
}

export interface StageTime {
  readonly thread: string;
  readonly stage: string;
  readonly cpuMs: number;
}

/** A thread is known by the first of these files that ran in it. */
const THREADS: readonly (readonly [file: string, thread: string])[] = [
  ['runtime/worker-session.thread', 'workers'],
  ['runtime/token-extractor.thread', 'token extractor'],
  ['runtime/merge/merger.thread', 'merge'],
  ['runtime/merge/merge-follower.thread', 'merge'],
  ['runtime/indexing/indexing.thread', 'indexing'],
  ['runtime/payload-loading/payload-call.thread', 'payload loading'],
  ['runtime/node', 'main'],
];

/** The first that fits names the stage of a source file. */
const STAGES: readonly (readonly [pattern: RegExp, stage: string])[] = [
  [/^dispatcher\/|^core\/store/, 'event table'],
  [/^runtime\/channel/, 'channel (ZeroMQ, msgpack)'],
  [/^runtime\/token-scatterer|^runtime\/execution-board/, 'token scatterer'],
  [/^runtime\/(stager|run-meter|supervisor|pilot|flow|run-events)/, 'pilot and stager'],
  [/^runtime\/(output-sequencer|event-file|stage-out|event-info)|^payloads\/formats\/.*output/, 'output files'],
  [/^runtime\/(worker-session|event-execution|incidents|worker-log)/, 'session'],
  [/^runtime\/event-reader/, 'reading events'],
  [/^runtime\/(token-extract|indexing)/, 'look-up of places'],
  [/^runtime\/merge/, 'merging'],
  [/^payloads\/|^bench\/payloads/, 'payload'],
];

/** @param folder of the profiles of one run; most time first */
export function readStageTimes(folder: string): StageTime[] {
  const sums = new Map<string, StageTime>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'))) {
    const profile = JSON.parse(readFileSync(join(folder, file), 'utf8')) as CpuProfile;
    const thread = threadOf(profile);
    for (const [stage, cpuMs] of stagesOf(profile)) {
      const key = `${thread}\n${stage}`;
      sums.set(key, { thread, stage, cpuMs: (sums.get(key)?.cpuMs ?? 0) + cpuMs });
    }
  }
  return [...sums.values()].sort((left, right) => right.cpuMs - left.cpuMs);
}

/** `runtime/flow` for `file:///…/dist/runtime/flow.js`; undefined for what is not ours. */
function ownFile(url: string): string | undefined {
  if (url.includes('/node_modules/')) return undefined;
  return /^.*\/((?:core|payloads|dispatcher|runtime|bench)\/[^?#]*)\.[jt]s$/.exec(url)?.[1];
}

function threadOf(profile: CpuProfile): string {
  const files = new Set(profile.nodes.map(({ callFrame }) => ownFile(callFrame.url)));
  return THREADS.find(([file]) => files.has(file))?.[1] ?? 'others';
}

function stagesOf(profile: CpuProfile): ReadonlyMap<string, number> {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map<number, number>();
  for (const { id, children } of profile.nodes) for (const child of children ?? []) parents.set(child, id);
  const stageOfNode = new Map<number, string>();
  const stageOf = (id: number): string => {
    const known = stageOfNode.get(id);
    if (known !== undefined) return known;
    const frame = nodes.get(id)?.callFrame;
    const file = ownFile(frame?.url ?? '');
    const parent = parents.get(id);
    const stage =
      frame?.functionName === '(idle)'
        ? 'idle'
        : frame?.functionName === '(garbage collector)'
          ? 'garbage collection'
          : file !== undefined
            ? (STAGES.find(([pattern]) => pattern.test(file))?.[1] ?? 'other')
            : parent === undefined
              ? 'Node itself'
              : stageOf(parent);
    stageOfNode.set(id, stage);
    return stage;
  };
  const sums = new Map<string, number>();
  profile.samples.forEach((id, index) => {
    const stage = stageOf(id);
    if (stage !== 'idle') sums.set(stage, (sums.get(stage) ?? 0) + (profile.timeDeltas[index] ?? 0) / 1000);
  });
  return sums;
}
