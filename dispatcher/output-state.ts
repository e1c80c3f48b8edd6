/** Where one output stands on its way to a merged file, and how that is stored. */
import type { MergedFile, MergeGap, StreamProgress } from '../core/dispatcher-api.ts';
import type { RangeSpan } from './range-plan.ts';
import { packRecord, unpackRecord } from './record-codec.ts';

export interface OutputState {
  readonly outputIndex: number;
  /** first range not merged (or passed as missing) yet */
  cursor: number;
  progress: readonly StreamProgress[];
  /** places of missing ranges before the cursor */
  gaps: readonly MergeGap[];
  /** ranges before the cursor that were missing and have been given another chance since */
  readonly reopened: Set<number>;
  /** failed merges since the last one that went well */
  mergeFailures: number;
  /** set when all of it is merged */
  files: readonly MergedFile[] | undefined;
  /** set when its merge was given up: what the last attempt said */
  failure: string | undefined;
  /** ranges from the cursor to here (exclusive) are terminal: found by looking, known in memory only */
  scannedTo: number;
  /** what is being merged, in order: a {@link MergeJob} that was given away and, perhaps, the one behind it */
  offered: readonly OfferedStretch[];
}

export interface OfferedStretch {
  readonly throughRange: number;
  /** those that were finished; the others up to `throughRange` were missing */
  readonly finished: ReadonlySet<number>;
  /** they are put in a complete file */
  readonly amends: boolean;
}

interface StoredOutput {
  readonly cursor: number;
  readonly progress: readonly StreamProgress[];
  readonly gaps: readonly MergeGap[];
  readonly reopened: readonly number[];
  readonly mergeFailures: number;
  readonly files: readonly MergedFile[] | undefined;
  readonly failure: string | undefined;
}

export function newOutput(outputIndex: number, span: RangeSpan): OutputState {
  return {
    outputIndex,
    cursor: span.firstRange,
    progress: [],
    gaps: [],
    reopened: new Set(),
    mergeFailures: 0,
    files: undefined,
    failure: undefined,
    scannedTo: span.firstRange,
    offered: [],
  };
}

export function packOutputState(output: OutputState): Uint8Array {
  const { cursor, progress, gaps, mergeFailures, files, failure } = output;
  const reopened = [...output.reopened];
  return packRecord({ cursor, progress, gaps, reopened, mergeFailures, files, failure } satisfies StoredOutput);
}

export function unpackOutputState(outputIndex: number, bytes: Uint8Array): OutputState {
  const stored = unpackRecord<StoredOutput>(bytes);
  return {
    outputIndex,
    cursor: stored.cursor,
    progress: stored.progress,
    gaps: stored.gaps,
    reopened: new Set(stored.reopened),
    mergeFailures: stored.mergeFailures,
    files: stored.files,
    failure: stored.failure,
    scannedTo: stored.cursor,
    offered: [],
  };
}

/** Nothing is left to do: its record can leave the memory. */
export function isComplete(output: OutputState): boolean {
  return output.files !== undefined && output.reopened.size === 0;
}
