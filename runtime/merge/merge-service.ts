/**
 * The merge service: lets each output grow while its task is processed, and completes it. Runs in the main thread, where
 * it only asks the dispatcher for stretches and passes them to its two threads: the *merger* reads, checks and appends,
 * the *follower* hashes, publishes and removes.
 *
 * One stretch of an output, in this order; a kill between any two steps is undone or repeated at the next start:
 *
 * 1. The growing files are opened at the length that the journal (the dispatcher's store) names; what a kill left beyond
 *    it is cut off.
 * 2. The stretch is appended and flushed, with the file's name if it is new.
 * 3. If the output ends here: trailers are appended and flushed, the files are renamed into OUT, the folders are flushed.
 *    Killed after a rename, the next start finds the file in OUT by its inode number and takes it back.
 * 4. `commitMerge` makes the new length, and the completion, the truth.
 * 5. The unmerged files are removed. Killed here, those left are in no table and are swept at the next start.
 *
 * An unmerged file that is missing or altered ends the stretch before its range; what precedes it is appended, and the
 * range, and every other damaged one of the stretch, is handed back by `failMerge`. A growing file that is missing or
 * shorter than the journal says is beyond repair: its output is reset, and its events are made again.
 *
 * States: *open*, *failed* (an error was reported; nothing more is merged), *closed*.
 */
import { mkdirSync } from 'node:fs';
import { assert } from '../../core/assert.ts';
import type { MergeApi, MergedFile, MergeJob, TaskFile } from '../../core/dispatcher-api.ts';
import {
  MERGE_OUTPUTS_AT_ONCE,
  MERGE_STRETCH_BYTES_MIN,
  MERGE_STRETCH_RANGES_FIRST,
  MERGE_STRETCH_RANGES_MAX,
  MERGE_STRETCH_RANGES_MIN,
} from '../../core/limits.ts';
import type { Logger } from '../../core/log.ts';
import { threadEntryUrl } from '../../core/thread-entry.ts';
import { outputFormat } from '../../payloads/formats/registry.ts';
import type {
  Appended,
  FollowerReply,
  FollowerRequest,
  FollowerThreadData,
  MergeFolders,
  MergeMode,
  MergerReply,
  MergerRequest,
  MergerThreadData,
  MergeTarget,
} from './merge-messages.ts';
import { growingPath } from './merge-stream-writer.ts';
import { MergeThread, type RequestHandler } from './merge-thread.ts';
import { type MergeStream, mergedFileName, type OutputNaming, streamFormat } from './output-names.ts';

export interface MergeThreads {
  readonly merger: RequestHandler<MergerRequest, MergerReply>;
  readonly follower: RequestHandler<FollowerRequest, FollowerReply>;
}

export interface MergeServiceOptions {
  readonly api: MergeApi;
  readonly taskID: number;
  readonly folders: MergeFolders;
  /** all streams that the payload declares: each output gets a file of each, if need be without records */
  readonly streams: readonly MergeStream[];
  readonly naming: OutputNaming;
  readonly inputFile: (fileIndex: number) => TaskFile;
  readonly log: Logger;
  /** Called after each commit: fewer files are unmerged than before. */
  readonly onCommit: () => void;
  /** Called once, when merging cannot go on. */
  readonly onFailure: (error: unknown) => void;
}

/** A merged file of an output that is not complete. */
export interface PartialOutput extends MergedFile {
  readonly outputIndex: number;
}

export class MergeService {
  readonly #options: MergeServiceOptions;
  readonly #threads: MergeThreads;
  readonly #busy = new Map<number, Promise<void>>();
  #state: 'open' | 'failed' | 'closed' = 'open';
  #failure: unknown;
  #scheduled: NodeJS.Immediate | undefined;
  /** while set, no new stretch is begun */
  #paused = false;
  /** while set, stretches need not be large */
  #flushing = false;
  #rangesWorthAStretch = MERGE_STRETCH_RANGES_FIRST;

  /** Makes the folders and starts the threads. */
  static start(options: MergeServiceOptions & { readonly mode: MergeMode }): MergeService {
    const { folders, mode } = options;
    mkdirSync(folders.growing, { recursive: true });
    mkdirSync(folders.aggregation, { recursive: true });
    const merger = new MergeThread<MergerRequest, MergerReply>(threadEntryUrl(import.meta.url, './merger.thread.ts'), {
      folders,
      mode,
    } satisfies MergerThreadData);
    const follower = new MergeThread<FollowerRequest, FollowerReply>(
      threadEntryUrl(import.meta.url, './merge-follower.thread.ts'),
      { folders } satisfies FollowerThreadData,
    );
    return new MergeService({ merger, follower }, options);
  }

  /** Takes the threads over: they are closed with the service. */
  constructor(threads: MergeThreads, options: MergeServiceOptions) {
    this.#threads = threads;
    this.#options = options;
  }

  /** Ranges have become terminal: looks for a stretch worth merging, soon. Cheap; call it as often as you like. */
  poke(): void {
    if (this.#scheduled !== undefined) return;
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
        written.push(...(await this.#snapshot(job)));
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
      const { outputIndex } = job;
      const done = this.#merge(job).then(
        () => this.#busy.delete(outputIndex),
        (error: unknown) => {
          this.#busy.delete(outputIndex);
          this.#fail(error);
        },
      );
      this.#busy.set(
        outputIndex,
        done.then(() => this.#begin()),
      );
    }
  }

  #fail(error: unknown): void {
    if (this.#state === 'failed') return;
    this.#state = 'failed';
    this.#failure = error;
    this.#options.onFailure(error);
  }

  async #merge(job: MergeJob): Promise<void> {
    const targets = this.#targets(job.outputIndex);
    const { items, progress, last } = job;
    const reply = await this.#threads.merger.request({ kind: 'append', targets, progress, items, last });
    if (reply.kind === 'lost') return this.#reset(job, targets, reply.message);
    assert(reply.kind === 'appended', 'the merger answers what it was asked');
    if (reply.throughRange !== null) await this.#commit(job, targets, reply);
    if (reply.damaged.length > 0) await this.#handBack(job, reply);
  }

