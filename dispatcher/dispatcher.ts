/**
 * The dispatcher: tasks, event ranges and who holds them, durable in one store, decided in one place. This is the class
 * that a runtime talks to in process, and that gets an HTTP face for consumers elsewhere.
 *
 * Life: {@link Dispatcher.open} takes the store for this process, reads what is under way and leaves the rest on disk;
 * what consumers of a dead program held can be adopted until the first hand-out. `close` writes what is left and gives
 * the store back. A failed write ends it at once and for good: every call after it throws `STORE_FAILED`, and
 * `onFatal` is told, once.
 */

import type {
  CompletedFile,
  DispatcherApi,
  MergeApi,
  RangeUpdate,
  TaskFile,
  UpdateOutcome,
} from '../core/dispatcher-api.ts';
import { GranuleError } from '../core/errors.ts';
import { ChangeBell, type DispatcherChange } from './change-bell.ts';
import { DispatcherCore } from './dispatcher-core.ts';
import type { DispatcherDrive, DispatcherOptions } from './dispatcher-options.ts';
import { DispatcherWatch } from './dispatcher-watch.ts';
import { checkFileSystem } from './file-system.ts';
import { GroupCommit } from './group-commit.ts';
import type { CostHints } from './hand-out.ts';
import { type JobDescription, LeaseDesk } from './lease-desk.ts';
import { openTableStore } from './lmdb-table-store.ts';
import { MergeDesk } from './merge-desk.ts';
import type { PayloadEpoch } from './payload-epochs.ts';
import { describeRanges, type RangeDescription } from './range-description.ts';
import { type AdoptableRange, Recovery, type RecoverySummary } from './recovery.ts';
import { StoreLock } from './store-lock.ts';
import { checkSchema } from './store-schema.ts';
import { readFiles } from './task.ts';
import { type RangeSelection, TaskDesk, type TaskOptions } from './task-desk.ts';
import { summarise, type TaskSummary } from './task-summary.ts';

/** Lets everything that has arrived at the event loop go first. */
const afterArrivals = (run: () => void): void => void setImmediate(run);

export class Dispatcher implements DispatcherApi, MergeApi {
  readonly recovery: RecoverySummary;
  readonly #core: DispatcherCore;
  readonly #lock: StoreLock;
  readonly #tasks: TaskDesk;
  readonly #leases: LeaseDesk;
  readonly #merges: MergeDesk;
  readonly #dead: Recovery;
  readonly #watch: DispatcherWatch;
  #closed: Promise<void> | undefined;

  /**
   * Throws `STORE_BUSY` naming the live holder, `STORE_VERSION`, `STORE_FILE_SYSTEM`, `STORE_FAILED` for a store that
   * cannot be opened or believed.
   */
  static async open(options: DispatcherOptions): Promise<Dispatcher> {
    if (!options.force) checkFileSystem(options.path);
    const store = openTableStore(options.path);
    return Dispatcher.start(options, { store, path: options.path, defer: afterArrivals, timers: true });
  }

  /** As {@link open}, over any store. The store is closed with the dispatcher, and when it cannot be used. */
  static async start(options: Omit<DispatcherOptions, 'path'>, drive: DispatcherDrive): Promise<Dispatcher> {
    const { store, path } = drive;
    try {
      checkSchema(store, path);
      const lock = new StoreLock(store, options.clock, { path, force: options.force });
      try {
        if (drive.timers) await lock.predecessorEnded();
        const dispatcher = new Dispatcher(options, drive, lock);
        await dispatcher.#finishDeletions();
        return dispatcher;
      } catch (error) {
        lock.giveBackToDead();
        throw error;
      }
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  private constructor(options: Omit<DispatcherOptions, 'path'>, drive: DispatcherDrive, lock: StoreLock) {
    const { store } = drive;
    this.#lock = lock;
    const commit = new GroupCommit(store, {
      fence: lock,
      defer: drive.defer,
      onFailure: (error) => {
        this.#watch.stop();
        options.logger.error({ code: error.code, reason: error.message }, 'event table failed');
        options.onFatal(error);
      },
    });
    this.#core = new DispatcherCore({
      store,
      commit,
      clock: options.clock,
      logger: options.logger,
      bell: new ChangeBell(),
      leaseMs: options.leaseMs,
      pause: () => new Promise((resolve) => drive.defer(resolve)),
    });
    this.#watch = new DispatcherWatch(this.#core, this.#lock);
    this.#core.load();
    this.#tasks = new TaskDesk(this.#core);
    this.#merges = new MergeDesk(this.#core);
    this.#dead = new Recovery(this.#core, this.#lock.deadHolder);
    this.#leases = new LeaseDesk(this.#core, () => this.#dead.releaseRest(this.#leases));
    this.recovery = this.#dead.summary;
    if (drive.timers) this.#watch.start(options.leaseMs, () => this.tick());
  }

