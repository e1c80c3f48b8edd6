/**
 * Work for the event table without any work behind it: consumers that take and finish at once, and a merger that commits
 * what it is offered. All calls are the dispatcher's own, durable ones.
 */
import { systemClock } from '../core/clock.ts';
import type { LeasedRange, MergedFile, RangeUpdate, TaskFile } from '../core/dispatcher-api.ts';
import { formatEventRangeID, parseGuid } from '../core/ids.ts';
import { SHARD_RANGES } from '../core/limits.ts';
import { silentLogger } from '../core/log.ts';
import { Dispatcher } from '../dispatcher/dispatcher.ts';

/** Events of each file of the task; one output a file. */
export const EVENTS_PER_FILE = 6400;
/** Ranges asked for, and reported, at once. */
export const BATCH_RANGES = 1000;

const MERGE_RANGES = { rangeCountMin: 2000, rangeCountMax: 4000 };
/** Wide enough that four consumers with a batch each never wait for the merger. */
const UNMERGED_FILES = 100_000;

/** Longer than anything measured takes. */
const LEASE_MS = 60_000;

export function openTable(path: string, { leaseMs } = { leaseMs: LEASE_MS }): Promise<Dispatcher> {
  return Dispatcher.open({
    path,
    clock: systemClock,
    logger: silentLogger,
    leaseMs,
    force: false,
    onFatal: (error) => {
      throw error;
    },
  });
}

/** A sealed task of that many ranges of one event; returns its ID. */
export async function registerTask(
  dispatcher: Dispatcher,
  rangeCount: number,
  { unmergedFilesMax } = { unmergedFilesMax: UNMERGED_FILES },
): Promise<number> {
  const taskID = await dispatcher.submitTask({
    name: 'bench',
    record: null,
    payload: 'bench',
    eventsPerRange: 1,
    unmergedFilesMax,
  });
  const files: TaskFile[] = [];
  for (let fileIndex = 0; fileIndex * EVENTS_PER_FILE < rangeCount; fileIndex += 1) {
    files.push({
      fileIndex,
      guid: parseGuid(`00000000-0000-8000-8000-${String(fileIndex).padStart(12, '0')}`),
      lfn: `EVNT.12345678._${String(fileIndex + 1).padStart(6, '0')}.hepmc`,
      format: 'hepmc3',
      eventCount: Math.min(EVENTS_PER_FILE, rangeCount - fileIndex * EVENTS_PER_FILE),
    });
  }
  await dispatcher.addFiles(taskID, files);
  await dispatcher.sealTask(taskID);
  return taskID;
}

export interface WorkThrough {
  readonly taskID: number;
  /** ranges to hand out, finish and merge */
  readonly rangeCount: number;
  /** consumers that work at the same time, each in lock step: ask, report, ask */
  readonly consumers: number;
  readonly signal: AbortSignal;
}

/**
 * @returns seconds until the last range was durably finished; merge commits between are part of it, what is left to be
 * merged then is not
 */
export async function workThrough(dispatcher: Dispatcher, work: WorkThrough): Promise<number> {
  const { taskID } = work;
  let left = work.rangeCount;
  let merging: Promise<void> | undefined;
  const startedMs = performance.now();
  const consume = async (place: number): Promise<void> => {
    const consumerID = `bench-${place}-${startedMs}`;
    const job = await dispatcher.getJob({ consumer: { consumerID, host: 'bench', pid: place }, taskID });
    while (job !== undefined && left > 0) {
      work.signal.throwIfAborted();
      const rangeCount = Math.min(BATCH_RANGES, left);
      left -= rangeCount;
      const ranges = await dispatcher.getEventRanges({ consumerID, jobID: job.jobID, rangeCount });
      left += rangeCount - ranges.length;
      const updates = ranges.map((range) => finish(taskID, job.jobID, range));
      await dispatcher.updateEventRanges({ consumerID, jobID: job.jobID, updates });
      merging ??= mergeOffered(dispatcher, taskID, MERGE_RANGES).finally(() => {
        merging = undefined;
      });
    }
    await dispatcher.leave({ consumerID });
  };
  await Promise.all(Array.from({ length: work.consumers }, (_, place) => consume(place)));
  const seconds = (performance.now() - startedMs) / 1000;
  await merging;
  await mergeOffered(dispatcher, taskID, { rangeCountMin: 1, rangeCountMax: MERGE_RANGES.rangeCountMax });
  return seconds;
}

/** What a consumer reports of a range that it has finished: one output of about 1 kB. */
export function finish(taskID: number, jobID: number, range: LeasedRange): RangeUpdate {
  const { rangeIndex, attemptNr, startEvent } = range;
  const eventRangeID = formatEventRangeID({ taskID, jobID, fileID: range.fileIndex + 1, startEvent, attemptNr });
  const output = {
    stream: 'HITS',
    file: `${Math.floor(rangeIndex / SHARD_RANGES)}/HITS.${eventRangeID}`,
    offsetBytes: 0,
    lengthBytes: 1000 + (rangeIndex % 997),
    crc32: (rangeIndex * 2_654_435_761) >>> 0,
    recordCount: 1,
  };
  return { kind: 'finished', rangeIndex, attemptNr, outputs: [output], wallMs: 1 + (rangeIndex % 5000), cpuMs: 1 };
}

async function mergeOffered(
  dispatcher: Dispatcher,
  taskID: number,
  stretch: { readonly rangeCountMin: number; readonly rangeCountMax: number },
): Promise<void> {
  for (;;) {
    const job = dispatcher.nextMergeJob({ taskID, busyOutputs: [], ...stretch });
    const last = job?.items.at(-1);
    if (job === undefined || last === undefined) return;
    const recordCount = last.rangeIndex - job.firstRange + 1;
    await dispatcher.commitMerge({
      taskID,
      outputIndex: job.outputIndex,
      throughRange: last.rangeIndex,
      progress: [{ stream: 'HITS', offsetBytes: recordCount * 1500, recordCount, state: new Uint8Array(16) }],
      gaps: [],
      ...(job.last ? { completed: [mergedFile(job.outputIndex, recordCount)] } : {}),
    });
  }
}

function mergedFile(outputIndex: number, recordCount: number): MergedFile {
  const path = `HITS.12345678._${String(outputIndex + 1).padStart(6, '0')}.gev`;
  return { stream: 'HITS', path, sizeBytes: recordCount * 1500, sha256: 'a'.repeat(64), recordCount };
}
