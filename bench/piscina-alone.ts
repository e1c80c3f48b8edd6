/** Piscina without granule: one task per file, with as many tasks under way as it is quickest with. */
import { Piscina } from 'piscina';
import { builtModuleUrl } from '../core/own-files.ts';
import { boardTimeMs } from '../runtime/board/board-clock.ts';
import type { FileWork } from './bare-loop.ts';
import type { FileTask } from './piscina-alone.thread.ts';
import { steadyRate } from './steady-rate.ts';

/** Tasks in a thread at once, and tasks waiting: with fewer, threads wait for the next message. */
const CONCURRENT_TASKS = 8;
const TASKS_UNDER_WAY = 256;

/** Files per second. */
export async function measurePiscina(work: FileWork): Promise<number> {
  const pool = new Piscina({
    filename: builtModuleUrl('bench/piscina-alone.thread.ts').href,
    minThreads: work.threadCount,
    maxThreads: work.threadCount,
    concurrentTasksPerWorker: CONCURRENT_TASKS,
    recordTiming: false,
  });
  try {
    const startMs = boardTimeMs();
    const timeline: (readonly [number, number])[] = [];
    let next = 0;
    let done = 0;
    const feed = async (): Promise<void> => {
      while (next < work.fileCount) {
        const task: FileTask = { folder: work.folder, index: next, sizeBytes: work.sizeBytes };
        next += 1;
        await pool.run(task);
        done += 1;
        if (done % 64 === 0 || done === work.fileCount) timeline.push([boardTimeMs(), done]);
      }
    };
    await Promise.all(Array.from({ length: TASKS_UNDER_WAY }, feed));
    return steadyRate(timeline, startMs);
  } finally {
    await pool.destroy();
  }
}
