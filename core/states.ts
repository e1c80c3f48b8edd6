/**
 * The states of an event range: PanDA's names and numbers
 * (PanDAWMS/panda-server, pandaserver/taskbuffer/EventServiceUtils.py).
 */
export const RANGE_STATES = {
  /** waiting to be handed out */
  ready: 0,
  /** handed out to a consumer */
  sent: 1,
  /** a worker has begun to execute it (kept in memory only, `sent` on disk) */
  running: 2,
  /** executed, its outputs are at the aggregation point and recorded */
  finished: 3,
  /** given up by the user before it finished */
  cancelled: 4,
  /** was finished, but its outputs are no longer wanted */
  discarded: 5,
  /** PanDA: finished, and its job is over. Not entered by granule; read as `finished` */
  done: 6,
  /** an execution ended badly; it will be tried again */
  failed: 7,
  /** over a limit; quarantined with its reason */
  fatal: 8,
  /** its outputs are durably in the merged file */
  merged: 9,
  /** its outputs were found damaged at the merge; it will be made again */
  corrupted: 10,
} as const;

export type RangeState = keyof typeof RANGE_STATES;
export type RangeStateNumber = (typeof RANGE_STATES)[RangeState];

export const RANGE_STATE_NAMES = Object.keys(RANGE_STATES) as readonly RangeState[];

export type CountsPerState = Readonly<Record<RangeState, number>>;

/** Why an execution ended badly, or a range was lost: kept with every failure, and what failures are grouped by. */
export const FAILURE_CAUSES = [
  /** `execute` threw or rejected */
  'payload-error',
  /** an error reached the thread outside `execute` (a timer, a forgotten promise) */
  'payload-late-error',
  /** the payload ended its thread (`process.exit`) */
  'payload-exit',
  /** heap limit reached */
  'out-of-memory',
  /** ran longer than the time-out */
  'timeout',
  /** a child process or isolated worker was ended by a signal */
  'signal',
  /** a child process ended with an exit code other than 0 */
  'exit-code',
  /** a co-process broke the protocol */
  'protocol',
  /** output over its size limit */
  'output-too-large',
  /** output that its format cannot hold */
  'output-invalid',
  /** the event's bytes could not be read or decoded */
  'input-error',
  /** the worker died and nothing says why */
  'worker-died',
  /** the whole program died while this event was in execution, again and again */
  'killed-program',
  /** the consumer went away more often than the limit of losses */
  'lost',
  /** the merge could not be made from its output, again and again */
  'merge-failed',
  /** cancelled by the user */
  'cancelled',
] as const;

export type FailureCause = (typeof FAILURE_CAUSES)[number];
