/**
 * What silent or leaving consumers held goes back to the ranges that wait, in slices: a million of them keep nobody
 * waiting. Oldest first; a consumer is forgotten when the last of its ranges is taken back.
 */
import { assert } from '../core/assert.ts';
import { EXPIRY_SLICE_RANGES, RANGES_PER_CHUNK } from '../core/limits.ts';
import { RANGE_STATES } from '../core/states.ts';
import type { Consumer, HeldJob } from './consumers.ts';
import type { DispatcherCore } from './dispatcher-core.ts';
import { attemptOf, isHeld, lossesOf, stateOf } from './range-word.ts';
import type { Task } from './task.ts';
import { RANGE_ACTIONS } from './transitions.ts';

/** What looking through a chunk, and writing it, costs beside what is taken back in it, in ranges. */
const RANGES_WORTH_A_CHUNK = 40;

interface TakeBack {
  readonly job: HeldJob;
  readonly action: typeof RANGE_ACTIONS.release | typeof RANGE_ACTIONS.expire;
}

export class TakeBackQueue {
  readonly #core: DispatcherCore;
  /** those before the place are done */
  #waiting: TakeBack[] = [];
  #place = 0;

  constructor(core: DispatcherCore) {
    this.#core = core;
  }

  /** All that a deaf consumer holds; charged as a loss when its lease ended. */
  add(consumer: Consumer, action: TakeBack['action']): void {
    for (const job of [...consumer.jobs]) {
      if (job.held.total > 0) this.#waiting.push({ job, action });
      else this.#core.consumers.closeJob(job);
    }
    if (consumer.jobs.length === 0) this.#core.consumers.forget(consumer);
  }

  /** Takes back some of what silent consumers held; true when there is more. */
  takeSlice(): boolean {
    let left = EXPIRY_SLICE_RANGES;
    for (;;) {
      const next = this.#waiting[this.#place];
      if (next === undefined) {
        this.#waiting = [];
        this.#place = 0;
        return false;
      }
      if (left <= 0) return true;
      const task = this.#core.tasks.get(next.job.taskID);
      if (task !== undefined) left -= this.#takeBack(task, next, left);
      if (task !== undefined && next.job.held.total > 0) continue;
      this.#place += 1;
      this.#core.consumers.closeJob(next.job);
      if (next.job.consumer.jobs.length === 0) this.#core.consumers.forget(next.job.consumer);
    }
  }

  /** Gives back all that a job holds, at once and without cost. */
  releaseAll(task: Task, job: HeldJob): void {
    while (job.held.total > 0) this.#takeBack(task, { job, action: RANGE_ACTIONS.release }, job.held.total);
  }

  /** Whole chunks until `countMax` is reached; returns how many ranges were taken back, or what was as much work. */
  #takeBack(task: Task, { job, action }: TakeBack, countMax: number): number {
    const { table } = task;
    let done = 0;
    for (const chunkIndex of job.held.chunks()) {
      if (done >= countMax) break;
      done += RANGES_WORTH_A_CHUNK;
      const chunk = table.chunks.get(chunkIndex);
      for (let offset = 0; job.held.has(chunkIndex); offset += 1) {
        assert(offset < RANGES_PER_CHUNK, 'what a job holds is in its chunks');
        const word = chunk.wordAt(offset);
        if (!isHeld(word) || chunk.ownerAt(offset) !== job.jobID) continue;
        done += 1;
        const rangeIndex = chunk.firstRange + offset;
        const after = table.apply(rangeIndex, action, attemptOf(word));
        if (action === RANGE_ACTIONS.release) table.totals.released += 1;
        else table.totals.lost += 1;
        if (stateOf(after) === RANGE_STATES.fatal) this.#noteLost(task, rangeIndex, after);
      }
    }
    table.noteProgress();
    this.#core.bell.ring(task.taskID, 'work');
    return done;
  }

  #noteLost(task: Task, rangeIndex: number, word: number): void {
    const message = `its consumer went away ${lossesOf(word)} times while it was held (attempt ${attemptOf(word)})`;
    const failure = { cause: 'lost', message, logTail: [] } as const;
    task.failures.add(rangeIndex, attemptOf(word), failure, this.#core.clock.nowMs());
  }
}
