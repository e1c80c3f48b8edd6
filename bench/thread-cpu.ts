/** CPU time of every thread of this process, by name. Linux only: `/proc/self/task/<tid>/{comm,schedstat}`. */
import { readdirSync } from 'node:fs';
import type { ThreadCpu } from './flow-run.ts';
import { tryRead } from './machine.ts';

/** By thread ID; empty where the kernel does not tell. */
export type ThreadCpuSample = ReadonlyMap<number, { readonly name: string; readonly cpuMs: number }>;

export function sampleThreadCpu(): ThreadCpuSample {
  const sample = new Map<number, { name: string; cpuMs: number }>();
  for (const tid of taskIDs()) {
    const [cpuNs] = tryRead(`/proc/self/task/${tid}/schedstat`)?.split(' ') ?? [];
    const comm = tryRead(`/proc/self/task/${tid}/comm`)?.trim();
    if (cpuNs === undefined || comm === undefined) continue; // it ended meanwhile
    sample.set(tid, { name: tid === process.pid ? 'main' : comm, cpuMs: Number(cpuNs) / 1e6 });
  }
  return sample;
}

function taskIDs(): readonly number[] {
  try {
    return readdirSync('/proc/self/task').map(Number);
  } catch {
    return []; // not Linux
  }
}

/** Per name and event, most first. A thread that ended in between is not counted. */
export function threadCpuBetween(
  before: ThreadCpuSample,
  after: ThreadCpuSample,
  eventCount: number,
): readonly ThreadCpu[] {
  const byName = new Map<string, number>();
  if (before.size === 0 || eventCount === 0) return [];
  for (const [tid, { name, cpuMs }] of after) {
    byName.set(name, (byName.get(name) ?? 0) + cpuMs - (before.get(tid)?.cpuMs ?? 0));
  }
  return [...byName]
    .map(([name, cpuMs]) => ({ name, cpuMicrosPerEvent: (1000 * cpuMs) / eventCount }))
    .sort((left, right) => right.cpuMicrosPerEvent - left.cpuMicrosPerEvent);
}
