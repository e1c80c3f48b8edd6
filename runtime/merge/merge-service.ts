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
  MergerRequest,
  MergerThreadData,
} from './merge-messages.ts';
import { type Crossing, MergeThread } from './merge-thread.ts';
import { packItems } from './packed-items.ts';
import { type MergeThreads, type PartialOutput, StretchRunner, type StretchRunnerOptions } from './stretch-runner.ts';

export interface MergeServiceOptions extends StretchRunnerOptions {
  /** Called after each commit: fewer files are unmerged than before. */
  readonly onCommit: () => void;
  /** Called once, when merging cannot go on. */
  readonly onFailure: (error: unknown) => void;
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

  /** Makes the folders. The threads start with the first stretch. */
  static start(options: MergeServiceOptions & { readonly mode: MergeMode }): MergeService {
    const { folders, mode } = options;
    mkdirSync(folders.growing, { recursive: true });
    mkdirSync(folders.aggregation, { recursive: true });
    const merger = new MergeThread<MergerRequest, MergerReply>(
      builtModuleUrl('runtime/merge/merger.thread.ts'),
      { folders, mode } satisfies MergerThreadData,
      crossToMerger,
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
    const ranges = Math.ceil(MERGE_STRETCH_BYTES_MIN / Math.max(1, bytesPerRange));
    this.#rangesWorthAStretch = Math.min(MERGE_STRETCH_RANGES_MIN, ranges);
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
    if (this.#state !== 'open' || this.#paused) return;
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
        rangeCountMax: MERGE_STRETCH_RANGES_MAX,
        busyOutputs: [...this.#busy.keys()],
      });
      if (job === undefined) return;
      this.#busy.set(job.outputIndex, this.#merge(job));
    }
  }

  async #merge(job: MergeJob): Promise<void> {
    try {
      if (await this.#runner.run(job)) this.#options.onCommit();
    } catch (error) {
      this.#fail(error);
    }
    this.#busy.delete(job.outputIndex);
    this.#begin();
  }

  #fail(error: unknown): void {
    if (this.#state === 'failed') return;
    this.#state = 'failed';
    this.#failure = error;
    this.#options.onFailure(error);
  }
}

function crossToMerger(request: MergerRequest): Crossing {
  const items = packItems(request.items);
  const message: CrossingMergerRequest = { request: { ...request, items: [] }, items };
  return { message, transfer: [items.numbers.buffer] };
}
