/**
 * Reads the event table of a store that another process may be writing: counts, events and outputs for `status`,
 * `events`, `show` and the manifest. Each call sees one moment; a page of a list may be of a later moment than the one
 * before.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../core/clock.ts';
import type { FailedEvent, MergedFile, MergeGap, OutputRecord, TaskFile } from '../core/dispatcher-api.ts';
import { GranuleError } from '../core/errors.ts';
import { RANGES_PER_CHUNK } from '../core/limits.ts';
import type { CountsPerState, RangeState } from '../core/states.ts';
import type { Chunk } from './chunk.ts';
import { readStoredChunk } from './chunk-codec.ts';
import { type RecordedFailure, readFailure, readFailures } from './failure-log.ts';
import { LmdbTableStore } from './lmdb-table-store.ts';
import { readOutputs } from './output-log.ts';
import { unpackOutputState } from './output-state.ts';
import { type PayloadEpoch, readEpochs } from './payload-epochs.ts';
import type { ProcessIdentity } from './process-identity.ts';
import { describeRange, type RangeDescription } from './range-description.ts';
import { RangePlan } from './range-plan.ts';
import { countsByName } from './range-table.ts';
import { attemptOf, isCommitted, isFinished, SUBMITTED, stateNameOf } from './range-word.ts';
import { unpackRecord } from './record-codec.ts';
import { lockHolder } from './store-lock.ts';
import { readSchema, refuseOther } from './store-schema.ts';
import { STORE_KEYS } from './table-store.ts';
import { readFiles } from './task.ts';
import { emptyTotals, eventsByState, type ProgressRecord, type TaskRecord, type TaskTotals } from './task-record.ts';

export interface TaskStatus {
  readonly record: TaskRecord;
  /** ranges in each state; those of `running` are counted as `sent` */
  readonly ranges: CountsPerState;
  readonly events: CountsPerState;
  readonly totals: Readonly<TaskTotals>;
}

export interface RangeReport extends RangeDescription {
  /** why it failed last, while it is not finished; or why some of its events failed */
  readonly failure?: RecordedFailure;
  /** events that failed for good, each by itself; set for a range that is finished without them, too */
  readonly failedEvents?: readonly FailedEvent[];
}

export interface OutputReport {
  readonly outputIndex: number;
  readonly firstRange: number;
  readonly endRange: number;
  /** ranges before it are merged, or were passed as missing */
  readonly mergedTo: number;
  /** set when all of it is merged */
  readonly files?: readonly MergedFile[];
  readonly gaps: readonly MergeGap[];
  /** set when its merge was given up */
  readonly failure?: string;
}

export class TableReader {
  readonly #store: LmdbTableStore;
  readonly #plans = new Map<number, RangePlan>();

  constructor(store: LmdbTableStore) {
    this.#store = store;
  }

