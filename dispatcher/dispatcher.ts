/**
 * The dispatcher: tasks, event ranges and who holds them, durable in one store, decided in one place. This is the class
 * that a runtime talks to in process, and that gets an HTTP face for consumers elsewhere.
 *
 * Life: {@link Dispatcher.open} takes the store for this process, reads what is under way and leaves the rest on disk;
 * what consumers of a dead program held can be adopted until the first hand-out. `close` writes what is left and gives
 * the store back. A failed write ends it at once and for good: every call after it throws `STORE_FAILED`, and
 * `onFatal` is told, once.
 */

import type { Clock } from '../core/clock.ts';
import type {
  CompletedFile,
  DispatcherApi,
  MergeApi,
  RangeUpdate,
  TaskFile,
  UpdateOutcome,
} from '../core/dispatcher-api.ts';
import { GranuleError, isGranuleError } from '../core/errors.ts';
import { LEASE_CHECKS, LOCK_RENEW_MS } from '../core/limits.ts';
import type { Logger } from '../core/log.ts';
import { ChangeBell, type DispatcherChange } from './change-bell.ts';
import { DispatcherCore } from './dispatcher-core.ts';
import { checkFileSystem } from './file-system.ts';
import { GroupCommit } from './group-commit.ts';
import type { CostHints } from './hand-out.ts';
import { LeaseDesk } from './lease-desk.ts';
import { LmdbTableStore } from './lmdb-table-store.ts';
import { MergeDesk } from './merge-desk.ts';
import type { PayloadEpoch } from './payload-epochs.ts';
import { describeRange, type RangeDescription } from './range-description.ts';
import { type AdoptableRange, Recovery, type RecoverySummary } from './recovery.ts';
import { StoreLock } from './store-lock.ts';
import { checkSchema } from './store-schema.ts';
import { STORE_KEYS, type TableStore } from './table-store.ts';
import { readFiles } from './task.ts';
import { type RangeSelection, TaskDesk, type TaskOptions } from './task-desk.ts';
import { summarise, type TaskSummary } from './task-summary.ts';

export interface DispatcherOptions {
  /** folder of the store, created when there is none */
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** how long a consumer may be silent */
  readonly leaseMs: number;
  /** use the store although it is on a network file system, or somebody seems to hold it */
  readonly force: boolean;
  /** told once when the store has failed or was taken over; nothing works after it */
  readonly onFatal: (error: GranuleError) => void;
}

export interface JobDescription {
  readonly jobID: number;
  readonly taskID: number;
  /** undefined: it left, or its lease ended and all it held was taken back */
  readonly consumerID: string | undefined;
  readonly heldCount: number;
  /** nothing it says changes anything any more */
  readonly stopped: boolean;
}

