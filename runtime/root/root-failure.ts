/** What a failure inside jsroot means to the user. */
import { GranuleError } from '../../core/errors.ts';

export function rootFailed(message: string, cause?: unknown): GranuleError {
  return new GranuleError('INPUT_ROOT_FAILED', message, {
    remedy: "a branch that jsroot cannot read may be left out, --branches '*,!NAME'; else check the file with ROOT",
    ...(cause === undefined ? {} : { cause }),
  });
}