  /** Who is dispatching from this store now. */
  holder(): ProcessIdentity | undefined {
    this.#store.refresh();
    return lockHolder(this.#store, systemClock);
  }

  tasks(): readonly TaskStatus[] {
    this.#store.refresh();
    return [...this.#store.entries(['task'])]
      .map(({ value }) => unpackRecord<TaskRecord>(value))
      .filter((record) => !record.deleted)
      .map((record) => this.#status(record));
  }

  files(taskID: number, fromFile = 0): Iterable<TaskFile> {
    return readFiles(this.#store, taskID, fromFile);
  }

  /**
   * Up to `limit` ranges in ascending order, from `fromRange` on; `next` is where to go on, undefined at the end.
   *
   * @param options.states all states when left out; a range that is finished without some of its events counts as
   * `fatal`, too
   */
  events(options: {
    readonly taskID: number;
    readonly states?: readonly RangeState[];
    readonly fromRange?: number;
    readonly limit: number;
  }): { readonly ranges: readonly RangeReport[]; readonly next: number | undefined } {
    this.#store.refresh();
    const plan = this.#plan(options.taskID);
    const wanted = options.states === undefined ? undefined : new Set(options.states);
    const incomplete = wanted?.has('fatal') === true ? this.#incompleteRanges(options.taskID) : new Set<number>();
    const ranges: RangeReport[] = [];
    let rangeIndex = options.fromRange ?? 0;
    while (rangeIndex < plan.rangeCount) {
      const chunk = this.#chunk(options.taskID, Math.floor(rangeIndex / RANGES_PER_CHUNK));
      const end = Math.min(plan.rangeCount, (Math.floor(rangeIndex / RANGES_PER_CHUNK) + 1) * RANGES_PER_CHUNK);
      if (chunk === undefined && wanted?.has('ready') === false) {
        rangeIndex = end;
        continue;
      }
      for (; rangeIndex < end; rangeIndex += 1) {
        const word = chunk?.wordAt(rangeIndex % RANGES_PER_CHUNK) ?? SUBMITTED;
        const isIncomplete = isCommitted(word) && incomplete.has(rangeIndex);
        if (wanted?.has(stateNameOf(word)) === false && !isIncomplete) continue;
        if (ranges.length >= options.limit) return { ranges, next: rangeIndex };
        ranges.push(this.#report(options.taskID, plan, rangeIndex, chunk));
      }
    }
    return { ranges, next: undefined };
  }

  /** One event of a task. Throws `EVENT_NOT_FOUND` for an event that the task does not have. */
  show(
    taskID: number,
    fileIndex: number,
    position: number,
  ): RangeReport & { readonly outputs: readonly OutputRecord[] } {
    this.#store.refresh();
    const plan = this.#plan(taskID);
    const rangeIndex = plan.rangeAt(fileIndex, position);
    if (rangeIndex === undefined) {
      throw new GranuleError('EVENT_NOT_FOUND', `task ${taskID} has no event ${position} in file ${fileIndex + 1}`, {
        details: { taskID, fileIndex, position },
      });
    }
    const chunk = this.#chunk(taskID, Math.floor(rangeIndex / RANGES_PER_CHUNK));
    const word = chunk?.wordAt(rangeIndex % RANGES_PER_CHUNK) ?? SUBMITTED;
    const outputs = isFinished(word) ? this.#outputsOf(taskID, rangeIndex, attemptOf(word)) : [];
    const { failedEvents, failure, ...report } = this.#report(taskID, plan, rangeIndex, chunk);
    if (failedEvents === undefined) return { ...report, ...(failure === undefined ? {} : { failure }), outputs };
    const own = failedEvents.find((event) => event.position === position);
    if (own === undefined || failure === undefined) return { ...report, outputs };
    const ownFailure = { ...failure, ...own.failure };
    // Of a range that is to be made again the event is, too.
    if (!isCommitted(word)) return { ...report, failure: ownFailure, outputs };
    return { ...report, state: 'fatal', failure: ownFailure, outputs: [] };
  }

  /** Outputs that have begun, in order. */
  outputs(taskID: number): readonly OutputReport[] {
    this.#store.refresh();
    const plan = this.#plan(taskID);
    const reports = (['complete', 'open'] as const).flatMap((kind) =>
      [...this.#store.entries([kind, taskID])].map(({ key, value }) => {
        const outputIndex = Number((key as readonly unknown[])[2]);
        const output = unpackOutputState(outputIndex, value);
        const { files, failure } = output;
        return {
          outputIndex,
          ...plan.outputSpan(outputIndex),
          mergedTo: output.cursor,
          gaps: output.gaps,
          ...(files === undefined ? {} : { files }),
          ...(failure === undefined ? {} : { failure }),
        };
      }),
    );
    return reports.sort((left, right) => left.outputIndex - right.outputIndex);
  }

  payloadEpochs(taskID: number): readonly PayloadEpoch[] {
    this.#store.refresh();
    return readEpochs(this.#store, taskID);
  }

  /** How many ranges were executed for how long: counts by code, see `execution-length.ts`. Reads the whole table. */
  lengthHistogram(taskID: number): Float64Array {
    this.#store.refresh();
    const histogram = new Float64Array(256);
    for (const kind of ['working', 'settled']) {
      for (const { key, value } of this.#store.entries([kind, taskID])) {
        for (const code of readStoredChunk(taskID, Number((key as readonly unknown[])[2]), value).lengths) {
          histogram[code] = (histogram[code] as number) + 1;
        }
      }
    }
    histogram[0] = 0;
    return histogram;
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #status(record: TaskRecord): TaskStatus {
    const bytes = this.#store.get(STORE_KEYS.progress(record.taskID));
    const progress = bytes === undefined ? undefined : unpackRecord<ProgressRecord>(bytes);
    return {
      record,
      ranges: countsByName(progress?.ranges ?? []),
      events: eventsByState(countsByName(progress?.events ?? []), progress?.totals.failedEvents ?? 0),
      totals: progress?.totals ?? emptyTotals(),
    };
  }

  /** Files may have been added since it was asked last. */
  #plan(taskID: number): RangePlan {
    let plan = this.#plans.get(taskID);
    if (plan === undefined) {
      const record = this.#record(taskID);
      plan = new RangePlan(record.eventsPerRange, record.eventsPerOutput);
      this.#plans.set(taskID, plan);
    }
    for (const file of readFiles(this.#store, taskID, plan.fileCount)) plan.add(file);
    return plan;
  }

  #record(taskID: number): TaskRecord {
    const bytes = this.#store.get(STORE_KEYS.task(taskID));
    if (bytes === undefined) throw new GranuleError('TASK_UNKNOWN', `there is no task ${taskID} in this store`);
    return unpackRecord<TaskRecord>(bytes);
  }

  /** Undefined for one that nobody touched. */
  #chunk(taskID: number, index: number): Chunk | undefined {
    const bytes =
      this.#store.get(STORE_KEYS.chunk('settled', taskID, index)) ??
      this.#store.get(STORE_KEYS.chunk('working', taskID, index));
    return bytes === undefined ? undefined : readStoredChunk(taskID, index, bytes);
  }

  /** @param plan of the task as it is now: to ask for it costs a look into the store */
  #report(taskID: number, plan: RangePlan, rangeIndex: number, chunk: Chunk | undefined): RangeReport {
    const report = describeRange(plan, rangeIndex, chunk);
    const isCommitted = report.state === 'finished' || report.state === 'merged';
    const mayHaveFailed = report.attemptNr > 0 && (!isCommitted || report.lastEvent > report.startEvent);
    const failure = mayHaveFailed ? readFailure(this.#store, taskID, rangeIndex) : undefined;
    if (failure === undefined) return report;
    return {
      ...report,
      failure,
      ...(failure.failedEvents === undefined ? {} : { failedEvents: failure.failedEvents }),
    };
  }

  /** Ranges of several events that are finished without some of them. */
  #incompleteRanges(taskID: number): ReadonlySet<number> {
    const ranges = new Set<number>();
    if (this.#status(this.#record(taskID)).totals.failedEvents === 0) return ranges;
    for (const { rangeIndex, failedEvents } of readFailures(this.#store, taskID)) {
      if (failedEvents !== undefined) ranges.add(rangeIndex);
    }
    return ranges;
  }

  #outputsOf(taskID: number, rangeIndex: number, attemptNr: number): readonly OutputRecord[] {
    for (const logged of readOutputs(this.#store, taskID)) {
      if (logged.rangeIndex === rangeIndex && logged.attemptNr === attemptNr) return logged.outputs;
    }
    return [];
  }
}

/**
 * @param path folder of the store
 *
 * Throws `STORE_MISSING` when there is none, `STORE_VERSION` for another schema, `STORE_FAILED` when it cannot be read.
 */
export function openTableReader(path: string): TableReader {
  const missing = (cause?: unknown): GranuleError =>
    new GranuleError('STORE_MISSING', `there is no run in ${path}`, {
      details: { path },
      remedy: 'name the output folder of a run (--out DIR)',
      ...(cause === undefined ? {} : { cause }),
    });
  if (!existsSync(join(path, 'data.mdb'))) throw missing();
  let store: LmdbTableStore;
  try {
    store = new LmdbTableStore(path, { readOnly: true });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GranuleError('STORE_FAILED', `the event table in ${path} cannot be read: ${reason}`, {
      details: { path },
      cause,
      remedy: 'check the rights and the disk',
    });
  }
  const version = readSchema(store);
  if (version === undefined) throw missing();
  refuseOther(version, path);
  return new TableReader(store);
}
