/** The token of an event of an event listing, from what the event index knows of it. */
import type { FileRecord } from '../../core/file-index.ts';
import { CLASS_EVENT_BYTES, formatToken, TECHNOLOGY_EVENT_LISTING } from '../../core/token.ts';

/** @param place 1-based position, and the event's bytes in the (inflated) file */
export function eventToken(
  { guid, format }: FileRecord,
  place: { readonly position: number; readonly offsetBytes: number; readonly lengthBytes: number },
): string {
  const { position, offsetBytes, lengthBytes } = place;
  return formatToken({
    guid,
    container: format,
    classID: CLASS_EVENT_BYTES,
    technology: TECHNOLOGY_EVENT_LISTING,
    linkID: 0,
    row: position - 1,
    byteRange: { offsetBytes, lengthBytes },
  });
}
