/** Errors that formats throw: they know offset and position; the caller that knows the file adds its name. */
import { GranuleError } from '../../core/errors.ts';

/** Where in the (inflated) file: byte offset, and the 1-based position of the event concerned. */
export interface Place {
  readonly offsetBytes: number;
  readonly position: number;
}

export function malformed(message: string, place: Place): GranuleError {
  return new GranuleError('INPUT_MALFORMED', `${message} (offset ${place.offsetBytes}, event ${place.position})`, {
    details: { ...place },
    remedy: 'look at the file there; copy it again, or have its maker write it again',
  });
}

/**
 * @param missing what the format demands and the file lacks
 * @param place where the file ends, and the event that is incomplete (or would have come next)
 */
export function truncated(missing: string, place: Place): GranuleError {
  const complete = place.position - 1;
  return new GranuleError(
    'INPUT_TRUNCATED',
    `the file ends at offset ${place.offsetBytes} without ${missing}; ` +
      (complete === 0 ? 'no event is complete' : `the last complete event is ${complete}`),
    {
      details: { ...place, lastCompletePosition: complete },
      remedy: 'copy the file again, or have its maker finish it',
    },
  );
}

/** An unmerged output that is not what its format says. */
export function damaged(message: string, cause?: unknown): GranuleError {
  return new GranuleError('OUTPUT_DAMAGED', message, cause === undefined ? {} : { cause });
}

/** A value the output format cannot hold. */
export function refusedRecord(message: string, remedy: string, cause?: unknown): GranuleError {
  return new GranuleError('PAYLOAD_OUTPUT_INVALID', message, cause === undefined ? { remedy } : { remedy, cause });
}
