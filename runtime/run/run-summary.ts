/**
 * What one start of a run did: printed by `granule run --json`, shown as a table, and returned by the library's
 * `run`. Scripts depend on these keys: `schema` grows when one changes its meaning or goes.
 */
import { type ErrorCode, EXIT, type ExitCode } from '../../core/errors.ts';
import type { FailureCause } from '../../core/states.ts';

/**
 * How a start ended:
 * - `complete`: every event is finished and merged
 * - `failed-events`: nothing is left to do, but some events or input files failed for good
 * - `limited`: the number of events asked for was processed, more are left
 * - `halted`: the halt rule stopped a broken payload; more are left
 * - `drained`: stopped early (SIGTERM, wall time, a source that is gone); the same command goes on
 * - `interrupted`: the same after Ctrl-C
 */
export type RunEnding = 'complete' | 'failed-events' | 'limited' | 'halted' | 'drained' | 'interrupted';

export interface RunSummary {
  readonly schema: 1;
  readonly ending: RunEnding;
  readonly exitCode: ExitCode;
  /** One sentence on why it ended early or what failed; absent for `complete` */
  readonly reason?: string;
  readonly payload: string;
  readonly seed: number;
  readonly outFolder: string;
  /** Events, not ranges */
  readonly events: {
    /** chosen events of all usable inputs */
    readonly total: number;
    /** finished in this and earlier starts, merged ones included */
    readonly finished: number;
    /** failed for good */
    readonly failed: number;
    /** executed by this start for a further time, after an execution that ended badly */
    readonly retried: number;
    /** found finished when this start began */
    readonly recovered: number;
    /** neither finished nor failed for good: total - finished - failed */
    readonly left: number;
  };
  /** Merged files, complete ones only, in task order */
  readonly outputs: readonly {
    readonly stream: string;
    /** below the output folder */
    readonly path: string;
    readonly events: number;
    readonly sizeBytes: number;
    readonly sha256: string;
  }[];
  /** Events that failed for good, by cause */
  readonly failures: readonly {
    readonly cause: FailureCause;
    readonly events: number;
    /** `LFN:position` of one of them */
    readonly example: string;
    readonly message: string;
  }[];
  readonly refusedInputs: readonly {
    readonly place: string;
    readonly code: ErrorCode;
    readonly message: string;
    readonly remedy?: string;
  }[];
  /** long events at the end that were started a second time, and results that came when another was there already */
  readonly speculation: { readonly copies: number; readonly discarded: number };
  readonly workers: number;
  /** this start, from command to end */
  readonly wallMs: number;
  /** time in `execute`, summed over workers, of this start */
  readonly executeMs: number;
  /** CPU time in `execute` / (wall time while workers ran x workers): 0..1, 0 when nothing ran */
  readonly busyFraction: number;
}

/** The exit code that belongs to an ending; `failed` and `refused` count events and inputs that failed for good. */
export function exitCodeOf(ending: RunEnding, failed: number, refused: number): ExitCode {
  switch (ending) {
    case 'complete':
    case 'limited':
      return failed + refused === 0 ? EXIT.ok : EXIT.someFailed;
    case 'failed-events':
    case 'halted':
      return EXIT.someFailed;
    case 'drained':
      return EXIT.stoppedEarly;
    case 'interrupted':
      return EXIT.interrupted;
  }
}
