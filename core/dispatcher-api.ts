/**
 * What a runtime asks of a dispatcher, be it in the same process or behind HTTP. All calls are durable before they
 * answer, except `heartbeat` and `started` updates, which are kept in memory.
 *
 * Ranges are addressed by `rangeIndex`: the 0-based place of a range in its task (files in task order, positions in
 * file order). The printed `eventRangeID` is made of the same facts: see `core/ids.ts`.
 */
import type { FormatName } from './file-index.ts';
import type { Guid } from './ids.ts';
import type { FailureCause } from './states.ts';

/** An input file as the dispatcher knows it. */
export interface TaskFile {
  /** 0-based place in the task's list; `fileID` of an eventRangeID is this plus one */
  readonly fileIndex: number;
  readonly guid: Guid;
  readonly lfn: string;
  readonly format: FormatName;
  /** events in the file */
  readonly eventCount: number;
  /** chosen positions as inclusive 1-based intervals, sorted, disjoint; all events when absent */
  readonly selection?: readonly (readonly [first: number, last: number])[];
}

/** A range in the hands of a consumer. */
export interface LeasedRange {
  readonly rangeIndex: number;
  readonly fileIndex: number;
  /** 1-based, both ends included */
  readonly startEvent: number;
  readonly lastEvent: number;
  /** counts hand-outs from 1 */
  readonly attemptNr: number;
  /** executions of it that ended badly so far; a range of several events is split the last time */
  readonly failures: number;
  /**
   * set when the whole program died several times with this range in flight: run it alone, in a child process. It comes
   * alone in its answer.
   */
  readonly suspect?: boolean;
}

/**
 * One output of one finished range: which bytes of which unmerged file belong to it.
 *
 * - A file of one range (`headerBytes` absent): `offsetBytes` is 0, `lengthBytes` is the file's size, header and end
 *   included, and `crc32` is that of the whole file.
 * - A file shared by several ranges (`headerBytes` present): the file as a whole is `begin`, records, `end`, its first
 *   `headerBytes` bytes are what `begin` wrote; `offsetBytes` and `lengthBytes` name this range's records only, and
 *   `crc32` is that of the header followed by them. A shared file has one header: where the run information or the
 *   input format changes, the sequencer begins another file. All its ranges are reported after the file is complete.
 *
 * A range may have several records for one stream; they are joined in the order given.
 */
export interface OutputRecord {
  readonly stream: string;
  /** path below the aggregation point */
  readonly file: string;
  /** half-open range in that file */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** set for a file shared by several ranges: length of the header at its beginning */
  readonly headerBytes?: number;
  /** CRC-32 (zlib's) of the range's bytes, in a shared file of header and range's bytes */
  readonly crc32: number;
  /** records (events) in those bytes */
  readonly recordCount: number;
}

/** Why a range failed: bounded text, kept in the store while the range is not finished. */
export interface Failure {
  readonly cause: FailureCause;
  /** one line */
  readonly message: string;
  /** the payload's last log lines and, for a child, its stderr */
  readonly logTail: readonly string[];
  readonly stack?: string;
  readonly signal?: string;
  readonly childExitCode?: number;
  /** position of the event in a range of several, 1-based in the file */
  readonly position?: number;
}

/** An event of a range of several that failed for good while others of the range did not. */
export interface FailedEvent {
  /** 1-based in the file */
  readonly position: number;
  readonly failure: Failure;
}

export type RangeUpdate =
  | { readonly kind: 'started'; readonly rangeIndex: number; readonly attemptNr: number }
  | {
      readonly kind: 'finished';
      readonly rangeIndex: number;
      readonly attemptNr: number;
      readonly outputs: readonly OutputRecord[];
      /** events the outputs lack, in order: the last permitted attempt leaves out what fails; none as a rule */
      readonly failedEvents?: readonly FailedEvent[] | null;
      /** time in `execute` */
      readonly wallMs: number;
      readonly cpuMs: number;
    }
  | {
      readonly kind: 'failed';
      readonly rangeIndex: number;
      readonly attemptNr: number;
      readonly failure: Failure;
      /** set when each event of the range failed by itself */
      readonly failedEvents?: readonly FailedEvent[] | null;
    };

/**
 * - `accepted`: recorded, durably
 * - `duplicate`: this very attempt was already recorded as finished; nothing changed, the output stays
 * - `stale`: a later attempt exists or the range is no longer open: the sender removes its files
 */
export type UpdateOutcome = 'accepted' | 'duplicate' | 'stale';

export interface Job {
  readonly taskID: number;
  /** PandaID */
  readonly jobID: number;
  readonly kind: 'process';
}

export interface ConsumerIdentity {
  /** chosen by the consumer, unique per start */
  readonly consumerID: string;
  readonly host: string;
  readonly pid: number;
}

export interface GetJobRequest {
  readonly consumer: ConsumerIdentity;
  /** of this task only */
  readonly taskID?: number;
  /** also when nothing is ready: see {@link DispatcherApi.getJob} */
  readonly orIdle?: boolean;
}

export interface HeartbeatAnswer {
  /** `stop`: the job was cancelled; give everything back and leave */
  readonly command: 'continue' | 'stop';
}

