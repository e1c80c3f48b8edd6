/** Where users come: tasks submitted, filled, cancelled, retried and deleted. Answers wait until they are on disk. */
import type { TaskFile } from '../core/dispatcher-api.ts';
import { GranuleError } from '../core/errors.ts';
import {
  FAILURES_MAX_DEFAULT,
  LOSSES_MAX_DEFAULT,
  RANGES_PER_CHUNK,
  TASK_RECORD_BYTES_MAX,
  UNMERGED_FILES_MAX,
} from '../core/limits.ts';
import type { FailureCause, RangeState } from '../core/states.ts';
import type { DispatcherCore } from './dispatcher-core.ts';
import { readFailures } from './failure-log.ts';
import { FAILURES_MAX, isFinished, isTerminal, LOSSES_MAX, stateNameOf } from './range-word.ts';
import { packRecord, unpackRecord } from './record-codec.ts';
import { type StoreEntry, type StoreKey, TASK_KEY_KINDS } from './table-store.ts';
import type { Task } from './task.ts';
import type { HandOutOrder, TaskRecord } from './task-record.ts';
import { RANGE_ACTIONS } from './transitions.ts';

export interface TaskOptions {
  readonly name: string;
  /** anything that msgpack can hold, up to 1 MiB: kept and returned as it is */
  readonly record: unknown;
  /** identity of the payload in force, for the manifest */
  readonly payload: string;
  readonly eventsPerRange: number;
  /** one output after so many events, across files, rounded up to whole ranges; one output per file when left out */
  readonly eventsPerOutput?: number;
  /** largest share of one job, rounded up to whole ranges; no bound when left out */
  readonly eventsPerJob?: number;
  /** default 3 */
  readonly failuresMax?: number;
  /** default 10 */
  readonly lossesMax?: number;
  /** higher goes first; default 0 */
  readonly priority?: number;
  /** default `file` */
  readonly order?: HandOutOrder;
  /** no fresh ranges while more output files than this are made or being made and not merged */
  readonly unmergedFilesMax?: number;
}

/** Which ranges are meant. With several conditions, those that meet all. */
export interface RangeSelection {
  readonly states?: readonly RangeState[];
  readonly causes?: readonly FailureCause[];
  readonly ranges?: readonly number[];
}

const RETRIED_STATES: readonly RangeState[] = ['fatal', 'failed', 'cancelled', 'discarded'];
/** Chunks looked at before other work gets its turn: some ms. */
const CHUNKS_PER_SLICE = 64;
/** Keys removed in one group. */
const KEYS_PER_SLICE = 5000;

export class TaskDesk {
  readonly #core: DispatcherCore;

  constructor(core: DispatcherCore) {
    this.#core = core;
  }

  async submit(options: TaskOptions): Promise<number> {
    const record: TaskRecord = {
      taskID: this.#core.takeTaskID(),
      name: options.name,
      record: options.record,
      submittedMs: this.#core.clock.nowMs(),
      eventsPerRange: checkCount('eventsPerRange', options.eventsPerRange),
      eventsPerOutput: checkOptionalCount('eventsPerOutput', options.eventsPerOutput),
      eventsPerJob: checkOptionalCount('eventsPerJob', options.eventsPerJob),
      failuresMax: checkCount('failuresMax', options.failuresMax ?? FAILURES_MAX_DEFAULT, FAILURES_MAX),
      lossesMax: checkCount('lossesMax', options.lossesMax ?? LOSSES_MAX_DEFAULT, LOSSES_MAX),
      priority: options.priority ?? 0,
      order: options.order ?? 'file',
      unmergedFilesMax: checkCount('unmergedFilesMax', options.unmergedFilesMax ?? UNMERGED_FILES_MAX),
      sealed: false,
      cancelled: false,
      deleted: false,
      payloads: [options.payload],
    };
    const sizeBytes = packRecord(options.record).length;
    if (sizeBytes > TASK_RECORD_BYTES_MAX) {
      throw invalid(`the record of a task takes ${sizeBytes} bytes, more than ${TASK_RECORD_BYTES_MAX}`);
    }
    this.#core.makeTask(record).change({});
    await this.#core.commit.durable();
    return record.taskID;
  }

