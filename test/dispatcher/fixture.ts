/** A dispatcher on a folder of its own, with a clock that moves by hand. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import type { LeasedRange, OutputRecord, RangeUpdate, TaskFile } from '../../core/dispatcher-api.ts';
import { parseGuid } from '../../core/ids.ts';
import { silentLogger } from '../../core/log.ts';
import { Dispatcher } from '../../dispatcher/dispatcher.ts';
import type { DispatcherOptions } from '../../dispatcher/dispatcher-options.ts';
import { openTableReader, type TableReader } from '../../dispatcher/table-reader.ts';
import type { TaskOptions } from '../../dispatcher/task-desk.ts';

export const LEASE_MS = 60_000;

/** A memory file system where there is one: these tests are about states, not about disks. */
export function makeFolder(): string {
  return mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'granule-test-'));
}

export function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

export class ManualClock implements Clock {
  now = 1_000_000;
  nowMs(): number {
    return this.now;
  }
  monotonicMs(): number {
    return this.now;
  }
  advance(ms: number): void {
    this.now += ms;
  }
}

export function openDispatcher(path: string, options: Partial<DispatcherOptions> = {}): Promise<Dispatcher> {
  return Dispatcher.open({
    path,
    clock: new ManualClock(),
    logger: silentLogger,
    leaseMs: LEASE_MS,
    force: false,
    onFatal: () => undefined,
    ...options,
  });
}

export function makeFile(fileIndex: number, eventCount: number, selection?: TaskFile['selection']): TaskFile {
  return {
    fileIndex,
    guid: parseGuid(`00000000-0000-8000-8000-${String(fileIndex).padStart(12, '0')}`),
    lfn: `events-${fileIndex}.hepmc`,
    format: 'hepmc3',
    eventCount,
    ...(selection === undefined ? {} : { selection }),
  };
}

export const TASK: TaskOptions = { name: 'test', record: { seed: 1 }, payload: 'v1', eventsPerRange: 1 };

/** A sealed task with these files; returns its ID. */
export async function submit(
  dispatcher: Dispatcher,
  eventCounts: readonly number[],
  options: Partial<TaskOptions> = {},
): Promise<number> {
  const taskID = await dispatcher.submitTask({ ...TASK, ...options });
  await dispatcher.addFiles(
    taskID,
    eventCounts.map((eventCount, fileIndex) => makeFile(fileIndex, eventCount)),
  );
  await dispatcher.sealTask(taskID);
  return taskID;
}

export function output(range: { readonly rangeIndex: number; readonly attemptNr: number }): OutputRecord {
  return {
    stream: 'OUT',
    file: `0/OUT.${range.rangeIndex}-${range.attemptNr}`,
    offsetBytes: 0,
    lengthBytes: 100 + range.rangeIndex,
    crc32: range.rangeIndex,
    recordCount: 1,
  };
}

export function finished(range: {
  readonly rangeIndex: number;
  readonly attemptNr: number;
}): Extract<RangeUpdate, { kind: 'finished' }> {
  const { rangeIndex, attemptNr } = range;
  return { kind: 'finished', rangeIndex, attemptNr, outputs: [output(range)], wallMs: 12, cpuMs: 10 };
}

export function failed(range: { readonly rangeIndex: number; readonly attemptNr: number }): RangeUpdate {
  const { rangeIndex, attemptNr } = range;
  const failure = { cause: 'payload-error', message: `event ${rangeIndex} failed`, logTail: ['a line'] } as const;
  return { kind: 'failed', rangeIndex, attemptNr, failure };
}

/** A consumer on another host, so that only its lease tells whether it lives. */
export class TestConsumer {
  readonly consumerID: string;
  #dispatcher: Dispatcher;
  readonly #host: string;
  jobID = 0;

  constructor(dispatcher: Dispatcher, consumerID: string, host = 'elsewhere') {
    this.#dispatcher = dispatcher;
    this.consumerID = consumerID;
    this.#host = host;
  }

  /** After a restart: it talks to the new one as if nothing had happened. */
  at(dispatcher: Dispatcher): this {
    this.#dispatcher = dispatcher;
    return this;
  }

  async start(taskID?: number): Promise<this> {
    const consumer = { consumerID: this.consumerID, host: this.#host, pid: process.pid };
    const job = await this.#dispatcher.getJob({ consumer, ...(taskID === undefined ? {} : { taskID }) });
    this.jobID = job?.jobID ?? 0;
    return this;
  }

  take(rangeCount: number): Promise<readonly LeasedRange[]> {
    return this.#dispatcher.getEventRanges({ consumerID: this.consumerID, jobID: this.jobID, rangeCount });
  }

  report(...updates: RangeUpdate[]) {
    return this.#dispatcher.updateEventRanges({ consumerID: this.consumerID, jobID: this.jobID, updates });
  }

  giveBack(...ranges: LeasedRange[]): Promise<void> {
    return this.#dispatcher.release({ consumerID: this.consumerID, jobID: this.jobID, ranges });
  }

  leave(): Promise<void> {
    return this.#dispatcher.leave({ consumerID: this.consumerID });
  }

  heartbeat() {
    return this.#dispatcher.heartbeat({ consumerID: this.consumerID });
  }
}

/** Merges all there is, as a merger does; returns ranges in the order in which they were merged. */
export async function mergeAll(dispatcher: Dispatcher, taskID: number, rangeCountMax = 1000): Promise<number[]> {
  const merged: number[] = [];
  for (;;) {
    const job = dispatcher.nextMergeJob({ taskID, rangeCountMin: 1, rangeCountMax, busyOutputs: [] });
    if (job === undefined) return merged;
    const finishedItems = job.items.filter((item) => item.kind === 'finished');
    const missing = job.items.filter((item) => item.kind === 'missing');
    merged.push(...finishedItems.map((item) => item.rangeIndex));
    const made = new Set(finishedItems.map((item) => item.rangeIndex));
    const gaps = missing.map((item) => ({ rangeIndex: item.rangeIndex, stream: 'OUT', offsetBytes: 0 }));
    await dispatcher.commitMerge({
      taskID,
      outputIndex: job.outputIndex,
      throughRange: job.last ? job.firstRange + job.rangeCount - 1 : (job.items.at(-1)?.rangeIndex ?? -1),
      progress: [{ stream: 'OUT', offsetBytes: 0, recordCount: merged.length, state: new Uint8Array([1]) }],
      gaps: job.amend === undefined ? gaps : job.amend.gaps.filter((gap) => !made.has(gap.rangeIndex)),
      ...(job.last
        ? {
            completed: [
              { stream: 'OUT', path: `${job.outputIndex}`, sizeBytes: 1, sha256: 'x', recordCount: merged.length },
            ],
          }
        : {}),
    });
  }
}

/** Looks into a store as another process would. */
export async function readTable<T>(path: string, read: (reader: TableReader) => T): Promise<T> {
  const reader = openTableReader(path);
  try {
    return read(reader);
  } finally {
    await reader.close();
  }
}
