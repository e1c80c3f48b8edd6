/** Tokens of events, from what the event index knows of their file. */
import { assert } from '../../core/assert.ts';
import type { FileRecord } from '../../core/file-index.ts';
import {
  CLASS_EVENT_BYTES,
  CLASS_TREE_ENTRY,
  formatToken,
  TECHNOLOGY_EVENT_LISTING,
  TECHNOLOGY_ROOT_TREE,
} from '../../core/token.ts';
import { chooseTree } from '../root/tree-choice.ts';
import type { EventIndex } from './event-index.ts';

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

/** @param record of a ROOT file, its tree chosen; @param position 1-based */
export function entryToken({ guid, trees }: FileRecord, position: number): string {
  const container = trees?.chosen;
  assert(typeof container === 'string', 'a tree is chosen before its entries are named');
  return formatToken({
    guid,
    container,
    classID: CLASS_TREE_ENTRY,
    technology: TECHNOLOGY_ROOT_TREE,
    linkID: 0,
    row: position - 1,
  });
}

/** Of an event found by its run and event number. @param position as the index's `lookupEvents` gives it */
export function numberedToken(index: Pick<EventIndex, 'lookupSpan'>, record: FileRecord, position: number): string {
  const numbered = record.trees?.numbered;
  if (numbered !== undefined) return entryToken(chooseTree(record, numbered), position);
  const { offsets, lengths } = index.lookupSpan(record.guid, position, 1);
  return eventToken(record, { position, offsetBytes: offsets[0] ?? 0, lengthBytes: lengths[0] ?? 0 });
}
