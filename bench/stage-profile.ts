/**
 * Where CPU time goes in a run, by thread and stage: V8's sampling profiles of every thread (`--cpu-prof`), each sample
 * charged to the nearest frame of our own source. What a stage calls (system calls, ZeroMQ, msgpack, LMDB) is its own.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The part of V8's .cpuprofile that is read here (Chrome DevTools protocol, Profiler.Profile). */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: CallFrame;
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  /** in µs, one a sample */
  readonly timeDeltas: readonly number[];
}

/** Line and column from 0. */
interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
}

export interface StageTime {
  readonly thread: string;
  readonly stage: string;
  readonly cpuMs: number;
}

/** A thread is known by the first of these that ran in it; what an entry does is so short that samples may miss it. */
const THREADS: readonly (readonly [pattern: RegExp, thread: string])[] = [
  [/^runtime\/(node|flow)$/, 'main'],
  [/^runtime\/worker\/(worker-session|batch-execution)/, 'workers'],
  [/^runtime\/extraction\/token-extract/, 'token extractor'],
  [/^runtime\/merge\/(merger|merge-follower|stretch-runner)/, 'merge'],
  [/^runtime\/indexing\/indexing\.thread$/, 'indexing'],
  [/^runtime\/payload-loading\/payload-call\.thread$/, 'payload loading'],
];

/** The first that fits names the stage of a source file. */
const STAGES: readonly (readonly [pattern: RegExp, stage: string])[] = [
  [/^dispatcher\/|^core\/store/, 'event table'],
  [/^runtime\/channel\//, 'channel (ZeroMQ, msgpack)'],
  [/^runtime\/(scattering|board)\//, 'token scatterer'],
  [/^runtime\/(pilot|stager|flow|pool\/|run\/)/, 'pilot and stager'],
  [/^runtime\/worker\/(output-|event-file|stage-out|event-info)|^payloads\/formats\/.*output/, 'output files'],
  [/^runtime\/worker\/event-reader/, 'reading events'],
  [/^runtime\/worker\//, 'session'],
  [/^runtime\/(extraction|indexing)\//, 'look-up of places'],
  [/^runtime\/merge/, 'merging'],
  [/^payloads\/|^bench\/payloads/, 'payload'],
];

/** @param folder of the profiles of one run; most time first */
export function readStageTimes(folder: string): StageTime[] {
  const sums = new Map<string, StageTime>();
  const sources = new Sources();
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'))) {
    const profile = JSON.parse(readFileSync(join(folder, file), 'utf8')) as CpuProfile;
    const thread = threadOf(profile, sources);
    for (const [stage, cpuMs] of stagesOf(profile, sources)) {
      const key = `${thread}\n${stage}`;
      sums.set(key, { thread, stage, cpuMs: (sums.get(key)?.cpuMs ?? 0) + cpuMs });
    }
  }
  return [...sums.values()].sort((left, right) => right.cpuMs - left.cpuMs);
}

/** Built files hold many modules: their source maps tell which one a function came from. */
class Sources {
  readonly #maps = new Map<string, SourceMap | undefined>();

  /** `runtime/flow` for a function of `runtime/flow.ts`; undefined for what is not ours. */
  moduleOf({ url, lineNumber, columnNumber }: CallFrame): string | undefined {
    if (!url.startsWith('file:')) return undefined;
    const entry = this.#mapOf(url)?.findEntry(lineNumber, columnNumber);
    const source = entry !== undefined && 'originalSource' in entry ? entry.originalSource : url;
    if (source.includes('/node_modules/')) return undefined;
    return /^.*\/((?:core|payloads|dispatcher|runtime|bench)\/[^?#]*)\.[jt]s$/.exec(source)?.[1];
  }

  #mapOf(url: string): SourceMap | undefined {
    if (!this.#maps.has(url)) {
      const path = `${fileURLToPath(url)}.map`;
      this.#maps.set(url, existsSync(path) ? new SourceMap(JSON.parse(readFileSync(path, 'utf8'))) : undefined);
    }
    return this.#maps.get(url);
  }
}

function threadOf(profile: CpuProfile, sources: Sources): string {
  const files = [...new Set(profile.nodes.flatMap(({ callFrame }) => sources.moduleOf(callFrame) ?? []))];
  return THREADS.find(([pattern]) => files.some((file) => pattern.test(file)))?.[1] ?? 'others';
}

function stagesOf(profile: CpuProfile, sources: Sources): ReadonlyMap<string, number> {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map<number, number>();
  for (const { id, children } of profile.nodes) for (const child of children ?? []) parents.set(child, id);
  const stageOfNode = new Map<number, string>();
  const stageOf = (id: number): string => {
    const known = stageOfNode.get(id);
    if (known !== undefined) return known;
    const frame = nodes.get(id)?.callFrame;
    const file = frame === undefined ? undefined : sources.moduleOf(frame);
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
