/**
 * The merge service: lets each output grow while its task is processed, and completes it. Runs in the main thread; it
 * decides when a stretch of ranges is merged, `stretch-runner.ts` holds how, and two threads do the work.
 *
 * States: *open*, *failed* (an error was reported; nothing more is merged), *closed*.
 */
import { mkdirSync } from 'node:fs';
import type { MergeJob } from '../../core/dispatcher-api.ts';
import {
  MERGE_OUTPUTS_AT_ONCE,
  MERGE_STRETCH_BYTES_MAX,
  MERGE_STRETCH_BYTES_MIN,
  MERGE_STRETCH_RANGES_MAX,
  MERGE_STRETCH_RANGES_MIN,
} from '../../core/limits.ts';
import { builtModuleUrl } from '../../core/own-files.ts';
import type {
  CrossingMergerRequest,
  FollowerReply,
  FollowerRequest,
  FollowerThreadData,
  MergeMode,
  MergerReply,
  MergerThreadData,
} from './merge-messages.ts';
import { MergeThread } from './merge-thread.ts';
import {
  type AppendOutcome,
  isMergedToItsEnd,
  type MergeThreads,
  type PartialOutput,
  type PreparedStretch,
  StretchRunner,
  type StretchRunnerOptions,
} from './stretch-runner.ts';

export interface MergeServiceOptions extends StretchRunnerOptions {
  /** Called after each commit: fewer files are unmerged than before. */
  readonly onCommit: () => void;
  /** Called once, when merging cannot go on. */
  readonly onFailure: (error: unknown) => void;
}

export interface MergeServiceStart extends MergeServiceOptions {
  readonly mode: MergeMode;
  /** where workers leave copies of small outputs (`recent-outputs.ts`) */
  readonly recentOutputs?: SharedArrayBuffer | undefined;
}

export class MergeService {
  readonly #options: MergeServiceOptions;
  readonly #threads: MergeThreads;
  readonly #runner: StretchRunner;
  /** outputs that are being merged, and when they are done */
  readonly #busy = new Map<number, Promise<void>>();
  #state: 'open' | 'failed' | 'closed' = 'open';
  #failure: unknown;
  #scheduled: NodeJS.Immediate | undefined;
  /** while set, no new stretch is begun */
  #paused = false;
  /** while set, stretches need not be large */
  #flushing = false;
  #rangesWorthAStretch = MERGE_STRETCH_RANGES_MIN;
  #rangesInAStretch = MERGE_STRETCH_RANGES_MAX;

  /** Makes the folders. The threads start with the first stretch. */
  static start(options: MergeServiceStart): MergeService {
    const { folders, mode, recentOutputs } = options;
    const streams = options.streams.map(({ name }) => name);
    mkdirSync(folders.growing, { recursive: true });
    mkdirSync(folders.aggregation, { recursive: true });
    const merger = new MergeThread<CrossingMergerRequest, MergerReply>(
      builtModuleUrl('runtime/merge/merger.thread.ts'),
      { folders, mode, streams, recentOutputs } satisfies MergerThreadData,
      ({ items }) => [items.numbers.buffer],
    );
    const follower = new MergeThread<FollowerRequest, FollowerReply>(
      builtModuleUrl('runtime/merge/merge-follower.thread.ts'),
      { folders } satisfies FollowerThreadData,
    );
    return new MergeService({ merger, follower }, options);
  }

  /** Takes the threads over: they are closed with the service. */
  constructor(threads: MergeThreads, options: MergeServiceOptions) {
    this.#threads = threads;
    this.#options = options;
    this.#runner = new StretchRunner(threads, { ...options, onFailure: (error) => this.#fail(error) });
  }

  /** Large outputs are merged soon, small ones in large stretches. @param bytesPerRange of what is finished, the mean */
  expectOutputs(bytesPerRange: number): void {
    const rangesOf = (bytes: number) => Math.ceil(bytes / Math.max(1, bytesPerRange));
    this.#rangesWorthAStretch = Math.min(MERGE_STRETCH_RANGES_MIN, rangesOf(MERGE_STRETCH_BYTES_MIN));
    // Half of what the merger takes: where sizes vary, a stretch rarely ends before its last range.
    this.#rangesInAStretch = Math.min(MERGE_STRETCH_RANGES_MAX, rangesOf(MERGE_STRETCH_BYTES_MAX / 2));
  }

