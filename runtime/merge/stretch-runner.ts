/**
 * Takes merge jobs through the merge's protocol. Runs in the main thread, where it only passes messages
 * between the dispatcher, the *merger* thread (reads, checks, appends) and the *follower* thread (hashes, publishes,
 * removes).
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
 * Steps 1 and 2 of the stretch behind may come before step 4: what they append is beyond the journal's length.
 *
 * An unmerged file that is missing or altered ends the stretch before its range; what precedes it is appended, and the
 * range, and every other damaged one of the stretch, is handed back by `failMerge`. A growing file that is missing or
 * shorter than the journal says is beyond repair: its output is reset, and its events are made again.
 *
 * A complete output whose missing ranges were made after all (`granule retry`) is amended: its files are written anew
 * with them in place, see `amender.ts`; steps 3 to 5 are the same.
 */
import { assert } from '../../core/assert.ts';
import type { MergeApi, MergedFile, MergeJob, StreamProgress, TaskFile } from '../../core/dispatcher-api.ts';
import { type GranuleError, isGranuleError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { outputFormat } from '../../payloads/formats/registry.ts';
import type {
  Appended,
  CrossingMergerRequest,
  FilesGrown,
  FollowerReply,
  FollowerRequest,
  MergeFolders,
  MergerReply,
  MergerRequest,
  MergeTarget,
} from './merge-messages.ts';
import { growingPath } from './merge-stream-writer.ts';
import type { RequestHandler } from './merge-thread.ts';
import { type MergeStream, mergedFileName, type OutputNaming, streamFormat } from './output-names.ts';
import { type PackedItems, packItems } from './packed-items.ts';

export interface MergeThreads {
  readonly merger: RequestHandler<CrossingMergerRequest, MergerReply>;
  readonly follower: RequestHandler<FollowerRequest, FollowerReply>;
}

export interface StretchRunnerOptions {
  readonly api: MergeApi;
  readonly taskID: number;
  readonly folders: MergeFolders;
  /** all streams that the payload declares: each output gets a file of each, if need be without records */
  readonly streams: readonly MergeStream[];
  readonly naming: OutputNaming;
  readonly inputFile: (fileIndex: number) => TaskFile;
  readonly log: Logger;
  /** Called when something failed that nobody waits for. */
  readonly onFailure: (error: unknown) => void;
}

/** A merge job, ready to be handed to the merger. */
export interface PreparedStretch {
  readonly job: MergeJob;
  readonly targets: readonly MergeTarget[];
  readonly items: PackedItems;
}

export type AppendOutcome =
  | MergerReply
  /** the output's format cannot hold these items together */
  | { readonly kind: 'unmergeable'; readonly error: GranuleError };

/** A merged file of an output that is not complete. */
export interface PartialOutput extends MergedFile {
  readonly outputIndex: number;
}

export class StretchRunner {
  readonly #options: StretchRunnerOptions;
  readonly #threads: MergeThreads;
  /** resolves when the follower has done all it was given */
  #followed: Promise<unknown> = Promise.resolve();

  constructor(threads: MergeThreads, options: StretchRunnerOptions) {
    this.#threads = threads;
    this.#options = options;
  }

  prepare(job: MergeJob): PreparedStretch {
    return { job, targets: this.#targets(job.outputIndex), items: packItems(job.items) };
  }

  /**
   * Has the stretch appended. One at a time for an output. Rejects when merging cannot go on (disk, a bug).
   *
   * @param progress of the output by now
   */
  async append(
    { job, targets, items }: PreparedStretch,
    progress: readonly StreamProgress[] = job.progress,
  ): Promise<AppendOutcome> {
    const { last, amend } = job;
    const request: MergerRequest =
      amend === undefined
        ? { kind: 'append', targets, progress, items: [], last }
        : { kind: 'amend', targets, items: [], files: amend.files, gaps: amend.gaps };
    try {
      return await this.#threads.merger.request({ request, items });
    } catch (error) {
      if (!isGranuleError(error) || error.code !== 'OUTPUT_UNMERGEABLE') throw error;
      return { kind: 'unmergeable', error };
    }
  }

  /**
   * Commits what was appended and hands back what was damaged. In the order of the stretches. Rejects when merging cannot
   * go on (disk, store, a bug).
   *
   * @param outcome what `append` returned
   * @returns true when something was committed: fewer files are unmerged than before
   */
  async settle({ job, targets }: PreparedStretch, outcome: AppendOutcome): Promise<boolean> {
    if (outcome.kind === 'unmergeable') {
      await this.#giveUp(job, outcome.error);
      return false;
    }
    if (outcome.kind === 'lost') {
      await this.#reset(job, targets, outcome.message);
      return false;
    }
    assert(outcome.kind === 'appended', 'the merger answers what it was asked');
    const committed = outcome.throughRange !== null || outcome.complete !== null;
    if (committed) await this.#commit(job, targets, outcome);
    if (outcome.damaged.length > 0) await this.#handBack(job, outcome);
    return committed;
  }

  /** Writes complete files of an unfinished output; changes nothing. Empty when what was merged of it is lost. */
  async snapshot(job: MergeJob): Promise<PartialOutput[]> {
    const { log } = this.#options;
    const { progress, outputIndex } = job;
    const { targets, items } = this.prepare(job);
    const request: MergerRequest = { kind: 'snapshot', targets, progress, items: [] };
    const reply = await this.#threads.merger.request({ request, items });
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

  async #commit(job: MergeJob, targets: readonly MergeTarget[], appended: Appended): Promise<void> {
    const { api, taskID } = this.#options;
    const { progress, gaps, complete, removable } = appended;
    let completed: readonly MergedFile[] | undefined;
    if (complete !== null) {
      const reply = await this.#threads.follower.request({ kind: 'publish', files: complete });
      assert(reply.kind === 'published', 'the follower answers what it was asked');
      completed = reply.files;
    }
    const throughRange = complete === null ? appended.throughRange : job.firstRange + job.rangeCount - 1;
    assert(throughRange !== null, 'something was appended');
    // What a commit takes out of the table lies on disk until it is removed: never more than one stretch of an output.
    await this.#followed;
    const commit = { taskID, outputIndex: job.outputIndex, throughRange, progress, gaps };
    await api.commitMerge(completed === undefined ? commit : { ...commit, completed });
    const leftovers = complete?.flatMap(({ path, keep }) => (keep === null ? [path] : [path, keep])) ?? [];
    this.#follow({ kind: 'remove', unmerged: removable, growing: leftovers });
    if (complete === null) this.#follow({ kind: 'grown', files: this.#grown(targets, progress) });
  }

  #grown(targets: readonly MergeTarget[], progress: readonly StreamProgress[]): FilesGrown['files'] {
    return targets.flatMap((target) => {
      const stream = progress.find((candidate) => candidate.stream === target.stream);
      if (stream === undefined) return [];
      return [{ path: growingPath(this.#options.folders, target), sizeBytes: stream.offsetBytes }];
    });
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

  async #giveUp({ outputIndex }: MergeJob, error: GranuleError): Promise<void> {
    const { api, taskID, log } = this.#options;
    log.error({ outputIndex, problem: error.message, remedy: error.remedy }, 'an output cannot be merged');
    await api.failMerge({ taskID, outputIndex, damaged: [] });
  }

  async #reset(job: MergeJob, targets: readonly MergeTarget[], message: string): Promise<void> {
    const { api, taskID, folders, log } = this.#options;
    const { outputIndex } = job;
    log.error({ outputIndex, problem: message }, 'merged events are lost; they are made again');
    await api.resetOutput({ taskID, outputIndex, message });
    const growing = targets.map((target) => growingPath(folders, target));
    await this.#threads.follower.request({ kind: 'forget', growing });
  }

  /** Sends what nobody waits for. */
  #follow(request: FollowerRequest): void {
    this.#followed = this.#threads.follower.request(request).catch(this.#options.onFailure);
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

/** All of it was appended, and the output goes on: the stretch behind it can be. */
export function isMergedToItsEnd({ job }: PreparedStretch, outcome: AppendOutcome): outcome is Appended {
  if (outcome.kind !== 'appended' || outcome.complete !== null || outcome.damaged.length > 0) return false;
  return outcome.throughRange === job.items.at(-1)?.rangeIndex;
}
