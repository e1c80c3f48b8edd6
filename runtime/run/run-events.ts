/**
 * The typed event map of a node: everything that progress lines, monitors and tests may listen to. Programs listen
 * here, never to log text.
 *
 * Listeners run synchronously on the main thread and must be short. Counts are of *events*, not ranges, where not said
 * otherwise. Nothing is emitted per event when events are short: outcomes are reported in batches.
 */
import { EventEmitter } from 'node:events';
import type { ErrorCode } from '../../core/errors.ts';
import type { FormatName } from '../../core/file-index.ts';
import type { Logger } from '../../core/log.ts';
import type { FailureCause } from '../../core/states.ts';
import type { RunSummary } from './run-summary.ts';

/** Why a run takes no new events although some are left. */
export type DrainReason =
  /** SIGTERM, SIGUSR1 (a batch system's warning), or the library's `drain()` */
  | 'requested'
  /** Ctrl-C */
  | 'interrupted'
  /** the wall time given is about to end */
  | 'walltime'
  /** `limitEvents` events were processed */
  | 'limit-reached'
  /** the halt rule: the payload is broken */
  | 'halted'
  /** remote data cannot be reached any more */
  | 'source-gone'
  /** the dispatcher or the store stopped the job */
  | 'stopped';

/** A moment's view of a run; cheap to make, so it may be made several times a second. */
export interface ProgressSnapshot {
  readonly phase: 'indexing' | 'processing' | 'draining' | 'merging';
  /** remote inputs that are still being read: their events are not counted yet */
  readonly inputsAwaited: number;
  readonly eventsTotal: number;
  /** finished in this and earlier starts, merged ones included */
  readonly eventsFinished: number;
  /** failed for good */
  readonly eventsFailed: number;
  /** finished by this start, which is what rate and ETA count */
  readonly eventsFinishedNow: number;
  /** events of this start that were tried again */
  readonly eventsRetried: number;
  readonly workersBusy: number;
  readonly workerCount: number;
  /** finished, not yet merged */
  readonly unmergedFiles: number;
  /** since the run began */
  readonly elapsedMs: number;
}

/** Name of an event → what its listeners receive. */
export interface RunEventMap {
  /** An input file is known: read and indexed, or taken from the kept index. */
  readonly 'input:indexed': {
    readonly place: string;
    readonly lfn: string;
    readonly guid: string;
    readonly format: FormatName;
    readonly eventCount: number;
    readonly sizeBytes: number;
    /** false when the kept index was used */
    readonly wasRead: boolean;
    readonly wallMs: number;
  };
  /** An input file cannot be used; the others go on. */
  readonly 'input:refused': {
    readonly place: string;
    readonly code: ErrorCode;
    readonly message: string;
    readonly remedy?: string;
  };
  /**
   * An input cannot be read now, because its servers cannot be reached; the others are processed. The same command goes on
   * with it.
   */
  readonly 'input:unreachable': { readonly message: string };
  /** The task is in the event table, for the first time or again. Files that are still being read may join it. */
  readonly 'task:submitted': {
    readonly taskID: number;
    readonly fileCount: number;
    readonly eventCount: number;
    readonly rangeCount: number;
    /** the table knew it from an earlier start */
    readonly resumed: boolean;
  };
  /** Files that had to be read first have joined the task: what it comes to now. */
  readonly 'task:extended': {
    readonly taskID: number;
    readonly fileCount: number;
    readonly eventCount: number;
    readonly rangeCount: number;
  };
  /** What an earlier start had left, once, before the first range is leased; not emitted for a new run. */
  readonly 'run:recovered': {
    /** that need not be made any more, adopted ones included */
    readonly eventsFinished: number;
    /** ranges a dead start had held, ready again without cost */
    readonly rangesReturned: number;
    /** complete output files found on disk whose ranges were not recorded yet */
    readonly filesAdopted: number;
    /** complete outputs whose files were removed or altered since: their events are made again */
    readonly outputsDamaged: number;
    readonly wallMs: number;
  };
  /** A merged file is not what was completed by an earlier start: all events of its output are made again. */
  readonly 'output:damaged': { readonly path: string; readonly message: string };
  /** The pilot leased ranges. */
  readonly 'range:leased': { readonly rangeCount: number };
  /** Ranges were given back without cost (drain, end of a worker). */
  readonly 'range:returned': { readonly rangeCount: number };
  /** Events are durably finished; once per committed batch. */
  readonly 'events:finished': { readonly eventCount: number };
  /** A worker handed the first event to `execute`. Once per start. */
  readonly 'event:first-executing': { readonly sinceStartMs: number };
  /** One execution ended badly. */
  readonly 'event:failed': {
    readonly lfn: string;
    /** 1-based position of the event, or of the first one of its range */
    readonly position: number;
    readonly eventCount: number;
    readonly attemptNr: number;
    readonly cause: FailureCause;
    readonly message: string;
    /** it will not be tried again */
    readonly fatal: boolean;
  };
  readonly 'worker:started': { readonly workerIndex: number; readonly readyAfterMs: number };
  /** A worker died and another takes its place. */
  readonly 'worker:replaced': {
    readonly workerIndex: number;
    readonly cause: FailureCause | 'recycled';
    readonly message: string;
  };
  readonly 'worker:ended': { readonly workerIndex: number };
  /** `finalize` threw, or did not come back: what the worker executed counts all the same. */
  readonly 'worker:not-finalized': { readonly workerIndex: number; readonly message: string };
  /** A merged file is complete and durable. */
  readonly 'output:completed': {
    readonly stream: string;
    readonly path: string;
    readonly eventCount: number;
    readonly sizeBytes: number;
  };
  /** At least once a second while a run is on, and once at its end. */
  readonly progress: ProgressSnapshot;
  /** No new events are taken from now on. */
  readonly 'run:draining': { readonly reason: DrainReason; readonly eventsInExecution: number };
  /** The last event of a run. */
  readonly 'run:ended': RunSummary;
}

export type RunEventName = keyof RunEventMap;
export type RunEventListener<Name extends RunEventName> = (event: RunEventMap[Name]) => void;

/** Listeners by event name. Emitting never throws: what a listener throws is logged and goes no further. */
export class NodeEvents {
  readonly #emitter = new EventEmitter();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
    this.#emitter.setMaxListeners(0);
  }

  /** @returns a function that removes the listener again; calling it twice is harmless */
  on<Name extends RunEventName>(name: Name, listener: RunEventListener<Name>): () => void {
    this.#emitter.on(name, listener);
    return () => {
      this.#emitter.off(name, listener);
    };
  }

  emit<Name extends RunEventName>(name: Name, event: RunEventMap[Name]): void {
    for (const listener of this.#emitter.listeners(name)) {
      try {
        listener(event);
      } catch (error) {
        this.#log.error({ err: error, event: name }, 'listener of a run event threw');
      }
    }
  }
}