  /** Ranges have become terminal: looks for a stretch worth merging, soon. Cheap; call it as often as you like. */
  poke(): void {
    if (this.#scheduled !== undefined || this.#state !== 'open') return;
    this.#scheduled = setImmediate(() => {
      this.#scheduled = undefined;
      this.#begin();
    });
  }

  /**
   * Merges everything that can be merged now, in stretches however small: when hand-out waits for merging, and when
   * nothing more will come. Resolves when nothing is left to merge; rejects with the error if merging failed.
   */
  async flush(): Promise<void> {
    this.#flushing = true;
    try {
      this.#begin();
      await this.#idle();
    } finally {
      this.#flushing = false;
    }
    if (this.#state === 'failed') throw this.#failure;
  }

  /**
   * Writes what there is of each unfinished output, as complete files under their final names: what is merged, then all
   * finished ranges behind it, in order. Nothing is recorded and nothing removed; the complete files replace these
   * later. Outputs without a finished range are passed over.
   *
   * @throws OUTPUT_FAILED
   */
  async writePartialOutputs(): Promise<PartialOutput[]> {
    this.#paused = true;
    try {
      await this.#idle();
      if (this.#state === 'failed') throw this.#failure;
      const written: PartialOutput[] = [];
      for (const job of this.#options.api.unfinishedOutputs({ taskID: this.#options.taskID })) {
        if (job.progress.length === 0 && job.items.length === 0) continue;
        written.push(...(await this.#runner.snapshot(job)));
      }
      return written;
    } finally {
      this.#paused = false;
      this.poke();
    }
  }

  /** Finishes the stretches that are under way, then ends the threads. Twice is harmless. */
  async close(): Promise<void> {
    if (this.#state === 'open') this.#state = 'closed';
    if (this.#scheduled !== undefined) clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    await this.#idle();
    await Promise.all([this.#threads.merger.close(), this.#threads.follower.close()]);
  }

  async #idle(): Promise<void> {
    while (this.#busy.size > 0) await Promise.all(this.#busy.values());
  }

  #begin(): void {
    if (!this.#isTaking()) return;
    try {
      this.#beginStretches();
    } catch (error) {
      this.#fail(error);
    }
  }

  #beginStretches(): void {
    const { api, taskID } = this.#options;
    while (this.#busy.size < MERGE_OUTPUTS_AT_ONCE) {
      const job = api.nextMergeJob({
        taskID,
        rangeCountMin: this.#flushing ? 1 : this.#rangesWorthAStretch,
        rangeCountMax: this.#rangesInAStretch,
        busyOutputs: [...this.#busy.keys()],
      });
      if (job === undefined) return;
      this.#busy.set(job.outputIndex, this.#merge(job));
    }
  }

  async #merge(job: MergeJob): Promise<void> {
    try {
      await this.#mergeStretches(job);
    } catch (error) {
      this.#fail(error);
    }
    this.#busy.delete(job.outputIndex);
    this.#begin();
  }

  /**
   * Merges a stretch and those that follow it by then. While one is appended, the next is made ready; while the next is
   * appended, the one before is committed. A kill finds the growing file longer than committed, which is cut off.
   */
  async #mergeStretches(first: MergeJob): Promise<void> {
    let settled = Promise.resolve();
    try {
      let stretch = this.#runner.prepare(first);
      let appending = heldBack(this.#runner.append(stretch));
      for (;;) {
        const next = this.#prepareBehind(stretch);
        const outcome = await appending;
        const goesOn = next !== undefined && this.#isTaking() && isMergedToItsEnd(stretch, outcome);
        if (goesOn) appending = heldBack(this.#runner.append(next, outcome.progress));
        await settled;
        settled = heldBack(this.#settle(stretch, outcome));
        if (!goesOn) return;
        stretch = next;
      }
    } finally {
      await settled;
    }
  }

  async #settle(stretch: PreparedStretch, outcome: AppendOutcome): Promise<void> {
    if (await this.#runner.settle(stretch, outcome)) this.#options.onCommit();
  }

  /** The stretch behind one that was just begun, if it is a large one: small ones grow while they wait. */
  #prepareBehind({ job }: PreparedStretch): PreparedStretch | undefined {
    if (job.last || job.amend !== undefined || !this.#isTaking()) return undefined;
    const next = this.#options.api.nextMergeJob({
      taskID: job.taskID,
      rangeCountMin: this.#rangesWorthAStretch,
      rangeCountMax: this.#rangesInAStretch,
      busyOutputs: [],
      behindOutput: job.outputIndex,
    });
    return next === undefined ? undefined : this.#runner.prepare(next);
  }

  #isTaking(): boolean {
    return this.#state === 'open' && !this.#paused;
  }

  #fail(error: unknown): void {
    if (this.#state === 'failed') return;
    this.#state = 'failed';
    this.#failure = error;
    this.#options.onFailure(error);
  }
}

/** The promise, which may reject before somebody awaits it, or when nobody will because another failed before. */
function heldBack<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(() => undefined);
  return promise;
}
