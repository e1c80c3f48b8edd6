/**
 * Where consumers come: jobs, ranges, updates, heartbeats, and what happens when they are silent. Lives on the thread of
 * the dispatcher; every answer waits until what it says is on disk.
 */

import type {
  DispatcherApi,
  GetJobRequest,
  HeartbeatAnswer,
  Job,
  LeasedRange,
  RangeUpdate,
  UpdateOutcome,
} from '../core/dispatcher-api.ts';
import { GranuleError } from '../core/errors.ts';
import { RANGES_PER_REQUEST_MAX, UPDATES_PER_REQUEST_MAX } from '../core/limits.ts';
import { RANGE_STATES } from '../core/states.ts';
import type { Consumer, HeldJob } from './consumers.ts';
import type { DispatcherCore } from './dispatcher-core.ts';
import { attemptOf, isFinished, isHeld, stateOf } from './range-word.ts';
import { TakeBackQueue } from './take-back-queue.ts';
import type { Task } from './task.ts';
import { RANGE_ACTIONS, REFUSALS } from './transitions.ts';

/** Consumers looked at, and found silent, in one go when leases are checked: each is a few ms. */
const CONSUMERS_PER_CHECK = { lookedAt: 5000, expired: 1000 };

export interface JobDescription {
  readonly jobID: number;
  readonly taskID: number;
  /** undefined: it left, or its lease ended and all it held was taken back */
  readonly consumerID: string | undefined;
  readonly heldCount: number;
  /** nothing it says changes anything any more */
  readonly stopped: boolean;
}

export class LeaseDesk implements DispatcherApi {
  readonly #core: DispatcherCore;
  readonly #takeBacks: TakeBackQueue;
  /** called before the first hand-out: what died with the last dispatcher is released by then */
  readonly #beforeHandOut: () => void;

  constructor(core: DispatcherCore, beforeHandOut: () => void) {
    this.#core = core;
    this.#takeBacks = new TakeBackQueue(core);
    this.#beforeHandOut = beforeHandOut;
    for (const consumer of core.consumers.consumers()) {
      // Its lease ended under the dispatcher before this one, which did not get to the end of it.
      if (consumer.state === 'expired') this.#takeBacks.add(consumer, RANGE_ACTIONS.expire);
    }
  }

