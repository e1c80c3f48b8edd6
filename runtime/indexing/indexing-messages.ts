/** Messages between {@link IndexingPool} and its threads. */
import type { SerialisedError } from '../../core/errors.ts';
import type { FileRecord } from '../../core/file-index.ts';
import type { Guid } from '../../core/ids.ts';

/** Given to a thread when it starts. */
export interface IndexingThreadData {
  /** folder of the event index */
  readonly indexPath: string;
}

export interface IndexingRequest {
  readonly kind: 'index' | 'verify';
  readonly path: string;
  /** `verify`: the file it should be */
  readonly guid: Guid | null;
  /** `index`: a path whose content changed stands for the new content from now on */
  readonly acceptChange: boolean;
  /** one number; not 0 as soon as nobody wants the answer any more */
  readonly cancelled: Int32Array;
}

/** What came of indexing a path. */
export interface IndexAnswer {
  /** the file; `lfn` is the base name of the path that was asked for */
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
  /** `found` is the content the path has now */
  | { readonly kind: 'other-content'; readonly found: Guid }
  /** the content is the same, what the index says of it is not: the index is damaged, or of another granule */
  | { readonly kind: 'other-index' };

export type IndexingReply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'indexed'; readonly answer: IndexAnswer }
  | { readonly kind: 'verified'; readonly answer: VerifyAnswer }
  | { readonly kind: 'failed'; readonly error: SerialisedError };
