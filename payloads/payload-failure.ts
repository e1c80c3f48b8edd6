/**
 * How a payload says more about a failure than an error can: its cause, and for a child process its signal, exit code
 * and last lines. Throw it from `execute`; any other error counts as `payload-error`.
 */
import { FAILURE_CAUSES, type FailureCause } from '../core/states.ts';

export interface PayloadFailureFacts {
  readonly failureCause: FailureCause;
  /** of a child process that was ended by one: `SIGSEGV` */
  readonly signal?: string;
  /** of a child process that ended with one */
  readonly childExitCode?: number;
  /** last lines of a child process, oldest first; bounded by who throws */
  readonly logTail?: readonly string[];
}

export class PayloadFailure extends Error implements PayloadFailureFacts {
  override readonly name = 'PayloadFailure';
  readonly failureCause: FailureCause;
  readonly signal?: string;
  readonly childExitCode?: number;
  readonly logTail?: readonly string[];

  constructor(message: string, facts: PayloadFailureFacts) {
    super(message);
    this.failureCause = facts.failureCause;
    if (facts.signal !== undefined) this.signal = facts.signal;
    if (facts.childExitCode !== undefined) this.childExitCode = facts.childExitCode;
    if (facts.logTail !== undefined) this.logTail = facts.logTail;
  }
}

/**
 * What a thrown value says about its failure; undefined for an ordinary error. Looks at the fields, not at the class:
 * a bundled payload has its own copy of the class.
 */
export function readPayloadFailure(thrown: unknown): PayloadFailureFacts | undefined {
  if (!(thrown instanceof Error) || thrown.name !== 'PayloadFailure' || !('failureCause' in thrown)) return undefined;
  const { failureCause, signal, childExitCode, logTail } = thrown as PayloadFailure;
  if (!FAILURE_CAUSES.includes(failureCause)) return undefined;
  return {
    failureCause,
    ...(signal === undefined ? {} : { signal }),
    ...(childExitCode === undefined ? {} : { childExitCode }),
    ...(logTail === undefined ? {} : { logTail }),
  };
}
