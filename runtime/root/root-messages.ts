/** Messages between {@link RootThread} and the thread that reads ROOT files. */
import type { SerialisedError } from '../../core/errors.ts';
import type { FileRecord, RootTree } from '../../core/file-index.ts';
import type { EncodedEntries } from '../../payloads/formats/root-entry-encoder.ts';

/** A file and where it can be read from. */
export interface RootFile {
  readonly record: Pick<FileRecord, 'lfn' | 'sizeBytes' | 'sha256'>;
  /** paths or URLs, any of which will do */
  readonly places: readonly string[];
}

/** Run and event numbers of all entries of a tree, in order. */
export interface EntryNumbers {
  readonly tree: string;
  readonly runs: Float64Array;
  readonly eventNumbers: Float64Array;
}

/** What a file holds. */
export interface RootContents {
  readonly trees: readonly RootTree[];
  /** of the one tree that states them; absent when none does, or several do */
  readonly numbers?: EntryNumbers | undefined;
}

/** What is read of a file: a tree and branches of it. */
export interface RootSelection {
  readonly tree: string;
  /** see `branch-choice.ts` */
  readonly branches: readonly string[];
}

export type RootTask =
  /** which trees the file has */
  | { readonly kind: 'list-trees'; readonly file: RootFile }
  /** which of its entries are which events */
  | { readonly kind: 'read-numbers'; readonly file: RootFile; readonly trees: readonly RootTree[] }
  /** how the entries of a tree are grouped */
  | { readonly kind: 'open-tree'; readonly file: RootFile; readonly selection: RootSelection }
  | {
      readonly kind: 'read-entries';
      readonly file: RootFile;
      readonly selection: RootSelection;
      /** 0-based, half open */
      readonly firstEntry: number;
      readonly endEntry: number;
    };

export type RootAnswer =
  | { readonly kind: 'trees'; readonly trees: readonly RootTree[] }
  | { readonly kind: 'numbers'; readonly numbers: EntryNumbers | undefined }
  /** first entry of each group */
  | { readonly kind: 'groups'; readonly starts: Float64Array<ArrayBuffer> }
  | ({ readonly kind: 'entries' } & EncodedEntries);

/** The answer to a task, or a sign of life while it is worked at. */
export type FromRootThread =
  | RootAnswer
  | { readonly kind: 'progress' }
  | { readonly kind: 'failed'; readonly error: SerialisedError };