  // --- consumers: see DispatcherApi ----------------------------------------------------------------------------------

  readonly getJob: DispatcherApi['getJob'] = async (request) => this.#usable.leases.getJob(request);
  readonly getEventRanges: DispatcherApi['getEventRanges'] = async (request) =>
    this.#usable.leases.getEventRanges(request);
  readonly updateEventRanges: DispatcherApi['updateEventRanges'] = async (request) =>
    this.#usable.leases.updateEventRanges(request);
  readonly heartbeat: DispatcherApi['heartbeat'] = async (request) => this.#usable.leases.heartbeat(request);
  readonly release: DispatcherApi['release'] = async (request) => this.#usable.leases.release(request);
  readonly leave: DispatcherApi['leave'] = async (request) => this.#usable.leases.leave(request);

  /**
   * Looks after leases and the lock; true when there is more to do at once. Called by a timer, by hand in simulations.
   */
  tick(): boolean {
    return this.#watch.look(this.#usable.leases);
  }

  // --- tasks ---------------------------------------------------------------------------------------------------------

  /** A task without files; returns its ID. Throws `REQUEST_INVALID` for a value out of bounds. */
  async submitTask(options: TaskOptions): Promise<number> {
    return this.#usable.tasks.submit(options);
  }

  /**
   * Appends files, in order; their ranges are ready at once. Later files may still be indexed meanwhile. Throws
   * `REQUEST_INVALID` for a sealed task or a selection that is out of order.
   */
  async addFiles(taskID: number, files: readonly TaskFile[]): Promise<void> {
    return this.#usable.tasks.addFiles(taskID, files);
  }

  /** All files are known: the last output can be completed, and the end of the task be seen. */
  async sealTask(taskID: number): Promise<void> {
    return this.#usable.tasks.seal(taskID);
  }

  /**
   * Lets files be added once more. Throws `REQUEST_INVALID` for a task with outputs across files: the last of them may be
   * complete.
   */
  async unsealTask(taskID: number): Promise<void> {
    return this.#usable.tasks.unseal(taskID);
  }

  /** What is open or held is cancelled, what is finished and not merged is discarded; consumers are told to stop. */
  async cancelTask(taskID: number): Promise<void> {
    return this.#usable.tasks.cancelTask(taskID);
  }

  async cancelRanges(taskID: number, ranges: readonly number[]): Promise<number> {
    return this.#usable.tasks.cancelRanges(taskID, ranges);
  }

  async discard(taskID: number, ranges: readonly number[]): Promise<number> {
    return this.#usable.tasks.discard(taskID, ranges);
  }

  /** Gives ranges another chance with counters at zero: by default all that are fatal. Returns how many. */
  async retry(taskID: number, selection: RangeSelection = {}): Promise<number> {
    return this.#usable.tasks.retry(taskID, selection);
  }

  async deleteTask(taskID: number): Promise<void> {
    return this.#usable.tasks.deleteTask(taskID);
  }

  /** From here on ranges are made by another payload; which were made by the old one is kept, see {@link payloadEpochs}. */
  async acceptPayloadChange(taskID: number, payload: string): Promise<void> {
    return this.#usable.tasks.acceptPayloadChange(taskID, payload);
  }

  /** What older payloads have made; all else was made by the last of `TaskSummary.payloads`. */
  payloadEpochs(taskID: number): readonly PayloadEpoch[] {
    return this.#core.task(taskID).epochs.all;
  }

  /** Needed for `order: 'longest-first'`; not kept over a restart. Must answer within microseconds. */
  setCostHints(taskID: number, hints: CostHints): void {
    const task = this.#core.task(taskID);
    if (task.record.order === 'longest-first') task.handOut.costHints = hints;
  }

