/** Turns what a payload's own code throws into an error that names the user's file and line. */
import { describeThrown, type ErrorCode, GranuleError } from '../../core/errors.ts';

/** First place of a stack that lies in a file: `/home/me/payload.ts:12:5`. */
function firstPlace(stack: string): string | undefined {
  for (const line of stack.split('\n')) {
    const match = /\(?((?:file:\/\/)?\/[^()]+:\d+:\d+)\)?$/.exec(line);
    if (match?.[1] !== undefined) return match[1].replace(/^file:\/\//, '');
  }
  return undefined;
}

/**
 * @param what the call that failed, as the beginning of the message
 * @returns an error with details `{ at }`, when the stack says where; the thrown value is its cause
 */
export function describeUserError(thrown: unknown, what: string, code: ErrorCode): GranuleError {
  const { message, stack } = describeThrown(thrown);
  const at = firstPlace(stack);
  const error = new GranuleError(code, `${what}: ${message}${at === undefined ? '' : ` (at ${at})`}`, {
    details: at === undefined ? {} : { at },
    cause: thrown,
  });
  // A stack survives a thread, a cause does not; and it is the user's stack that says something.
  if (stack !== '') error.stack = `${error.name}: ${error.message}\ncaused by ${stack}`;
  return error;
}
