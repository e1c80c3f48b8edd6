/** Brings path and event index together: reads a file only when the index does not know it as it is now. */
import { resolve } from 'node:path';
import type { Guid } from '../../core/ids.ts';
import type { Slots } from '../slots.ts';
import type { EventIndex } from './event-index.ts';
import { type CheckCancelled, type DescribeRoot, type IndexedFile, indexFile } from './index-file.ts';
import type { IndexAnswer, VerifyAnswer } from './indexing-messages.ts';
import { findUnchanged } from './unchanged-files.ts';

/**
 * Indexes a path, unless that was done and neither its size nor its modification time has changed. Belongs into a
 * thread. A path that holds something else than before is added to the index under its new GUID, but keeps standing
 * for its old content unless `acceptChange` is given: so every later start, too, says that it changed.
 *
 * @param options.readSlots bounds how many files are read at once; they are committed beside that, and together
 * @throws what `indexFile` throws; STORE_FAILED
 */
export async function indexPath(
  index: EventIndex,
  path: string,
  options: {
    readonly acceptChange: boolean;
    readonly checkCancelled: CheckCancelled;
    readonly describeRoot?: DescribeRoot;
    readonly readSlots?: Slots;
  },
): Promise<IndexAnswer> {
  const unchanged = findUnchanged(index, path);
  if (unchanged !== undefined) return unchanged;
  const { readSlots } = options;
  const reading = (): ReturnType<typeof indexFile> => indexFile(path, options);
  const { file, stamp } = await (readSlots === undefined ? reading() : readSlots.use(reading));
  const absolutePath = resolve(path);
  const previousGuid = index.pathRow(absolutePath)?.guid ?? file.record.guid;
  const hasChanged = previousGuid !== file.record.guid;
  await index.add(file, hasChanged && !options.acceptChange ? undefined : { path: absolutePath, stamp });
  return {
    record: file.record,
    outcome: hasChanged ? 'changed' : 'read',
    previousGuid: hasChanged ? previousGuid : null,
  };
}

/** Reads a file again and compares content and byte ranges with what the index keeps. Belongs into a thread. */
export async function verifyPath(
  index: EventIndex,
  guid: Guid,
  path: string,
  options: { readonly checkCancelled: CheckCancelled; readonly describeRoot?: DescribeRoot },
): Promise<VerifyAnswer> {
  if (index.fileRecord(guid) === undefined) return { kind: 'unknown' };
  const { file } = await indexFile(path, { ...options, checksums: index.hasChecksums(guid) });
  return compareWithIndex(index, guid, file);
}

/** Whether what was read just now is the file that the index keeps for `guid`. */
export function compareWithIndex(index: EventIndex, guid: Guid, file: IndexedFile): VerifyAnswer {
  const kept = index.fileRecord(guid);
  if (kept === undefined) return { kind: 'unknown' };
  if (file.record.guid !== guid) return { kind: 'other-content', found: file.record.guid };
  const isSame =
    kept.eventCount === file.record.eventCount &&
    kept.sha256 === file.record.sha256 &&
    JSON.stringify([kept.runSegments, kept.trees]) === JSON.stringify([file.record.runSegments, file.record.trees]) &&
    index.hasSameBlocks(guid, file);
  return { kind: isSame ? 'same' : 'other-index' };
}
