/** What a run will need on disk, as far as that can be told before. */
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EventIndex } from '../indexing/event-index.ts';
import type { UsableInput } from '../inputs/input-set.ts';
import type { TaskShape } from './task-shape.ts';

export interface PlannedStream {
  readonly stream: string;
  /** merged, in all; null when there is nothing to tell it by */
  readonly sizeBytes: number | null;
  /** `measured`: from what is merged already; `input`: at most all of the input */
  readonly basis: 'measured' | 'input' | 'unknown';
}

/**
 * @param indexPath of the event index, which knows all inputs
 * @param bytesPerEvent merged bytes per event so far, by stream
 */
export async function estimateStreams(
  { streams, inputs, files }: TaskShape,
  eventCount: number,
  indexPath: string,
  bytesPerEvent: ReadonlyMap<string, number> | undefined,
): Promise<PlannedStream[]> {
  let inputBytes: number | undefined;
  const estimates: PlannedStream[] = [];
  for (const { name: stream, format } of streams) {
    const measured = bytesPerEvent?.get(stream);
    if (measured !== undefined) {
      estimates.push({ stream, sizeBytes: Math.round(measured * eventCount), basis: 'measured' });
    } else if (format === 'as-input') {
      inputBytes ??= await chosenBytes(inputs, files, indexPath);
      estimates.push({ stream, sizeBytes: inputBytes, basis: 'input' });
    } else {
      estimates.push({ stream, sizeBytes: null, basis: 'unknown' });
    }
  }
  return estimates;
}

/** Bytes of the chosen events, inflated. */
async function chosenBytes(
  inputs: readonly UsableInput[],
  files: TaskShape['files'],
  indexPath: string,
): Promise<number> {
  await using index = await EventIndex.open({ path: indexPath, readOnly: true });
  let bytes = 0;
  for (const [fileIndex, { record }] of inputs.entries()) {
    for (const [first, last] of files[fileIndex]?.selection ?? [[1, record.eventCount]]) {
      const { offsets, lengths } = index.lookupPositions(record.guid, [first, last]);
      bytes += (offsets[1] ?? 0) + (lengths[1] ?? 0) - (offsets[0] ?? 0);
    }
  }
  return bytes;
}

/** Of the file system that a folder, which need not exist yet, lies on. */
export async function freeBytesAt(folder: string): Promise<number> {
  let existing = folder;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  const { bavail, bsize } = await statfs(existing);
  return bavail * bsize;
}
