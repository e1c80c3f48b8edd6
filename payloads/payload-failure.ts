/**
 * How a payload says more about a failure than an error can: its cause, and for a child process its signal, exit code
 * and last lines. Throw it from `execute`; any other error counts as `payload-error`.
 */
import type { FailureCause } from '../core/states.ts';

export interface PayloadFailureFacts {
  readonly cause: FailureCause;
  /** of a child process that was ended by one: `SIGSEGV` */
  readonly signal?: string;
  /** of a child process that ended with one other than 0 */
  readonly childExitCode?: number;
  /** last lines of a child process, oldest first; bounded by who throws */
  readonly logTail?: readonly string[];
}

/** Recognised by its field `payloadFailure`, not by its class: a bundled payload has its own copy of the class. */
export class PayloadFailure extends Error {
  override readonly name = 'PayloadFailure';
  readonly payloadFailure: PayloadFailureFacts;

  constructor(message: string, facts: PayloadFailureFacts) {
    super(message);
    this.payloadFailure = facts;
  }
}
