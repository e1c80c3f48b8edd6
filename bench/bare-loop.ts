/** The bare loop: threads that write and rename the same files and do nothing else. What no pool can beat. */
import { Worker } from 'node:worker_threads';
import { builtModuleUrl } from '../core/own-files.ts';
import { boardTimeMs } from '../runtime/board/board-clock.ts';
import { joinTimelines, steadyRate, type Timeline } from './steady-rate.ts';

/** Files to write. */
export interface FileWork {
  readonly folder: string;
  readonly fileCount: number;
  readonly sizeBytes: number;
  readonly threadCount: number;
}

/** Given to a thread. */
export interface BareLoopData {
  readonly folder: string;
  readonly thread: number;
  readonly firstIndex: number;
  readonly count: number;
  readonly sizeBytes: number;
  /** one Int32: 0 closed, 1 open */
  readonly gate: SharedArrayBuffer;
}

/** Files per second. */
export async function measureBareLoop(work: FileWork): Promise<number> {
  const gate = new SharedArrayBuffer(4);
  const perThread = Math.ceil(work.fileCount / work.threadCount);
  const threads = Array.from({ length: work.threadCount }, (_, thread) => {
    const firstIndex = thread * perThread;
    const count = Math.max(0, Math.min(perThread, work.fileCount - firstIndex));
    const workerData: BareLoopData = { ...work, thread, firstIndex, count, gate };
    return new Worker(builtModuleUrl('bench/bare-loop.thread.ts'), { workerData });
  });
  await Promise.all(threads.map((thread) => messageOf(thread)));
  const timelines = threads.map((thread) => messageOf(thread) as Promise<Timeline>);
  const startMs = boardTimeMs();
  Atomics.store(new Int32Array(gate), 0, 1);
  Atomics.notify(new Int32Array(gate), 0);
  const joined = joinTimelines(await Promise.all(timelines));
  await Promise.all(threads.map((thread) => thread.terminate()));
  return steadyRate(joined, startMs);
}

function messageOf(thread: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    thread.once('message', resolve);
    thread.once('error', reject);
  });
}
