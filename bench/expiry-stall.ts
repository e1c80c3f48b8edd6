/** How long others wait for an answer while the lease of a consumer ends that holds a million ranges. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { assert } from '../core/assert.ts';
import type { Dispatcher } from '../dispatcher/dispatcher.ts';
import { finish, openTable, registerTask } from './event-table-work.ts';

const LEASE_MS = 1500;
/** Ranges the silent consumer asks for at once: as many as it may. */
const GREEDY_BATCH_RANGES = 10_000;
/** Ranges the other one takes and reports at once. */
const BATCH_RANGES = 100;

export interface ExpiryStall {
  /** longest wait for one answer, hand-out or report, while ranges were taken back; its flush to disk included */
  readonly stallMs: number;
  /** the same in the time before, with nothing but these requests */
  readonly undisturbedMs: number;
}

/**
 * @param path folder for a store, made here
 * @param options.heldRanges what the consumer holds whose lease ends
 */
export async function measureExpiryStall(
  path: string,
  options: { readonly heldRanges: number; readonly signal: AbortSignal },
): Promise<ExpiryStall> {
  const { heldRanges, signal } = options;
  const dispatcher = await openTable(path, { leaseMs: LEASE_MS });
  try {
    // The other one gets what was taken back; before that it needs ranges of its own.
    const rangeCount = 2 * heldRanges;
    const taskID = await registerTask(dispatcher, rangeCount, { unmergedFilesMax: 2 * rangeCount });
    await holdMany(dispatcher, taskID, heldRanges);
    const worker = await Worker.start(dispatcher, taskID);
    const lost = (): number => dispatcher.getTask(taskID).totals.lost;
    let undisturbedMs = 0;
    let stallMs = 0;
    while (lost() < heldRanges) {
      signal.throwIfAborted();
      const waitedMs = await worker.work();
      if (lost() === 0) undisturbedMs = Math.max(undisturbedMs, waitedMs);
      else stallMs = Math.max(stallMs, waitedMs);
    }
    return { stallMs, undisturbedMs };
  } finally {
    await dispatcher.close();
  }
}

async function holdMany(dispatcher: Dispatcher, taskID: number, count: number): Promise<void> {
  const consumerID = 'greedy';
  const job = await dispatcher.getJob({ consumer: { consumerID, host: 'elsewhere', pid: 1 }, taskID });
  assert(job !== undefined, 'there is work');
  for (let held = 0; held < count; ) {
    const rangeCount = Math.min(GREEDY_BATCH_RANGES, count - held);
    const ranges = await dispatcher.getEventRanges({ consumerID, jobID: job.jobID, rangeCount });
    assert(ranges.length > 0, 'its lease lasts until it holds all of them');
    held += ranges.length;
  }
}

/** Takes and reports in lock step, so that every wait is one answer. */
class Worker {
  readonly #dispatcher: Dispatcher;
  readonly #taskID: number;
  readonly #jobID: number;

  private constructor(dispatcher: Dispatcher, taskID: number, jobID: number) {
    this.#dispatcher = dispatcher;
    this.#taskID = taskID;
    this.#jobID = jobID;
  }

  static async start(dispatcher: Dispatcher, taskID: number): Promise<Worker> {
    const job = await dispatcher.getJob({ consumer: { consumerID: 'steady', host: 'elsewhere', pid: 2 }, taskID });
    assert(job !== undefined, 'there is work');
    return new Worker(dispatcher, taskID, job.jobID);
  }

  /** Some ranges taken and finished; returns the longer of the two waits, in ms. */
  async work(): Promise<number> {
    const who = { consumerID: 'steady', jobID: this.#jobID };
    const askedMs = performance.now();
    const ranges = await this.#dispatcher.getEventRanges({ ...who, rangeCount: BATCH_RANGES });
    if (ranges.length === 0) {
      // Answered at once, so the lease of the other one could never end without a turn of the event loop.
      await nextTurn();
      assert(this.#dispatcher.describeJob(this.#jobID)?.stopped === false, 'the working consumer keeps its lease');
      return 0;
    }
    const updates = ranges.map((range) => finish(this.#taskID, this.#jobID, range));
    const reportedMs = performance.now();
    await this.#dispatcher.updateEventRanges({ ...who, updates });
    return Math.max(reportedMs - askedMs, performance.now() - reportedMs);
  }
}