  async #commit(job: MergeJob, targets: readonly MergeTarget[], appended: Appended): Promise<void> {
    const { api, taskID, folders, onCommit } = this.#options;
    const { throughRange, progress, gaps, complete } = appended;
    assert(throughRange !== null, 'something was appended');
    let completed: readonly MergedFile[] | undefined;
    if (complete !== null) {
      const reply = await this.#threads.follower.request({ kind: 'publish', files: complete });
      assert(reply.kind === 'published', 'the follower answers what it was asked');
      completed = reply.files;
    }
    const { outputIndex } = job;
    const commit = { taskID, outputIndex, throughRange, progress, gaps };
    await api.commitMerge(completed === undefined ? commit : { ...commit, completed });
    this.#learn(throughRange - (job.items[0]?.rangeIndex ?? throughRange) + 1, appended.takenBytes);
    onCommit();
    const growing = targets.map((target) => growingPath(folders, target));
    if (completed === undefined) {
      const files = progress.map(({ offsetBytes }, index) => ({ path: growing[index] ?? '', sizeBytes: offsetBytes }));
      this.#follow({ kind: 'grown', files });
    }
    this.#follow({
      kind: 'remove',
      unmerged: appended.removable,
      growing: completed === undefined ? [] : growing,
    });
  }

  /** Sends what nobody waits for. */
  #follow(request: FollowerRequest): void {
    this.#threads.follower.request(request).catch((error: unknown) => this.#fail(error));
  }

  /** Small outputs are merged in large stretches, large ones soon. */
  #learn(rangeCount: number, takenBytes: number): void {
    const ranges = Math.ceil((MERGE_STRETCH_BYTES_MIN * rangeCount) / Math.max(1, takenBytes));
    this.#rangesWorthAStretch = Math.min(MERGE_STRETCH_RANGES_MIN, ranges);
  }

  async #handBack(job: MergeJob, { damaged }: Appended): Promise<void> {
    const { api, taskID, log } = this.#options;
    const items = new Map(job.items.map((item) => [item.rangeIndex, item]));
    const files: string[] = [];
    const described = damaged.map(({ rangeIndex, message }) => {
      const item = items.get(rangeIndex);
      assert(item?.kind === 'finished', 'damage is found in items of the job');
      const event = `${this.#options.inputFile(item.fileIndex).lfn}:${item.startEvent}`;
      log.warn({ event, rangeIndex, problem: message }, 'an unmerged output is damaged; the event is made again');
      for (const record of item.outputs) if (record.headerBytes === undefined) files.push(record.file);
      return { rangeIndex, message: `${event}: ${message}` };
    });
    await api.failMerge({ taskID, outputIndex: job.outputIndex, damaged: described });
    this.#follow({ kind: 'remove', unmerged: files.join('\n'), growing: [] });
  }

  async #reset(job: MergeJob, targets: readonly MergeTarget[], message: string): Promise<void> {
    const { api, taskID, folders, log } = this.#options;
    const growing = targets.map((target) => growingPath(folders, target));
    log.error({ outputIndex: job.outputIndex, problem: message }, 'merged events are lost; they are made again');
    await api.resetOutput({ taskID, outputIndex: job.outputIndex, message });
    await this.#threads.follower.request({ kind: 'forget', growing });
  }

  async #snapshot(job: MergeJob): Promise<PartialOutput[]> {
    const { log } = this.#options;
    const { progress, items, outputIndex } = job;
    const targets = this.#targets(outputIndex);
    const reply = await this.#threads.merger.request({ kind: 'snapshot', targets, progress, items });
    if (reply.kind === 'lost') {
      log.error({ outputIndex, problem: reply.message }, 'no partial output: what was merged of it is lost');
      return [];
    }
    assert(reply.kind === 'snapshot', 'the merger answers what it was asked');
    for (const { rangeIndex, message } of reply.damaged) {
      log.warn({ rangeIndex, problem: message }, 'an unmerged output is damaged and not in the partial output');
    }
    const published = await this.#threads.follower.request({ kind: 'publish', files: reply.files });
    assert(published.kind === 'published', 'the follower answers what it was asked');
    this.#follow({ kind: 'remove', unmerged: '', growing: reply.files.map(({ path }) => path) });
    return published.files.map((file) => ({ ...file, outputIndex }));
  }

  #targets(outputIndex: number): MergeTarget[] {
    const { streams, naming, inputFile } = this.#options;
    // Outputs named after the task may span files; checkOutputFormats has seen to it that these have one format.
    const file = inputFile(naming.kind === 'input-file' ? outputIndex : 0);
    return streams.map((stream) => {
      const format = streamFormat(stream, file.format);
      const extension = outputFormat(format).fileExtension;
      const fileName = mergedFileName(naming, { outputIndex, lfn: file.lfn }, stream.name, extension);
      return { stream: stream.name, format, fileName };
    });
  }
}
