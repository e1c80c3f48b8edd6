/**
 * What the merge service asks of its two threads, and the journal entry that it keeps with the dispatcher. The threads
 * are reached by `postMessage`: they live and die with the service, on one machine, and a thread that waits for a
 * message of this kind can be terminated at any moment without harm (`runtime/channel/channel.ts` says why a channel's cannot).
 */
import type { MergedFile, MergeGap, MergeItem, StreamProgress } from '../../core/dispatcher-api.ts';
import type { OutputFormatName } from '../../payloads/formats/event-format.ts';
import type { PackedItems } from './packed-items.ts';

/** `fast` copies checked bytes; `slow` decodes every event and writes it again. */
export type MergeMode = 'fast' | 'slow';

/** Folders of a run that a merge touches. */
export interface MergeFolders {
  /** merged files */
  readonly out: string;
  /** growing files; on the same file system as `out` if it can be */
  readonly growing: string;
  /** unmerged files */
  readonly aggregation: string;
}

/** One stream of one output: what its merged file is called and how it is written. */
export interface MergeTarget {
  readonly stream: string;
  readonly format: OutputFormatName;
  /** name below `MergeFolders.out` */
  readonly fileName: string;
}

/** `workerData` of the merger thread. */
export interface MergerThreadData {
  readonly folders: MergeFolders;
  readonly mode: MergeMode;
  /** names, in the task's order */
  readonly streams: readonly string[];
  /** see `recent-outputs.ts`; undefined where workers share no memory with the merger */
  readonly recentOutputs: SharedArrayBuffer | undefined;
}

/** `workerData` of the follower thread. */
export interface FollowerThreadData {
  readonly folders: MergeFolders;
}

// --- merger thread ---------------------------------------------------------------------------------------------------

/** Append these items to the growing files of an output. */
export interface AppendRequest {
  readonly kind: 'append';
  readonly targets: readonly MergeTarget[];
  readonly progress: readonly StreamProgress[];
  readonly items: Iterable<MergeItem>;
  /** the items end the output: complete the files */
  readonly last: boolean;
}

/** Write complete files of what there is of an unfinished output, beside the growing ones. */
export interface SnapshotRequest {
  readonly kind: 'snapshot';
  readonly targets: readonly MergeTarget[];
  readonly progress: readonly StreamProgress[];
  /** finished ranges in order, not necessarily consecutive */
  readonly items: Iterable<MergeItem>;
}

/** Put these items into the files of a complete output. */
export interface AmendRequest {
  readonly kind: 'amend';
  readonly targets: readonly MergeTarget[];
  readonly items: Iterable<MergeItem>;
  /** what the journal says of the files */
  readonly files: readonly MergedFile[];
  /** of all ranges missing in them, the items' too */
  readonly gaps: readonly MergeGap[];
}

export type MergerRequest = AppendRequest | SnapshotRequest | AmendRequest;

/** A request as it crosses to the thread. */
export interface CrossingMergerRequest {
  /** without its items */
  readonly request: MergerRequest;
  /** their numbers are given away */
  readonly items: PackedItems;
}

/** A flushed file that is complete but not yet under its final name. */
export interface CompleteFile {
  readonly stream: string;
  /** where it lies now */
  readonly path: string;
  /** final name below `MergeFolders.out` */
  readonly fileName: string;
  readonly sizeBytes: number;
  readonly recordCount: number;
  /** where the file that it replaces is kept until the commit; null when what it replaces is worth nothing */
  readonly keep: string | null;
}

export interface DamagedRange {
  readonly rangeIndex: number;
  /** what was wanted and what was found, with the file */
  readonly message: string;
}

/** Everything up to `throughRange` is in the growing (or amended) files, flushed. */
export interface Appended {
  readonly kind: 'appended';
  /** null when nothing could be appended because the first item is damaged */
  readonly throughRange: number | null;
  readonly progress: readonly StreamProgress[];
  /** of the items; after an amendment all that are left */
  readonly gaps: readonly MergeGap[];
  /** in order; ranges before the first of them are appended, those between and behind them are not */
  readonly damaged: readonly DamagedRange[];
  /** files of the aggregation folder that nothing needs once this is committed, joined by line feeds */
  readonly removable: string;
  /** set when the output is complete */
  readonly complete: readonly CompleteFile[] | null;
}

/** What was merged before is gone, so nothing can be appended to it. */
export interface GrowingFileLost {
  readonly kind: 'lost';
  readonly message: string;
}

export interface SnapshotTaken {
  readonly kind: 'snapshot';
  readonly files: readonly CompleteFile[];
  /** left out of the snapshot */
  readonly damaged: readonly DamagedRange[];
}

export type MergerReply = Appended | GrowingFileLost | SnapshotTaken;

// --- follower thread -------------------------------------------------------------------------------------------------

/** The growing files have these lengths for good: hash what is new. */
export interface FilesGrown {
  readonly kind: 'grown';
  readonly files: readonly { readonly path: string; readonly sizeBytes: number }[];
}

/** Hash to the end, then put the files under their final names, durably. */
export interface PublishRequest {
  readonly kind: 'publish';
  readonly files: readonly CompleteFile[];
}

/** A commit has made these files superfluous. */
export interface RemoveRequest {
  readonly kind: 'remove';
  /** paths below the aggregation folder, joined by line feeds; their shards go too when they are empty */
  readonly unmerged: string;
  /** growing files, where a copy had to be published, and files kept while they were replaced */
  readonly growing: readonly string[];
}

/** These growing files start afresh. */
export interface ForgetRequest {
  readonly kind: 'forget';
  readonly growing: readonly string[];
}

export type FollowerRequest = FilesGrown | PublishRequest | RemoveRequest | ForgetRequest;

export interface Published {
  readonly kind: 'published';
  readonly files: readonly MergedFile[];
}

export interface Done {
  readonly kind: 'done';
}

export type FollowerReply = Published | Done;