/** How a dispatcher is driven; a simulation puts its own parts here. */
export interface DispatcherDrive {
  readonly store: TableStore;
  /** shown in messages */
  readonly path: string;
  /** when a group of changes is closed after its first one */
  readonly defer: (close: () => void) => void;
  /** false: {@link Dispatcher.tick} is called by hand */
  readonly timers: boolean;
}

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
  #timer: NodeJS.Timeout | undefined;
  #lockRenewedMs: number;
  #ticking = false;
  #closed: Promise<void> | undefined;

  /**
   * Throws `STORE_BUSY` naming the live holder, `STORE_VERSION`, `STORE_FILE_SYSTEM`, `STORE_FAILED` for a store that
   * cannot be opened or believed.
   */
  static async open(options: DispatcherOptions): Promise<Dispatcher> {
    if (!options.force) checkFileSystem(options.path);
    const store = openTable(options.path);
    return Dispatcher.start(options, { store, path: options.path, defer: afterArrivals, timers: true });
  }

  /** As {@link open}, over any store. The store is closed with the dispatcher, and when it cannot be used. */
  static async start(options: Omit<DispatcherOptions, 'path'>, drive: DispatcherDrive): Promise<Dispatcher> {
    try {
      checkSchema(drive.store, drive.path);
      const dispatcher = new Dispatcher(options, drive);
      await dispatcher.#finishDeletions();
      return dispatcher;
    } catch (error) {
      await drive.store.close();
      throw error;
    }
  }

  private constructor(options: Omit<DispatcherOptions, 'path'>, drive: DispatcherDrive) {
    const { store } = drive;
    this.#lock = new StoreLock(store, options.clock, { path: drive.path, force: options.force });
    this.#lockRenewedMs = options.clock.monotonicMs();
    const commit = new GroupCommit(store, {
      defer: drive.defer,
      onFailure: (error) => {
        clearInterval(this.#timer);
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
    this.#core.load();
    this.#tasks = new TaskDesk(this.#core);
    this.#merges = new MergeDesk(this.#core);
    this.#dead = new Recovery(this.#core, this.#lock.deadHolder);
    this.#leases = new LeaseDesk(this.#core, () => this.#dead.releaseRest(this.#leases));
    this.recovery = this.#dead.summary;
    if (drive.timers) {
      const everyMs = Math.max(1, Math.min(LOCK_RENEW_MS, options.leaseMs / LEASE_CHECKS));
      this.#timer = setInterval(() => void this.#tickToEnd(), everyMs).unref();
    }
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
    const { leases } = this.#usable;
    const now = this.#core.clock.monotonicMs();
    if (now - this.#lockRenewedMs >= LOCK_RENEW_MS) {
      this.#lockRenewedMs = now;
      this.#core.commit.write(STORE_KEYS.lock, this.#lock.renewal());
    }
    return leases.checkLeases();
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
    const { table } = this.#core.task(taskID);
    const end = Math.min(table.plan.rangeCount, firstRange + rangeCount);
    const reports: RangeDescription[] = [];
    for (let rangeIndex = firstRange; rangeIndex < end; rangeIndex += 1) {
      reports.push(describeRange(table.plan, rangeIndex, table.chunkOf(rangeIndex)));
    }
    return reports;
  }

  /** The range that holds an event, by its 1-based position; undefined for one that the task does not have. */
  findRange(taskID: number, fileIndex: number, position: number): number | undefined {
    return this.#core.task(taskID).table.plan.rangeAt(fileIndex, position);
  }

  /** What is known of a job: PanDA's protocol names nothing else. Undefined for one that never was. */
  describeJob(jobID: number): JobDescription | undefined {
    const taskID = this.#core.taskOfJob(jobID);
    if (taskID === undefined) return undefined;
    const job = this.#core.consumers.job(jobID);
    if (job === undefined) return { jobID, taskID, consumerID: undefined, heldCount: 0, stopped: true };
    const { consumer, held, stopped } = job;
    return { jobID, taskID, consumerID: consumer.identity.consumerID, heldCount: held.total, stopped };
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
    clearInterval(this.#timer);
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

  async #tickToEnd(): Promise<void> {
    if (this.#ticking) return;
    this.#ticking = true;
    try {
      // A slice, its group, and what came meanwhile; then the next slice: others never wait for more than one.
      while (this.#closed === undefined && this.tick()) await this.#core.betweenSlices();
    } catch (error) {
      this.#core.commit.fail(isGranuleError(error) ? error : broken(error));
    } finally {
      this.#ticking = false;
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

function openTable(path: string): TableStore {
  try {
    return new LmdbTableStore(path);
  } catch (cause) {
    throw new GranuleError('STORE_FAILED', `the event table in ${path} cannot be opened: ${describe(cause)}`, {
      details: { path },
      cause,
      remedy: 'check the rights and the disk, or use another output folder',
    });
  }
}

function broken(cause: unknown): GranuleError {
  return new GranuleError('INTERNAL', `the dispatcher stopped: ${describe(cause)}`, { cause });
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
