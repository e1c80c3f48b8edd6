/** Where the merger comes: stretches worth merging, what was merged of them, and what could not be. */
import type { CompletedFile, MergeApi, MergeJob } from '../core/dispatcher-api.ts';
import { GranuleError } from '../core/errors.ts';
import type { DispatcherCore } from './dispatcher-core.ts';
import type { Task } from './task.ts';

export class MergeDesk implements MergeApi {
  readonly #core: DispatcherCore;

  constructor(core: DispatcherCore) {
    this.#core = core;
  }

  nextMergeJob(request: Parameters<MergeApi['nextMergeJob']>[0]): MergeJob | undefined {
    const task = this.#core.task(request.taskID);
    if (task.record.cancelled) return undefined;
    return task.merge.next({ ...request, pressure: task.underPressure, sealed: task.record.sealed });
  }

  async commitMerge(request: Parameters<MergeApi['commitMerge']>[0]): Promise<void> {
    const task = this.#core.task(request.taskID);
    task.merge.merged(request);
    this.#core.bell.ring(request.taskID, 'work');
    await this.#core.commit.durable();
    task.outputs.forgetComplete(request.outputIndex);
  }

  async failMerge(request: Parameters<MergeApi['failMerge']>[0]): Promise<void> {
    const task = this.#outputOf(request);
    for (const { rangeIndex, message } of task.merge.failed(request.outputIndex, request.damaged)) {
      const failure = { cause: 'merge-failed', message, logTail: [] } as const;
      task.failures.add(rangeIndex, task.attemptOf(rangeIndex), failure, this.#core.clock.nowMs());
    }
    this.#core.bell.ring(request.taskID, 'work');
    await this.#core.commit.durable();
  }

  async resetOutput(request: Parameters<MergeApi['resetOutput']>[0]): Promise<void> {
    const task = this.#outputOf(request);
    const { taskID, outputIndex, message } = request;
    this.#core.logger.warn({ taskID, outputIndex, reason: message }, 'output is made again');
    task.merge.reset(outputIndex);
    this.#core.bell.ring(taskID, 'work');
    await this.#core.commit.durable();
  }

  unfinishedOutputs(request: Parameters<MergeApi['unfinishedOutputs']>[0]): IterableIterator<MergeJob> {
    return this.#core.task(request.taskID).merge.unfinished();
  }

  /** Files at the aggregation point that are recorded and not merged: all others there are nobody's. */
  unmergedFiles(taskID: number): ReadonlySet<string> {
    return new Set(this.#core.task(taskID).outputLog.files());
  }

  /** Merged files of outputs that were completed so far, in no order. */
  completedFiles(taskID: number): IterableIterator<CompletedFile> {
    return this.#core.task(taskID).outputs.completedFiles();
  }

  #outputOf({ taskID, outputIndex }: { readonly taskID: number; readonly outputIndex: number }): Task {
    const task = this.#core.task(taskID);
    const { outputCount } = task.table.plan;
    if (Number.isSafeInteger(outputIndex) && outputIndex >= 0 && outputIndex < outputCount) return task;
    throw new GranuleError('REQUEST_INVALID', `task ${taskID} has no output ${outputIndex} (it has ${outputCount})`);
  }
}