export interface DispatcherApi {
  /**
   * The next job with ready ranges, highest priority first; undefined when there is none. With `orIdle` also one of a task
   * in which nothing is ready: what is merged yet may turn out damaged, and is ready again then.
   */
  getJob(request: GetJobRequest): Promise<Job | undefined>;
  /**
   * Up to `rangeCount` ranges (capped by `RANGES_PER_REQUEST_MAX`): returned ranges first, then in file order.
   * An empty answer says that nothing is ready now.
   */
  getEventRanges(request: {
    readonly consumerID: string;
    readonly jobID: number;
    readonly rangeCount: number;
  }): Promise<readonly LeasedRange[]>;
  /** One outcome per update, in order. */
  updateEventRanges(request: {
    readonly consumerID: string;
    readonly jobID: number;
    readonly updates: readonly RangeUpdate[];
  }): Promise<readonly UpdateOutcome[]>;
  heartbeat(request: { readonly consumerID: string }): Promise<HeartbeatAnswer>;
  /** Gives ranges back without cost. Unknown or stale ones are ignored. */
  release(request: {
    readonly consumerID: string;
    readonly jobID: number;
    readonly ranges: readonly { readonly rangeIndex: number; readonly attemptNr: number }[];
  }): Promise<void>;
  /** The consumer leaves: what it still holds is given back without cost. */
  leave(request: { readonly consumerID: string }): Promise<void>;
}

// --- merging ---------------------------------------------------------------------------------------------------------

/** What stands at one place of an output: the outputs of a range, or the reason why there are none. */
export type MergeItem =
  | {
      readonly kind: 'finished';
      readonly rangeIndex: number;
      readonly fileIndex: number;
      readonly startEvent: number;
      readonly lastEvent: number;
      readonly outputs: readonly OutputRecord[];
    }
  | {
      /** fatal, cancelled or discarded: the output goes on without it */
      readonly kind: 'missing';
      readonly rangeIndex: number;
      readonly fileIndex: number;
      readonly startEvent: number;
      readonly lastEvent: number;
    };

/** How far the merged file of one stream has grown, durably. */
export interface StreamProgress {
  readonly stream: string;
  /** bytes of the growing file that count; anything beyond is cut off before appending */
  readonly offsetBytes: number;
  /** records (events) in them */
  readonly recordCount: number;
  /** opaque to the dispatcher: what the merger needs to go on (header in force, metadata sums) */
  readonly state: Uint8Array;
}

/** Where in a merged file a missing range would have stood, so that it can be put in when it is made after all. */
export interface MergeGap {
  readonly rangeIndex: number;
  readonly stream: string;
  readonly offsetBytes: number;
}

/** A finished merged file. */
export interface MergedFile {
  readonly stream: string;
  /** path below OUT */
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly recordCount: number;
}

/** A merged file of an output that was completed. */
export interface CompletedFile extends MergedFile {
  /** 0-based place of the output in its task */
  readonly outputIndex: number;
}

/**
 * The next stretch of one output (a contiguous run of ranges of one task that becomes one merged file per stream):
 * all items are terminal and directly follow what has been merged already.
 */
export interface MergeJob {
  readonly taskID: number;
  /** 0-based place of the output in its task */
  readonly outputIndex: number;
  /** ranges of the whole output: [firstRange, firstRange + rangeCount) */
  readonly firstRange: number;
  readonly rangeCount: number;
  readonly items: readonly MergeItem[];
  readonly progress: readonly StreamProgress[];
  /** true when these items are the last of the output: it is to be completed */
  readonly last: boolean;
  /**
   * set when the output was complete before and ranges missing then have been made since: the old files are rewritten
   * with the items put in at these gaps
   */
  readonly amend?: { readonly files: readonly MergedFile[]; readonly gaps: readonly MergeGap[] };
}

export interface MergeApi {
  /**
   * A stretch that is worth merging now: at least `rangeCountMin` items, or any that complete their output.
   * At most `rangeCountMax` items. Undefined when there is none. A job not committed is offered again.
   */
  nextMergeJob(request: {
    readonly taskID: number;
    readonly rangeCountMin: number;
    readonly rangeCountMax: number;
    /** outputs being worked on: not offered */
    readonly busyOutputs: readonly number[];
    /**
     * The output whose stretch, offered last, is being merged: what follows that stretch is wanted, if it is as long as
     * `rangeCountMin` says, to be begun before the commit. Its `progress` is the one that the merge of the stretch before
     * leaves. It is void, and is offered again, if that is not committed to its end.
     */
    readonly behindOutput?: number;
  }): MergeJob | undefined;
  /**
   * Records, durably and in one transaction: the items up to `throughRange` (inclusive) are merged, their output
   * records are dropped, the streams have grown to `progress`. `gaps` are those of the items of this job; after an
   * `amend` job, all that are left. With `completed`, the output is done.
   * Only after this answers may the unmerged files be removed.
   */
  commitMerge(request: {
    readonly taskID: number;
    readonly outputIndex: number;
    readonly throughRange: number;
    readonly progress: readonly StreamProgress[];
    readonly gaps: readonly MergeGap[];
    readonly completed?: readonly MergedFile[];
  }): Promise<void>;
  /**
   * Outputs of these ranges are missing or altered: `finished` becomes `corrupted` and is handed out again. Counted
   * per output; over the limit the ranges become `fatal` with cause `merge-failed`.
   */
  failMerge(request: {
    readonly taskID: number;
    readonly outputIndex: number;
    readonly damaged: readonly { readonly rangeIndex: number; readonly message: string }[];
  }): Promise<void>;
  /**
   * What was merged of this output is gone (somebody removed or cut its growing or finished file): durably, its `merged`
   * ranges become `corrupted` and are handed out again, its progress, gaps and finished files are forgotten. Ranges
   * that are not merged keep their state and their outputs.
   */
  resetOutput(request: {
    readonly taskID: number;
    readonly outputIndex: number;
    readonly message: string;
  }): Promise<void>;
  /**
   * For a snapshot of unfinished work, which changes nothing: every output that is not complete, with its progress and,
   * as `items`, all finished ranges beyond it in order, whatever stands between them. `last` is false.
   */
  unfinishedOutputs(request: { readonly taskID: number }): IterableIterator<MergeJob>;
}