  /** As it stands in memory: ahead of the disk by what is just being written. Throws `TASK_UNKNOWN`. */
  getTask(taskID: number): TaskSummary {
    return summarise(this.#core.task(taskID));
  }

  listTasks(): readonly TaskSummary[] {
    return [...this.#core.tasks.values()].map(summarise);
  }

  /** Ranges as they stand in memory, up to `rangeCount` from `firstRange` on. */
  describeRanges(taskID: number, firstRange: number, rangeCount: number): readonly RangeDescription[] {
    return [...describeRanges(this.#core.task(taskID).table, firstRange, rangeCount)];
  }

  /** What is known of a job: PanDA's protocol names nothing else. Undefined for one that never was. */
  describeJob(jobID: number): JobDescription | undefined {
    return this.#leases.describeJob(jobID);
  }

  /** Files of a task in order, read from the store. */
  async *files(taskID: number, fromFile = 0): AsyncIterable<TaskFile> {
    this.#core.task(taskID);
    await this.#core.commit.durable();
    yield* readFiles(this.#core.store, taskID, fromFile);
  }

  /** Listens for moments at which asking again is worth it; returns the way to stop. */
  onChange(listener: (change: DispatcherChange) => void): () => void {
    return this.#core.bell.listen(listener);
  }

  // --- after a death of the whole program ----------------------------------------------------------------------------

  /** What was in flight when the program died, until it is adopted or released. */
  adoptable(taskID: number): IterableIterator<AdoptableRange> {
    return this.#dead.adoptable(this.#core.task(taskID));
  }

  /** Records complete outputs found on disk as finished; `stale` for any that are not {@link adoptable}. */
  async adopt(
    taskID: number,
    updates: readonly Extract<RangeUpdate, { kind: 'finished' }>[],
  ): Promise<readonly UpdateOutcome[]> {
    return this.#dead.adopt(this.#core.task(taskID), this.#usable.leases, updates);
  }

  /**
   * The rest becomes ready again, charging nothing. Done by itself at the first request for work.
   *
   * @param inExecution ranges known to have been in execution when the program died: only these become suspects when
   * it happens again and again; all that were in flight when left out
   */
  async releaseDead(taskID: number, inExecution?: ReadonlySet<number>): Promise<void> {
    this.#dead.release(this.#core.task(taskID), this.#usable.leases, inExecution);
    await this.#core.commit.durable();
  }

  /** Ranges that were in flight at `SUSPECT_DEATHS` deaths of the program in a row and are not done. */
  suspects(taskID: number): readonly number[] {
    return this.#core.task(taskID).deaths.suspects();
  }

  // --- merging: see MergeApi -----------------------------------------------------------------------------------------

  readonly nextMergeJob: MergeApi['nextMergeJob'] = (request) => this.#usable.merges.nextMergeJob(request);
  readonly commitMerge: MergeApi['commitMerge'] = async (request) => this.#usable.merges.commitMerge(request);
  readonly failMerge: MergeApi['failMerge'] = async (request) => this.#usable.merges.failMerge(request);
  readonly resetOutput: MergeApi['resetOutput'] = async (request) => this.#usable.merges.resetOutput(request);
  readonly unfinishedOutputs: MergeApi['unfinishedOutputs'] = (request) =>
    this.#usable.merges.unfinishedOutputs(request);

  /** Files at the aggregation point that are recorded and not merged: all others there are nobody's. */
  unmergedFiles(taskID: number): ReadonlySet<string> {
    return this.#merges.unmergedFiles(taskID);
  }

  /** Merged files of outputs that were completed so far, in no order. */
  completedFiles(taskID: number): IterableIterator<CompletedFile> {
    return this.#merges.completedFiles(taskID);
  }

  // --- end of life ---------------------------------------------------------------------------------------------------

  /** Everything said so far is on disk. */
  durable(): Promise<void> {
    return this.#core.commit.durable();
  }

  /** Writes what is left and gives the store back. What consumers hold stays theirs. Any number of calls is one. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#watch.stop();
    try {
      if (this.#core.commit.failure === undefined) {
        await this.#core.commit.durable();
        if (this.#dead.isOver) this.#lock.release();
        else this.#lock.giveBackToDead();
      }
    } finally {
      await this.#core.store.close();
    }
  }

  async #finishDeletions(): Promise<void> {
    for (const { record, taskID } of [...this.#core.tasks.values()]) {
      if (!record.deleted) continue;
      this.#core.tasks.delete(taskID);
      await this.#tasks.eraseTask(taskID);
    }
  }

  /** The desks, while they are to be used. */
  get #usable(): { readonly tasks: TaskDesk; readonly leases: LeaseDesk; readonly merges: MergeDesk } {
    const { failure } = this.#core.commit;
    if (failure !== undefined) throw failure;
    if (this.#closed !== undefined) throw new GranuleError('REQUEST_INVALID', 'the dispatcher is closed');
    return { tasks: this.#tasks, leases: this.#leases, merges: this.#merges };
  }
}
