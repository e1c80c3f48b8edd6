/** Messages between {@link IndexingPool} and its threads. */
import type { SerialisedError } from '../../core/errors.ts';
import type { FileRecord } from '../../core/file-index.ts';
import type { Guid } from '../../core/ids.ts';
import type { ExpectedFile } from '../remote/replica-agreement.ts';
import type { SourceOptions } from '../remote/source-options.ts';

/** Given to a thread when it starts. */
export interface IndexingThreadData {
  /** folder of the event index */
  readonly indexPath: string;
  /** how servers are asked; null when no remote file will be indexed */
  readonly sources: SourceOptions | null;
}

/** A file that is not, or not only, on a mounted file system. */
export interface RemoteFile {
  /** paths or URLs of one file, the preferred first: under that one the index knows the file */
  readonly places: readonly [string, ...string[]];
  /** from a catalogue: its last part names the file. When absent, the name is that of the event server, or of the place */
  readonly lfn?: string;
  /** what a catalogue says of the file */
  readonly expected?: ExpectedFile;
}

/** `acceptChange`: a path whose content changed stands for the new content from now on. */
export type IndexingTask =
  | { readonly kind: 'index'; readonly path: string; readonly acceptChange: boolean }
  | { readonly kind: 'index-remote'; readonly file: RemoteFile; readonly acceptChange: boolean }
  /** whether a ROOT file, its tree chosen, has these branches: see `root/branch-choice.ts` */
  | {
      readonly kind: 'check-branches';
      readonly record: FileRecord;
      readonly places: readonly string[];
      readonly branches: readonly string[];
    }
  /** `place`: absolute path or URL; `guid`: the file it should be */
  | { readonly kind: 'verify'; readonly place: string; readonly guid: Guid };

export interface IndexingRequest {
  readonly kind: 'request';
  /** which request of the pool a reply answers */
  readonly id: number;
  readonly task: IndexingTask;
  /** one number; not 0 as soon as nobody wants the answer any more */
  readonly cancelled: Int32Array;
}

/** `cancel` wakes a thread that waits for a server, which cannot look at `cancelled` meanwhile. `end` is the last. */
export type ToIndexingThread =
  | IndexingRequest
  | { readonly kind: 'cancel'; readonly id: number }
  | { readonly kind: 'end' };

/** What came of indexing a path. */
export interface IndexAnswer {
  /** the file; `lfn` is the base name of the path that was asked for, or see `RemoteFile` */
  readonly record: FileRecord;
  /**
   * `kept`: neither size nor modification time changed since the path was last read, so it was not read again;
   * `read`: it was read now; `changed`: it was read now and holds something else than before.
   */
  readonly outcome: 'kept' | 'read' | 'changed';
  /** `changed`: what the path held before */
  readonly previousGuid: Guid | null;
}

export type VerifyAnswer =
  | { readonly kind: 'same' }
  | { readonly kind: 'unknown' }
  /** `found` is the content the place has now */
  | { readonly kind: 'other-content'; readonly found: Guid }
  /** the content is the same, what the index says of it is not: the index is damaged, or of another granule */
  | { readonly kind: 'other-index' };

export type IndexingReply =
  | { readonly kind: 'ready' }
  /** the thread cannot begin */
  | { readonly kind: 'broken'; readonly error: SerialisedError }
  | { readonly kind: 'indexed'; readonly id: number; readonly answer: IndexAnswer }
  | { readonly kind: 'branches-checked'; readonly id: number }
  | { readonly kind: 'verified'; readonly id: number; readonly answer: VerifyAnswer }
  | { readonly kind: 'failed'; readonly id: number; readonly error: SerialisedError };