  async getJob(request: GetJobRequest): Promise<Job | undefined> {
    this.#beforeHandOut();
    const wanted = request.taskID === undefined ? [...this.#core.tasks.values()] : [this.#core.task(request.taskID)];
    const task = wanted
      .filter(
        ({ record, handOut }) => !record.cancelled && (request.orIdle === true || handOut.hasWork() || !record.sealed),
      )
      .sort((left, right) => right.record.priority - left.record.priority || left.taskID - right.taskID)[0];
    if (task === undefined) return undefined;
    const { consumers } = this.#core;
    const monotonicMs = this.#core.clock.monotonicMs();
    const consumer = consumers.admit(request.consumer, monotonicMs);
    consumers.renew(consumer, monotonicMs);
    for (const job of [...consumer.jobs]) {
      if (job.held.total === 0 && (job.stopped || this.#shareLeft(job) <= 0)) consumers.closeJob(job);
    }
    const job =
      consumer.jobs.find((open) => open.taskID === task.taskID && !open.stopped && this.#shareLeft(open) > 0) ??
      consumers.openJob(consumer, this.#core.takeJobID(task.taskID), task.taskID);
    await this.#core.commit.durable();
    return { taskID: task.taskID, jobID: job.jobID, kind: 'process' };
  }

  async getEventRanges(request: {
    readonly consumerID: string;
    readonly jobID: number;
    readonly rangeCount: number;
  }): Promise<readonly LeasedRange[]> {
    this.#beforeHandOut();
    const job = this.#listen(request.consumerID, request.jobID);
    if (job === undefined || job.stopped) return [];
    const task = this.#core.tasks.get(job.taskID);
    if (task === undefined || task.record.cancelled) return [];
    const eventsMax = this.#shareLeft(job);
    const countMax = Math.min(Math.floor(request.rangeCount), RANGES_PER_REQUEST_MAX);
    if (eventsMax <= 0 || !(countMax > 0)) return [];
    const { freshMax } = task;
    const ranges = task.handOut.next(job, { countMax, freshMax, eventsMax, sealed: task.record.sealed });
    if (ranges.length === 0) return ranges;
    if (task.record.eventsPerJob !== undefined) this.#core.consumers.noteChange(job.consumer);
    await this.#core.commit.durable();
    return ranges;
  }

  async updateEventRanges(request: {
    readonly consumerID: string;
    readonly jobID: number;
    readonly updates: readonly RangeUpdate[];
  }): Promise<readonly UpdateOutcome[]> {
    const { updates } = request;
    if (updates.length > UPDATES_PER_REQUEST_MAX) {
      throw new GranuleError('REQUEST_INVALID', `${updates.length} updates in one request`, {
        remedy: `send at most ${UPDATES_PER_REQUEST_MAX}`,
      });
    }
    const job = this.#listen(request.consumerID, request.jobID);
    const task = this.#core.tasks.get(job?.taskID ?? this.#core.taskOfJob(request.jobID) ?? -1);
    return task === undefined ? updates.map(() => 'stale' as const) : this.applyUpdates(task, job, updates);
  }

  /**
   * @param job undefined: its consumer is deaf or gone, so nothing is accepted, but what was recorded is still answered
   * as recorded
   */
  async applyUpdates(
    task: Task,
    job: HeldJob | undefined,
    updates: readonly RangeUpdate[],
  ): Promise<readonly UpdateOutcome[]> {
    for (const { rangeIndex } of updates) checkRange(task, rangeIndex);
    const outcomes = updates.map((update) => {
      const outcome = this.#applyUpdate(task, job, update);
      if (outcome === 'stale') task.table.totals.stale += 1;
      else if (outcome === 'duplicate') task.table.totals.duplicate += 1;
      return outcome;
    });
    if (updates.some((update, index) => update.kind !== 'started' && outcomes[index] === 'accepted')) {
      task.table.noteProgress();
      await this.#core.commit.durable();
    } else if (outcomes.includes('duplicate')) await this.#core.commit.durable();
    return outcomes;
  }

  async heartbeat(request: { readonly consumerID: string }): Promise<HeartbeatAnswer> {
    const consumer = this.#core.consumers.find(request.consumerID);
    if (consumer === undefined) return { command: 'stop' };
    this.#core.consumers.renew(consumer, this.#core.clock.monotonicMs());
    const { jobs } = consumer;
    return { command: jobs.length > 0 && jobs.every((job) => job.stopped) ? 'stop' : 'continue' };
  }

  async release(request: {
    readonly consumerID: string;
    readonly jobID: number;
    readonly ranges: readonly { readonly rangeIndex: number; readonly attemptNr: number }[];
  }): Promise<void> {
    const job = this.#listen(request.consumerID, request.jobID);
    const task = job === undefined ? undefined : this.#core.tasks.get(job.taskID);
    if (job === undefined || task === undefined) return;
    for (const { rangeIndex, attemptNr } of request.ranges) {
      checkRange(task, rangeIndex);
      if (task.table.ownerOf(rangeIndex) !== job.jobID) continue;
      if (task.table.apply(rangeIndex, RANGE_ACTIONS.release, attemptNr) >= 0) task.table.totals.released += 1;
    }
    this.#core.bell.ring(task.taskID, 'work');
    await this.#core.commit.durable();
  }

  async leave(request: { readonly consumerID: string }): Promise<void> {
    const consumer = this.#core.consumers.find(request.consumerID);
    if (consumer === undefined) return;
    this.#core.consumers.silence(consumer, 'orphaned');
    this.#takeBacks.add(consumer, RANGE_ACTIONS.release);
    while (this.#core.consumers.has(consumer)) {
      if (this.#takeBacks.takeSlice()) await this.#core.betweenSlices();
    }
    await this.#core.commit.durable();
  }

  describeJob(jobID: number): JobDescription | undefined {
    const taskID = this.#core.taskOfJob(jobID);
    if (taskID === undefined) return undefined;
    const job = this.#core.consumers.job(jobID);
    if (job === undefined) return { jobID, taskID, consumerID: undefined, heldCount: 0, stopped: true };
    const { consumer, held, stopped } = job;
    return { jobID, taskID, consumerID: consumer.identity.consumerID, heldCount: held.total, stopped };
  }

  /** Looks for consumers that went away; true when there is more to do at once. */
  checkLeases(): boolean {
    const { consumers, clock, logger } = this.#core;
    const due = consumers.takeDue(clock.monotonicMs(), CONSUMERS_PER_CHECK);
    for (const consumer of due.expired) this.#expire(consumer, 'lease ended');
    for (const consumer of consumers.deadNeighbours()) this.#expire(consumer, 'process died');
    const more = this.#takeBacks.takeSlice();
    if (due.expired.length > 0) logger.warn({ consumers: due.expired.length }, 'leases ended');
    return more || due.more;
  }

  /** Gives back all that a job holds, at once and without cost. */
  releaseAll(task: Task, job: HeldJob): void {
    this.#takeBacks.releaseAll(task, job);
  }

  #expire(consumer: Consumer, reason: string): void {
    const held = consumer.jobs.reduce((sum, job) => sum + job.held.total, 0);
    this.#core.logger.info({ consumerID: consumer.identity.consumerID, held, reason }, 'consumer went away');
    this.#core.consumers.silence(consumer, 'expired');
    this.#takeBacks.add(consumer, RANGE_ACTIONS.expire);
  }

  /** The job, if its consumer may speak for it. */
  #listen(consumerID: string, jobID: number): HeldJob | undefined {
    const consumer = this.#core.consumers.find(consumerID);
    if (consumer === undefined) return undefined;
    this.#core.consumers.renew(consumer, this.#core.clock.monotonicMs());
    return consumer.jobs.find((job) => job.jobID === jobID);
  }

  #shareLeft(job: HeldJob): number {
    const share = this.#core.tasks.get(job.taskID)?.record.eventsPerJob ?? Number.POSITIVE_INFINITY;
    return share - job.eventsHandedOut;
  }

  #applyUpdate(task: Task, job: HeldJob | undefined, update: RangeUpdate): UpdateOutcome {
    const { table } = task;
    const { rangeIndex, attemptNr } = update;
    const before = table.wordAt(rangeIndex);
    const mayChange = isHeld(before) && table.ownerOf(rangeIndex) === job?.jobID && attemptOf(before) === attemptNr;
    if (!mayChange) return isRecorded(before, update) ? 'duplicate' : 'stale';
    if (update.kind === 'started') {
      return table.apply(rangeIndex, RANGE_ACTIONS.start, attemptNr) === REFUSALS.duplicate ? 'duplicate' : 'accepted';
    }
    if (update.kind === 'finished') {
      table.apply(rangeIndex, RANGE_ACTIONS.finish, attemptNr);
      table.noteLength(rangeIndex, update.wallMs);
      task.noteFinished(update, this.#core.clock.nowMs());
    } else {
      const after = table.apply(rangeIndex, RANGE_ACTIONS.fail, attemptNr);
      task.noteFailed(update, this.#core.clock.nowMs());
      if (stateOf(after) === RANGE_STATES.fatal) task.clearDeaths(rangeIndex);
      else this.#core.bell.ring(task.taskID, 'work');
    }
    return 'accepted';
  }
}

/** This very attempt has been recorded already: an echo, which must not cost the sender its files. */
function isRecorded(word: number, update: RangeUpdate): boolean {
  if (attemptOf(word) !== update.attemptNr) return false;
  const state = stateOf(word);
  if (isFinished(word) || state === RANGE_STATES.merged) return true;
  return update.kind === 'failed' && (state === RANGE_STATES.failed || state === RANGE_STATES.fatal);
}

function checkRange(task: Task, rangeIndex: number): void {
  if (Number.isSafeInteger(rangeIndex) && rangeIndex >= 0 && rangeIndex < task.table.plan.rangeCount) return;
  const count = task.table.plan.rangeCount;
  throw new GranuleError('REQUEST_INVALID', `task ${task.taskID} has no range ${rangeIndex} (it has ${count})`);
}