  async addFiles(taskID: number, files: readonly TaskFile[]): Promise<void> {
    this.#core.task(taskID).addFiles(files);
    this.#core.bell.ring(taskID, 'work');
    await this.#core.commit.durable();
  }

  async seal(taskID: number): Promise<void> {
    this.#core.task(taskID).seal();
    this.#core.bell.ring(taskID, 'work');
    await this.#core.commit.durable();
  }

  async unseal(taskID: number): Promise<void> {
    this.#core.task(taskID).unseal();
    await this.#core.commit.durable();
  }

  /** What is open or held is cancelled, what is finished and not merged is discarded. Twice is harmless. */
  async cancelTask(taskID: number): Promise<void> {
    const task = this.#core.task(taskID);
    task.change({ cancelled: true });
    this.#core.consumers.stopJobsOf(taskID);
    const chunkCount = Math.ceil(task.table.plan.rangeCount / RANGES_PER_CHUNK);
    for (let chunk = 0; chunk < chunkCount; chunk += 1) {
      if (!this.#core.tasks.has(taskID) || !task.record.cancelled) return;
      const end = Math.min((chunk + 1) * RANGES_PER_CHUNK, task.table.plan.rangeCount);
      for (let rangeIndex = chunk * RANGES_PER_CHUNK; rangeIndex < end; rangeIndex += 1) giveUp(task, rangeIndex);
      if (chunk % CHUNKS_PER_SLICE === CHUNKS_PER_SLICE - 1) await this.#core.commit.durable();
    }
    this.#core.bell.ring(taskID, 'stopped');
    await this.#core.commit.durable();
  }

  /** Cancels what is open or held of these, discards what is finished and not merged; returns how many changed. */
  async cancelRanges(taskID: number, ranges: readonly number[]): Promise<number> {
    const task = this.#core.task(taskID);
    const changed = ranges.filter((rangeIndex) => giveUp(task, checkRange(task, rangeIndex))).length;
    await this.#core.commit.durable();
    return changed;
  }

  /** Finished ranges whose outputs are not wanted; returns how many changed. */
  async discard(taskID: number, ranges: readonly number[]): Promise<number> {
    const task = this.#core.task(taskID);
    const changed = ranges.filter((rangeIndex) => discardRange(task, checkRange(task, rangeIndex))).length;
    await this.#core.commit.durable();
    return changed;
  }

  /**
   * Gives ranges another chance, with counters at zero: by default those that are fatal. Returns how many. A cancelled
   * task whose cancelled ranges are retried runs again.
   */
  async retry(taskID: number, selection: RangeSelection): Promise<number> {
    const task = this.#core.task(taskID);
    const states = selection.states ?? (selection.ranges === undefined ? ['fatal'] : RETRIED_STATES);
    const wrong = states.find((state) => !RETRIED_STATES.includes(state));
    if (wrong !== undefined)
      throw invalid(`ranges that are ${wrong} cannot be retried, only ${RETRIED_STATES.join(', ')}`);
    await this.#core.commit.durable();
    let retried = 0;
    for await (const rangeIndex of this.#select(task, { ...selection, states })) {
      if (task.table.apply(rangeIndex, RANGE_ACTIONS.retry) >= 0) retried += 1;
    }
    if (retried > 0) {
      if (task.record.cancelled) task.change({ cancelled: false });
      task.handOut.forgetTail();
      this.#core.bell.ring(taskID, 'work');
    }
    await this.#core.commit.durable();
    return retried;
  }

  /** The payload was changed and that is accepted: from here on ranges are made by the new one. */
  async acceptPayloadChange(taskID: number, payload: string): Promise<void> {
    const task = this.#core.task(taskID);
    const present = task.record.payloads.at(-1);
    if (present === payload || present === undefined) return;
    await this.#core.commit.durable();
    await task.epochs.close(present, this.#select(task, { states: ['finished', 'done', 'merged'] }));
    task.change({ payloads: [...task.record.payloads, payload] });
    await this.#core.commit.durable();
  }

  /** The task and all that is known of it; its space is used again. Its consumers are told to stop. */
  async deleteTask(taskID: number): Promise<void> {
    const task = this.#core.task(taskID);
    // A death in the middle must not leave half a task: whoever finds the mark goes on.
    task.change({ deleted: true, cancelled: true });
    this.#core.consumers.stopJobsOf(taskID);
    await this.#core.commit.durable();
    this.#core.tasks.delete(taskID);
    this.#core.bell.ring(taskID, 'stopped');
    await this.eraseTask(taskID);
  }

  /** Removes every entry of a task, its record last. */
  async eraseTask(taskID: number): Promise<void> {
    const { store, commit } = this.#core;
    const remove = async (keys: readonly StoreKey[]): Promise<void> => {
      for (const [place, key] of keys.entries()) {
        commit.write(key, undefined);
        if (place % KEYS_PER_SLICE === KEYS_PER_SLICE - 1) await commit.durable();
      }
      await commit.durable();
    };
    await remove([...store.entries(['job'])].filter(({ value }) => unpackRecord<number>(value) === taskID).map(keyOf));
    for (const kind of TASK_KEY_KINDS) await remove([...store.keys([kind, taskID])]);
  }

  /** Ranges that meet the conditions, ascending; other work gets its turn in between. */
  async *#select(task: Task, selection: RangeSelection): AsyncIterable<number> {
    const { table } = task;
    const states = new Set(selection.states);
    const causes = selection.causes === undefined ? undefined : new Set(selection.causes);
    const byCause = new Set<number>();
    if (causes !== undefined) {
      for (const failure of readFailures(this.#core.store, task.taskID)) {
        if (causes.has(failure.cause)) byCause.add(failure.rangeIndex);
      }
    }
    const meets = (rangeIndex: number): boolean =>
      states.has(stateNameOf(table.wordAt(rangeIndex))) && (causes === undefined || byCause.has(rangeIndex));
    const named = selection.ranges ?? (causes === undefined ? undefined : [...byCause]);
    if (named !== undefined) {
      for (const rangeIndex of named) if (meets(checkRange(task, rangeIndex))) yield rangeIndex;
      return;
    }
    if ([...states].every((state) => table.countOf(state) === 0)) return;
    for (const [looked, chunkIndex] of table.chunks.touched().entries()) {
      const first = chunkIndex * RANGES_PER_CHUNK;
      const end = Math.min(first + RANGES_PER_CHUNK, table.plan.rangeCount);
      for (let rangeIndex = first; rangeIndex < end; rangeIndex += 1) if (meets(rangeIndex)) yield rangeIndex;
      if (looked % CHUNKS_PER_SLICE === CHUNKS_PER_SLICE - 1) await this.#core.betweenSlices();
    }
  }
}

function keyOf({ key }: StoreEntry): StoreKey {
  return key;
}

function giveUp(task: Task, rangeIndex: number): boolean {
  const word = task.table.wordAt(rangeIndex);
  if (isFinished(word)) return discardRange(task, rangeIndex);
  if (isTerminal(word) || task.table.apply(rangeIndex, RANGE_ACTIONS.cancel) < 0) return false;
  task.clearDeaths(rangeIndex);
  return true;
}

/** What is just being merged is past discarding. */
function discardRange(task: Task, rangeIndex: number): boolean {
  return !task.merge.isOffered(rangeIndex) && task.table.apply(rangeIndex, RANGE_ACTIONS.discard) >= 0;
}

function checkRange(task: Task, rangeIndex: number): number {
  const { rangeCount } = task.table.plan;
  if (Number.isSafeInteger(rangeIndex) && rangeIndex >= 0 && rangeIndex < rangeCount) return rangeIndex;
  throw invalid(`task ${task.taskID} has no range ${rangeIndex} (it has ${rangeCount})`);
}

function checkCount(name: string, value: number, max = Number.MAX_SAFE_INTEGER): number {
  if (Number.isSafeInteger(value) && value > 0 && value <= max) return value;
  throw invalid(`${name} is ${value}; it must be a whole number from 1 to ${max}`);
}

function checkOptionalCount(name: string, value: number | undefined): number | undefined {
  return value === undefined ? undefined : checkCount(name, value);
}

function invalid(message: string): GranuleError {
  return new GranuleError('REQUEST_INVALID', message);
}
