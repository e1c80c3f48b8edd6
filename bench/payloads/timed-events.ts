/**
 * Payload of `granule bench cores-idle`: each event says how much work it is (`units` of CPU work, or `ms` to wait), and
 * leaves a record of when it ran, where, and what CPU time it took.
 *
 * Workers wait for each other in `initialize`: the clock of the benchmark starts when the last of them is ready.
 */
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { spinUnit } from '../../payloads/builtin/spin.ts';
import { definePayload } from '../../payloads/payload.ts';
import { boardTimeMs } from '../../runtime/board/board-clock.ts';
import { ThreadCpuClock } from '../../runtime/worker/thread-cpu-clock.ts';

/** The body of an event. `pad` gives it the size that stands for its expected length. */
export interface TimedEvent {
  /** 0-based; no two files have the same content */
  readonly event: number;
  readonly units: number;
  readonly ms: number;
  readonly pad: string;
}

/** One line of stream `LANES`, in event order; times in ms since the epoch on one axis for all workers. */
export type LaneRecord = readonly [worker: number, start: number, end: number, cpuMs: number, readyMs: number];

const READY_TIMEOUT_MS = 120_000;

const ARRIVED = 0;
const OPEN = 1;
/** two counters, then the moment at which the last worker arrived */
const BARRIER_BYTES = 16;

const schema = z.strictObject({ workers: z.number().int().positive() });

let cpuClock: ThreadCpuClock | undefined;

function waitForAll(barrier: SharedArrayBuffer, workerCount: number): void {
  const words = new Int32Array(barrier, 0, 2);
  if (Atomics.add(words, ARRIVED, 1) + 1 === workerCount) {
    new Float64Array(barrier, 8, 1)[0] = boardTimeMs();
    Atomics.store(words, OPEN, 1);
    Atomics.notify(words, OPEN);
    return;
  }
  if (Atomics.wait(words, OPEN, 0, READY_TIMEOUT_MS) === 'timed-out') {
    throw new Error(`not all of ${workerCount} workers became ready within ${READY_TIMEOUT_MS} ms`);
  }
}

export default definePayload<z.output<typeof schema>, SharedArrayBuffer, TimedEvent>({
  name: 'timed-events',
  version: '1',
  outputs: { LANES: { format: 'ndjson' } },
  options: schema,
  prepare: () => new SharedArrayBuffer(BARRIER_BYTES),
  initialize(context) {
    cpuClock = new ThreadCpuClock();
    waitForAll(context.shared, context.options.workers);
  },
  execute(event, context) {
    const clock = cpuClock as ThreadCpuClock;
    const start = boardTimeMs();
    const cpuBefore = clock.nowMs();
    const { units, ms } = event.decode();
    const finish = (): void => {
      const cpuMs = clock.nowMs() - cpuBefore;
      const readyMs = new Float64Array(context.shared, 8, 1)[0] ?? Number.NaN;
      const record: LaneRecord = [context.workerIndex, start, boardTimeMs(), cpuMs, readyMs];
      context.output('LANES').write(record);
    };
    if (ms > 0) return delay(ms).then(finish);
    for (let done = 0; done < units; done += 1) spinUnit(event.position);
    finish();
    return undefined;
  },
  finalize: () => cpuClock?.close(),
});
