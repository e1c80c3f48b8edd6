/**
 * Every message that crosses a channel between the threads (or processes) of a node, in the order of the flow:
 * pilot → token extractor → token scatterer → worker → token scatterer. Tagged by `kind`.
 */
import type { FailedEvent, Failure, LeasedRange, OutputRecord } from './dispatcher-api.ts';
import type { SerialisedError } from './errors.ts';
import type { FileRecord, FormatName, RunSegment } from './file-index.ts';

// --- pilot → token extractor -----------------------------------------------------------------------------------------

/** Places that will be read soon: connections to their servers are made meanwhile. */
export interface ExpectPlaces {
  readonly kind: 'expect-places';
  readonly places: readonly string[];
}

/** A file that ranges will name by its `fileIndex` from now on. */
export interface ExtractFile {
  readonly kind: 'extract-file';
  readonly fileIndex: number;
  readonly record: FileRecord;
  /** physical places: a path, or URLs of replicas */
  readonly places: readonly string[];
}

export interface ExtractRanges {
  readonly kind: 'extract-ranges';
  readonly ranges: readonly LeasedRange[];
}

/** Refuse every range whose tokens have not been sent, with `STOPPED_EARLY`: the run is draining. */
export interface GiveBackRanges {
  readonly kind: 'give-back';
}

export interface EndOfRanges {
  readonly kind: 'end';
}

export type ToExtractor = ExpectPlaces | ExtractFile | ExtractRanges | GiveBackRanges | EndOfRanges;

// --- token extractor → token scatterer -------------------------------------------------------------------------------

/**
 * A range and where its events lie. Byte offsets are those of the (inflated) file.
 */
export interface RangeToken {
  readonly rangeIndex: number;
  readonly attemptNr: number;
  readonly fileIndex: number;
  /** 1-based, both ends included */
  readonly startEvent: number;
  readonly lastEvent: number;
  readonly failures: number;
  /** half-open range from the first byte of the first event to the end of the last */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** of each event in a range of several: offset relative to `offsetBytes` and length, alternating; null for one event */
  readonly cuts: readonly number[] | null;
  /** which frame of the message holds the bytes; -1 when the worker reads them itself */
  readonly frame: number;
  /** events to be left out: they failed in this attempt, which is the last one permitted; null for none */
  readonly failedEvents: readonly FailedEvent[] | null;
  /** in flight when the whole program died, several times: to be executed in a child process */
  readonly suspect: boolean;
}

/** What a worker must know of a file before its first token. */
export interface WorkerFile {
  readonly fileIndex: number;
  readonly guid: string;
  readonly lfn: string;
  readonly format: FormatName;
  /** a plain local file to read from; null when the bytes ride with the tokens */
  readonly path: string | null;
  readonly runSegments: readonly RunSegment[];
  /** bytes of the run segments, when `path` is null */
  readonly runHeaders: readonly Uint8Array[] | null;
}

export interface ExtractedTokens {
  readonly kind: 'tokens';
  /** files named by `tokens` for the first time */
  readonly files: readonly WorkerFile[];
  readonly tokens: readonly RangeToken[];
}

/** These ranges cannot be turned into tokens (AthenaMP's ERR_TE_RANGE). */
export interface ExtractionFailed {
  readonly kind: 'extraction-failed';
  readonly ranges: readonly { readonly rangeIndex: number; readonly attemptNr: number }[];
  readonly error: SerialisedError;
}

/** The extractor itself cannot go on (AthenaMP's ERR_TE_FATAL). */
export interface ExtractorFailed {
  readonly kind: 'extractor-failed';
  readonly error: SerialisedError;
}

/** The first message: it can be spoken to. */
export interface ExtractorConnected {
  readonly kind: 'extractor-connected';
}

/** The last message: whoever has received it has received everything, and lets the extractor's thread end. */
export interface NothingFollows {
  readonly kind: 'nothing-follows';
}

export type FromExtractor = ExtractedTokens | ExtractionFailed | ExtractorFailed | ExtractorConnected | NothingFollows;

// --- token scatterer → worker ----------------------------------------------------------------------------------------

