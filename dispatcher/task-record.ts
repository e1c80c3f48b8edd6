/** What is stored of a task beside its ranges. */
import { type CountsPerState, RANGE_STATE_NAMES } from '../core/states.ts';

export type HandOutOrder = 'file' | 'longest-first';

/** What a task is; written when it is submitted, sealed or cancelled. */
export interface TaskRecord {
  readonly taskID: number;
  readonly name: string;
  /** whatever the submitter needs to recognise its task: returned as given */
  readonly record: unknown;
  readonly submittedMs: number;
  readonly eventsPerRange: number;
  /** undefined: one output per input file */
  readonly eventsPerOutput: number | undefined;
  /** largest share of one job; undefined: a job takes whatever is there */
  readonly eventsPerJob: number | undefined;
  readonly failuresMax: number;
  readonly lossesMax: number;
  /** higher goes first */
  readonly priority: number;
  readonly order: HandOutOrder;
  readonly unmergedFilesMax: number;
  /** all files are known */
  readonly sealed: boolean;
  /** ranges that nobody touched count as cancelled */
  readonly cancelled: boolean;
  /** being deleted: a start that finds it so goes on with it */
  readonly deleted: boolean;
  /** identity of the payload in force and of those before it, oldest first */
  readonly payloads: readonly string[];
}

/** What has happened to a task so far, in ranges; grows for ever. */
export interface TaskTotals {
  handedOut: number;
  finished: number;
  failed: number;
  lost: number;
  released: number;
  /** updates refused as stale */
  stale: number;
  duplicate: number;
  damaged: number;
  /** events that failed for good in ranges whose other events are finished */
  failedEvents: number;
  /** time in `execute` of all accepted executions */
  wallMs: number;
  cpuMs: number;
}

/** Where a task stands: written with every group that changes it. Counts are by state number. */
export interface ProgressRecord {
  readonly ranges: readonly number[];
  readonly events: readonly number[];
  /** ranges from here on have not been handed out in file order */
  readonly cursor: number;
  /** most output files one range ever had */
  readonly filesPerRange: number;
  readonly failuresWithLog: number;
  readonly totals: TaskTotals;
}

export const STATE_COUNT = RANGE_STATE_NAMES.length;

/**
 * Events in each state: those of their ranges, except that an event which failed for good is `fatal`, although the
 * others of its range are finished.
 */
export function eventsByState(ofRanges: CountsPerState, failedEvents: number): CountsPerState {
  if (failedEvents === 0) return ofRanges;
  const fromMerged = Math.min(failedEvents, ofRanges.merged);
  const fromFinished = Math.min(failedEvents - fromMerged, ofRanges.finished);
  return {
    ...ofRanges,
    merged: ofRanges.merged - fromMerged,
    finished: ofRanges.finished - fromFinished,
    fatal: ofRanges.fatal + fromMerged + fromFinished,
  };
}

export function emptyTotals(): TaskTotals {
  return {
    handedOut: 0,
    finished: 0,
    failed: 0,
    lost: 0,
    released: 0,
    stale: 0,
    duplicate: 0,
    damaged: 0,
    failedEvents: 0,
    wallMs: 0,
    cpuMs: 0,
  };
}
