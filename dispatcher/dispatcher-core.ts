/** What the desks of the dispatcher share: store, clock, tasks, consumers, and the bell that says "look again". */
import type { Clock } from '../core/clock.ts';
import { GranuleError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { ChangeBell } from './change-bell.ts';
import { ConsumerBook } from './consumers.ts';
import type { GroupCommit } from './group-commit.ts';
import { packRecord, unpackRecord } from './record-codec.ts';
import { STORE_KEYS, type TableStore } from './table-store.ts';
import { Task } from './task.ts';
import type { TaskRecord } from './task-record.ts';

interface Counters {
  readonly nextTaskID: number;
  readonly nextJobID: number;
}

export class DispatcherCore {
  readonly store: TableStore;
  readonly commit: GroupCommit;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly consumers: ConsumerBook;
  readonly bell: ChangeBell;
  readonly tasks = new Map<number, Task>();
  /** lets other work of the thread go first */
  readonly #pause: () => Promise<void>;
  #counters: Counters;

  constructor(options: {
    readonly store: TableStore;
    readonly commit: GroupCommit;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly bell: ChangeBell;
    readonly leaseMs: number;
    readonly pause: () => Promise<void>;
  }) {
    this.store = options.store;
    this.commit = options.commit;
    this.clock = options.clock;
    this.logger = options.logger;
    this.bell = options.bell;
    this.#pause = options.pause;
    this.consumers = new ConsumerBook(options.commit, options.leaseMs);
    const counters = options.store.get(STORE_KEYS.counters);
    this.#counters = counters === undefined ? { nextTaskID: 1, nextJobID: 1 } : unpackRecord<Counters>(counters);
  }

  /** Reads consumers first, since ranges are held by their jobs. */
  load(): void {
    this.consumers.load(this.store, this.clock.monotonicMs());
    for (const { value } of [...this.store.entries(['task'])]) {
      const task = this.makeTask(unpackRecord<TaskRecord>(value));
      // What is being deleted may be there in part only.
      if (!task.record.deleted) task.load();
    }
  }

  makeTask(record: TaskRecord): Task {
    const task = new Task(record, {
      store: this.store,
      commit: this.commit,
      jobOf: (jobID) => this.consumers.job(jobID),
      onMergeable: (taskID) => this.bell.ring(taskID, 'merge'),
    });
    this.tasks.set(record.taskID, task);
    return task;
  }

  /** Throws `TASK_UNKNOWN`. */
  task(taskID: number): Task {
    const task = this.tasks.get(taskID);
    if (task !== undefined) return task;
    const known = [...this.tasks.keys()].join(', ') || 'none';
    throw new GranuleError('TASK_UNKNOWN', `there is no task ${taskID} in this store (tasks: ${known})`, {
      details: { taskID },
      remedy: 'list the tasks with granule status',
    });
  }

  takeTaskID(): number {
    return this.#take('nextTaskID');
  }

  takeJobID(taskID: number): number {
    const jobID = this.#take('nextJobID');
    this.commit.write(STORE_KEYS.job(jobID), packRecord(taskID));
    return jobID;
  }

  /** Between two slices of long work: their group is written and what has arrived meanwhile is answered. */
  async betweenSlices(): Promise<void> {
    await this.commit.durable();
    await this.#pause();
  }

  /** Also of a job whose consumer was forgotten: what it did is still in the table. */
  taskOfJob(jobID: number): number | undefined {
    const job = this.consumers.job(jobID);
    if (job !== undefined) return job.taskID;
    const bytes = this.store.get(STORE_KEYS.job(jobID));
    return bytes === undefined ? undefined : unpackRecord<number>(bytes);
  }

  #take(counter: keyof Counters): number {
    const id = this.#counters[counter];
    this.#counters = { ...this.#counters, [counter]: id + 1 };
    this.commit.write(STORE_KEYS.counters, packRecord(this.#counters));
    return id;
  }
}