export interface WorkerTokens {
  readonly kind: 'tokens';
  /** files this worker has not been told of */
  readonly files: readonly WorkerFile[];
  readonly tokens: readonly RangeToken[];
  /** number of this batch, from 1 in each session: by it the worker claims its tokens and says that it has finished */
  readonly batch: number;
  /** a speculative copy of a range that another worker executes */
  readonly copy: boolean;
}

/** Nothing more to hand out for now: close the files that wait for further ranges, and ask again. */
export interface WorkerFlush {
  readonly kind: 'flush';
}

/**
 * Finish and leave; also the answer to a worker's last message, after which its thread may end. Before that answer a
 * batch may come that was on its way: it goes to others.
 */
export interface WorkerEnd {
  readonly kind: 'end';
}

export type ToWorker = WorkerTokens | WorkerFlush | WorkerEnd;

// --- worker → token scatterer ----------------------------------------------------------------------------------------

export type RangeReport =
  | {
      readonly kind: 'finished';
      readonly rangeIndex: number;
      readonly attemptNr: number;
      /** without those that failed */
      readonly eventCount: number;
      /** events of the range that failed for good; null for none */
      readonly failedEvents: readonly FailedEvent[] | null;
      readonly outputs: readonly OutputRecord[];
      /** time in `execute`, summed over the range's events */
      readonly wallMs: number;
      /** set when its batch is over: CPU is read once per batch, and each range has its share by wall time */
      cpuMs: number;
      readonly copy: boolean;
    }
  | {
      readonly kind: 'failed';
      readonly rangeIndex: number;
      readonly attemptNr: number;
      readonly eventCount: number;
      readonly failure: Failure;
      /** set when each event of the range failed by itself */
      readonly failedEvents: readonly FailedEvent[] | null;
      /** executions of the range that ended badly before this one */
      readonly failuresBefore: number;
      readonly wallMs: number;
      readonly copy: boolean;
    };

/**
 * The worker has finished a batch and is about to receive: the next one is on its way already, or it waits. `reports` are
 * the ranges it closed since it last asked.
 */
export interface WorkerAsks {
  readonly kind: 'ask';
  /** number of the last batch that it has finished, 0 before the first */
  readonly batch: number;
  readonly reports: readonly RangeReport[];
  /** set on the first message: `initialize` took this long */
  readonly readyAfterMs: number | null;
  /** CPU time of the worker's thread so far */
  readonly threadCpuMs: number;
}

/** `initialize` threw, or the payload could not be loaded. The session is over. */
export interface WorkerInitFailed {
  readonly kind: 'init-failed';
  readonly error: SerialisedError;
}

/**
 * Why a session ends by itself.
 * - `end`: it was told to end, has closed its files and finalized its payload
 * - `recycle`: it reached its number of events or its memory limit; another thread takes its place
 * - `broken`: the payload cannot be trusted in this thread any more (a late error, an execution that never settled)
 * - `storage-gone`: no output can be written any more; what it holds, and what it was writing, goes back
 */
export type LeaveReason = 'end' | 'recycle' | 'broken' | 'storage-gone';

/** The last message of a session. */
export interface WorkerLeaves {
  readonly kind: 'leave';
  readonly reason: LeaveReason;
  readonly reports: readonly RangeReport[];
  /** `finalize` threw, the late error, or why nothing can be written */
  readonly error: SerialisedError | null;
  readonly threadCpuMs: number;
}

/** Ranges that the worker closed, before it finalizes its payload. */
export interface WorkerClosed {
  readonly kind: 'closed';
  readonly reports: readonly RangeReport[];
}

export type FromWorker = WorkerAsks | WorkerInitFailed | WorkerClosed | WorkerLeaves;

// --- how a worker cuts its outputs -----------------------------------------------------------------------------------

/** When the output sequencer closes a file and opens the next. */
export type SequenceRule =
  | { readonly at: 'EndEvent' }
  | { readonly at: 'NextEventRange' }
  | { readonly at: 'EndInputFile' }
  | { readonly at: 'events'; readonly count: number }
  | { readonly at: 'bytes'; readonly count: number };
