/**
 * After the whole program died: what its consumers held is still marked as held. Before it is handed out again, complete
 * outputs that were found on disk may be adopted; then the rest is released, charging nothing. Whoever does neither has
 * it done at the first request for work.
 */
import type { RangeUpdate, UpdateOutcome } from '../core/dispatcher-api.ts';
import { RANGES_PER_CHUNK } from '../core/limits.ts';
import type { HeldJob } from './consumers.ts';
import type { DispatcherCore } from './dispatcher-core.ts';
import type { LeaseDesk } from './lease-desk.ts';
import { isThisBoot, type ProcessIdentity } from './process-identity.ts';
import { attemptOf, isHeld } from './range-word.ts';
import type { Task } from './task.ts';
import { RANGE_ACTIONS } from './transitions.ts';

/** A range that was in flight when the program died; its output, if complete, is named by these numbers. */
export interface AdoptableRange {
  readonly rangeIndex: number;
  readonly fileIndex: number;
  readonly startEvent: number;
  readonly lastEvent: number;
  readonly attemptNr: number;
  readonly jobID: number;
}

/** What a start found, for one line of report. Counts are of ranges, over all tasks. */
export interface RecoverySummary {
  /** the dispatcher before this one did not close the store */
  readonly afterDeath: boolean;
  /** it died on this boot of this host: what it wrote to files without flushing is there all the same */
  readonly sameBoot: boolean;
  /** finished or merged already: not done again */
  readonly committed: number;
  /** in flight when the program died */
  readonly held: number;
}

export class Recovery {
  readonly summary: RecoverySummary;
  readonly #core: DispatcherCore;
  /** jobs of consumers that died with the program, by task */
  readonly #deadJobs = new Map<number, HeldJob[]>();
  /** somebody has taken up what a death left, or there was no death */
  #takenUp: boolean;

  constructor(core: DispatcherCore, deadHolder: ProcessIdentity | undefined) {
    this.#core = core;
    this.#takenUp = deadHolder === undefined;
    for (const consumer of [...core.consumers.consumers()]) {
      if (consumer.state !== 'orphaned') continue;
      for (const job of [...consumer.jobs]) {
        if (job.held.total === 0) core.consumers.closeJob(job);
        else this.#deadJobs.set(job.taskID, [...(this.#deadJobs.get(job.taskID) ?? []), job]);
      }
      if (consumer.jobs.length === 0) core.consumers.forget(consumer);
    }
    let committed = 0;
    for (const { table } of core.tasks.values()) {
      committed += table.countOf('finished') + table.countOf('done') + table.countOf('merged');
    }
    const held = [...this.#deadJobs.values()].flat().reduce((sum, job) => sum + job.held.total, 0);
    const sameBoot = deadHolder === undefined || isThisBoot(deadHolder);
    this.summary = { afterDeath: deadHolder !== undefined, sameBoot, committed, held };
  }

  /** Nothing is left of the death of a program: a start that is refused before it looked leaves it to the next one. */
  get isOver(): boolean {
    return this.#takenUp && this.#deadJobs.size === 0;
  }

  /** In file order within each job. */
  *adoptable(task: Task): IterableIterator<AdoptableRange> {
    for (const job of this.#deadJobs.get(task.taskID) ?? []) {
      for (const rangeIndex of heldRanges(task, job)) {
        const attemptNr = attemptOf(task.table.wordAt(rangeIndex));
        yield { rangeIndex, ...task.table.plan.locate(rangeIndex), attemptNr, jobID: job.jobID };
      }
    }
  }

  /** Records what dead consumers had finished without saying so. */
  async adopt(
    task: Task,
    desk: LeaseDesk,
    updates: readonly Extract<RangeUpdate, { kind: 'finished' }>[],
  ): Promise<readonly UpdateOutcome[]> {
    const outcomes = new Array<UpdateOutcome>(updates.length).fill('stale');
    for (const job of this.#deadJobs.get(task.taskID) ?? []) {
      const places = updates.flatMap(({ rangeIndex }, place) =>
        task.table.ownerOf(rangeIndex) === job.jobID ? [place] : [],
      );
      const mine = places.map((place) => updates[place]).filter((update) => update !== undefined);
      const answers = await desk.applyUpdates(task, job, mine);
      for (const [index, place] of places.entries()) outcomes[place] = answers[index] ?? 'stale';
    }
    return outcomes;
  }

  /**
   * What dead consumers still hold becomes ready.
   *
   * @param inExecution ranges known to have been in execution when the program died; all held ones are taken for that
   * when it is not known
   */
  release(task: Task, desk: LeaseDesk, inExecution?: ReadonlySet<number>): void {
    this.#takenUp = true;
    const jobs = this.#deadJobs.get(task.taskID);
    if (jobs === undefined) return;
    this.#deadJobs.delete(task.taskID);
    const held = jobs.flatMap((job) => [...heldRanges(task, job)]);
    const givenUp = task.deaths.note(held, inExecution);
    for (const rangeIndex of givenUp) this.#quarantine(task, rangeIndex);
    // Both ways: a suspect that was held, but not in execution this time, has an alibi.
    const suspects = new Set(task.deaths.suspects());
    for (const rangeIndex of held) task.table.setSuspect(rangeIndex, suspects.has(rangeIndex));
    for (const job of jobs) {
      desk.releaseAll(task, job);
      this.#core.consumers.closeJob(job);
      if (job.consumer.jobs.length === 0) this.#core.consumers.forget(job.consumer);
    }
  }

  /** Before the first hand-out. */
  releaseRest(desk: LeaseDesk): void {
    this.#takenUp = true;
    if (this.#deadJobs.size === 0) return;
    for (const taskID of [...this.#deadJobs.keys()]) {
      const task = this.#core.tasks.get(taskID);
      if (task !== undefined) this.release(task, desk);
    }
    this.#deadJobs.clear();
  }

  #quarantine(task: Task, rangeIndex: number): void {
    const attemptNr = attemptOf(task.table.wordAt(rangeIndex));
    task.table.apply(rangeIndex, RANGE_ACTIONS.quarantine);
    task.table.setSuspect(rangeIndex, false);
    const message = `the whole program died with this range in execution, again and again (attempt ${attemptNr})`;
    const failure = { cause: 'killed-program', message, logTail: [] } as const;
    task.failures.add(rangeIndex, attemptNr, failure, this.#core.clock.nowMs());
  }
}

function* heldRanges(task: Task, job: HeldJob): Iterable<number> {
  for (const chunkIndex of job.held.chunks()) {
    const firstRange = chunkIndex * RANGES_PER_CHUNK;
    for (let offset = 0; offset < RANGES_PER_CHUNK; offset += 1) {
      const chunk = task.table.chunks.get(chunkIndex);
      if (isHeld(chunk.wordAt(offset)) && chunk.ownerAt(offset) === job.jobID) yield firstRange + offset;
    }
  }
}
