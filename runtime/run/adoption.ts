/**
 * After a death of the whole program: complete output files whose ranges were not yet recorded are adopted, so that
 * their events are not executed again; every other file that the table does not know is removed. Runs on the main thread
 * before work begins, in slices between which it yields.
 *
 * A range is adopted when it is one event, the sequence rule gives it files of its own, and there is an intact file of
 * *every* declared stream. An event that left out a stream, or wrote nothing, cannot be told from one that was killed
 * before it got there: it is executed again. The same holds for streams of format `bytes`, whose files nobody can check.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import type { OutputRecord } from '../../core/dispatcher-api.ts';
import { isGranuleError } from '../../core/errors.ts';
import { formatEventRangeID } from '../../core/ids.ts';
import { ADOPTION_SLICE_FILES } from '../../core/limits.ts';
import type { SequenceRule } from '../../core/messages.ts';
import type { OutputFormat } from '../../payloads/formats/event-format.ts';
import { removeUnmerged, unmergedEntries } from './unmerged-folder.ts';

/** A range that was in a consumer's hands when the program died. */
export interface AdoptableRange {
  readonly rangeIndex: number;
  readonly fileIndex: number;
  /** 1-based, both ends included */
  readonly startEvent: number;
  readonly lastEvent: number;
  readonly jobID: number;
  readonly attemptNr: number;
}

export interface AdoptionRequest {
  readonly aggregationFolder: string;
  readonly taskID: number;
  /** declared streams and how each is written for a given input file */
  readonly streams: readonly { readonly name: string; readonly formatOf: (fileIndex: number) => OutputFormat }[];
  readonly sequence: SequenceRule;
  /** false after a power loss, when files may be there without their content: nothing is adopted then */
  readonly sameBoot: boolean;
  readonly ranges: readonly AdoptableRange[];
  /** files (below the aggregation folder) of ranges that are recorded as finished and not merged: they stay */
  readonly recordedFiles: ReadonlySet<string>;
}

export interface AdoptedRange {
  readonly rangeIndex: number;
  readonly attemptNr: number;
  readonly outputs: readonly OutputRecord[];
}

export interface AdoptionResult {
  /** to be reported as finished; their files stay */
  readonly adopted: readonly AdoptedRange[];
  /** files that were removed because nothing will ever ask for them */
  readonly removedFileCount: number;
}

/** Files of one adoptable range, by stream. */
type FilesByStream = Map<string, string>;

/**
 * Sweeps the aggregation folder; a folder that does not exist holds nothing. Nobody may write there meanwhile. Twice is
 * harmless.
 */
export async function adoptOutputs(request: AdoptionRequest): Promise<AdoptionResult> {
  const { aggregationFolder, recordedFiles } = request;
  const adoptable = indexAdoptable(request);
  const found = new Map<AdoptableRange, FilesByStream>();
  const surplus: string[] = [];
  for await (const { file, name, isFile } of unmergedEntries(aggregationFolder)) {
    if (recordedFiles.has(file)) continue;
    const dot = name.indexOf('.');
    const range = adoptable.get(name.slice(dot + 1));
    if (range === undefined || !isFile) {
      surplus.push(file);
      continue;
    }
    const files: FilesByStream = found.get(range) ?? new Map();
    found.set(range, files.set(name.slice(0, dot), file));
  }
  const adopted: AdoptedRange[] = [];
  let sinceYield = 0;
  for (const [range, files] of found) {
    const outputs = examine(range, files, request);
    if (outputs !== undefined) adopted.push({ rangeIndex: range.rangeIndex, attemptNr: range.attemptNr, outputs });
    else surplus.push(...files.values());
    sinceYield += files.size;
    if (sinceYield < ADOPTION_SLICE_FILES) continue;
    sinceYield = 0;
    await setImmediate();
  }
  await removeUnmerged(aggregationFolder, surplus);
  return { adopted, removedFileCount: surplus.length };
}

/** By printed eventRangeID. */
function indexAdoptable(request: AdoptionRequest): Map<string, AdoptableRange> {
  const index = new Map<string, AdoptableRange>();
  const ownFiles = request.sequence.at === 'EndEvent' || request.sequence.at === 'NextEventRange';
  if (!request.sameBoot || !ownFiles || request.streams.length === 0) return index;
  for (const range of request.ranges) {
    if (range.startEvent !== range.lastEvent) continue;
    const { jobID, startEvent, attemptNr } = range;
    const id = formatEventRangeID({
      taskID: request.taskID,
      jobID,
      fileID: range.fileIndex + 1,
      startEvent,
      attemptNr,
    });
    index.set(id, range);
  }
  return index;
}

/** The records of an adoptable range; undefined when a file is missing or not whole. */
function examine(range: AdoptableRange, files: FilesByStream, request: AdoptionRequest): OutputRecord[] | undefined {
  const outputs: OutputRecord[] = [];
  for (const { name, formatOf } of request.streams) {
    const file = files.get(name);
    if (file === undefined) return undefined;
    const bytes = readFileSync(join(request.aggregationFolder, file));
    // Empty: killed between the creation of a small file and its write. Larger ones get their name when they are whole.
    const recordCount = bytes.length === 0 ? undefined : countRecords(bytes, formatOf(range.fileIndex));
    if (recordCount === undefined) return undefined;
    outputs.push({
      stream: name,
      file,
      offsetBytes: 0,
      lengthBytes: bytes.length,
      crc32: crc32(bytes),
      recordCount,
    });
  }
  return files.size === outputs.length ? outputs : undefined;
}

/** Undefined for a file that is not whole, or whose records cannot be told apart. */
function countRecords(bytes: Uint8Array, format: OutputFormat): number | undefined {
  try {
    const { recordCount } = format.split(bytes);
    return Number.isNaN(recordCount) ? undefined : recordCount;
  } catch (error) {
    if (isGranuleError(error) && error.code === 'OUTPUT_DAMAGED') return undefined;
    throw error;
  }
}
