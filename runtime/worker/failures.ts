/** Turns what a payload threw, or how its worker ended, into a {@link Failure} with a cause from the closed list. */
import { withoutSecrets } from '../../core/address-secrets.ts';
import type { Failure } from '../../core/dispatcher-api.ts';
import { describeThrown, type GranuleError, isGranuleError } from '../../core/errors.ts';
import { LOG_LINE_CHARS_MAX } from '../../core/limits.ts';
import type { RangeReport } from '../../core/messages.ts';
import { FAILURE_CAUSES, type FailureCause } from '../../core/states.ts';

/** Reason of an abort by time-out, and what a given-up execution fails with. */
export const TIMED_OUT = Object.freeze({ timedOut: true, message: 'the event ran longer than its time-out' });

/** Why a worker is ended that has done nothing wrong: what it executes goes back without cost. */
export const GIVEN_UP: Failure = Object.freeze({ cause: 'cancelled', message: 'the run stops', logTail: [] });

/** The heap of a worker's thread or process has grown above its limit. */
export const OUT_OF_MEMORY: Failure = Object.freeze({
  cause: 'out-of-memory',
  message: 'the worker reached its heap limit (--heap-max)',
  logTail: [],
});

/** For a hook of the payload that does not come back. */
export const HOOK_REMEDY = 'run with a longer --hook-timeout if it needs more time';

export const LATE_ERROR = {
  exception: 'an error was thrown outside execute',
  rejection: 'a promise was rejected that nobody waits for',
} as const;
export type LateErrorKind = keyof typeof LATE_ERROR;

const CAUSE_OF_CODE: Readonly<Record<string, FailureCause>> = {
  OUTPUT_TOO_LARGE: 'output-too-large',
  PAYLOAD_OUTPUT_INVALID: 'output-invalid',
  INPUT_MALFORMED: 'input-error',
  INPUT_TRUNCATED: 'input-error',
  INPUT_UNREADABLE: 'input-error',
  SOURCE_CHANGED: 'input-error',
  SOURCE_CORRUPT: 'input-error',
  SOURCE_UNREACHABLE: 'input-error',
};

/** @param logTail the event's last log lines */
export function failureOf(thrown: unknown, logTail: readonly string[]): Failure {
  if (isTimedOut(thrown)) return { cause: 'timeout', message: TIMED_OUT.message, logTail };
  if (isLateError(thrown)) {
    const { message, stack } = describeThrown(thrown.lateError);
    const { position } = thrown;
    const failure: Failure = { cause: 'payload-late-error', message: line(message), logTail };
    return withStack(position === undefined ? failure : { ...failure, position }, stack);
  }
  const { message, stack } = describeThrown(thrown);
  const declared = declaredFailure(thrown);
  if (declared !== undefined) {
    return withStack(
      { ...declared, message: line(message), logTail: [...logTail, ...(declared.logTail ?? [])] },
      stack,
    );
  }
  const cause = isGranuleError(thrown) ? (CAUSE_OF_CODE[thrown.code] ?? 'payload-error') : 'payload-error';
  return withStack({ cause, message: line(message), logTail }, stack);
}

/** A worker is gone without a word: what its exit says about the event that it executed. */
export function failureOfDeath(death: unknown): Failure {
  const { message } = describeThrown(death);
  const code = death instanceof Error && 'code' in death ? String(death.code) : '';
  if (code === 'ERR_WORKER_OUT_OF_MEMORY' || /out of memory|heap limit/i.test(message)) return OUT_OF_MEMORY;
  if (/exit/i.test(message)) {
    return { cause: 'payload-exit', message: `the payload ended its worker (${line(message)})`, logTail: [] };
  }
  return { cause: 'worker-died', message: line(message), logTail: [] };
}

/** The process of a worker is gone without a word. @param ranOutOfMemory its log says so */
export function failureOfProcess(
  exitCode: number | null,
  signal: NodeJS.Signals | null,
  ranOutOfMemory: boolean,
): Failure {
  if (ranOutOfMemory) return OUT_OF_MEMORY;
  if (signal !== null) {
    return { cause: 'signal', message: `the worker's process was ended by ${signal}`, signal, logTail: [] };
  }
  if (exitCode !== null) {
    const message = `the payload ended its worker's process with exit code ${exitCode}`;
    return { cause: 'payload-exit', message, childExitCode: exitCode, logTail: [] };
  }
  return { cause: 'worker-died', message: "the worker's process could not be started", logTail: [] };
}

/**
 * A range that was in execution at several deaths of the whole program has run in a process of its own: what ended that
 * process had ended the program before.
 */
export function failureOfSuspect(failure: Failure): Failure {
  if (failure.cause !== 'signal' && failure.cause !== 'out-of-memory' && failure.cause !== 'worker-died')
    return failure;
  return {
    ...failure,
    cause: 'killed-program',
    message: `the event kills the program that runs it: ${failure.message}`,
  };
}

function isTimedOut(thrown: unknown): boolean {
  if (typeof thrown !== 'object' || thrown === null) return false;
  if ('timedOut' in thrown && thrown.timedOut === true) return true;
  return 'cause' in thrown && isTimedOut(thrown.cause);
}

/** `position`: the event that has begun what went wrong, when that is known. */
function isLateError(thrown: unknown): thrown is { readonly lateError: unknown; readonly position?: number } {
  return typeof thrown === 'object' && thrown !== null && 'lateError' in thrown;
}

/** What a payload that runs children says about their end: see `payloads/payload-failure.ts`. */
function declaredFailure(
  thrown: unknown,
): (Pick<Failure, 'cause'> & Partial<Pick<Failure, 'logTail' | 'signal' | 'childExitCode'>>) | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('payloadFailure' in thrown)) return undefined;
  const declared = thrown.payloadFailure;
  if (typeof declared !== 'object' || declared === null || !('cause' in declared)) return undefined;
  const cause = FAILURE_CAUSES.find((known) => known === declared.cause);
  if (cause === undefined) return undefined;
  return {
    cause,
    ...('signal' in declared && typeof declared.signal === 'string' ? { signal: declared.signal } : {}),
    ...('childExitCode' in declared && typeof declared.childExitCode === 'number'
      ? { childExitCode: declared.childExitCode }
      : {}),
    ...('logTail' in declared && Array.isArray(declared.logTail)
      ? { logTail: declared.logTail.map((text) => withoutSecrets(String(text))) }
      : {}),
  };
}

function line(message: string): string {
  const [first = ''] = message.split('\n');
  return withoutSecrets(first.slice(0, LOG_LINE_CHARS_MAX));
}

function withStack(failure: Failure, stack: string): Failure {
  return stack === '' ? failure : { ...failure, stack: withoutSecrets(stack.slice(0, 4 * LOG_LINE_CHARS_MAX)) };
}

/** What becomes of a range whose bytes cannot be read. */
export function unreadableRange(
  { rangeIndex, attemptNr }: { readonly rangeIndex: number; readonly attemptNr: number },
  error: GranuleError,
): RangeReport {
  return {
    kind: 'failed',
    rangeIndex,
    attemptNr,
    eventCount: 1,
    failure: failureOf(error, []),
    failedEvents: null,
    failuresBefore: 0,
    wallMs: 0,
    copy: false,
  };
}
