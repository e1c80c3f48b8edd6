/**
 * Whether what an event wrote now is what it wrote in the run: by checksum while its output waits to be merged, else by
 * looking for its bytes in the merged file.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { OutputRecord } from '../../core/dispatcher-api.ts';
import { EXEC_COMPARE_WINDOW_BYTES } from '../../core/limits.ts';
import type { OutputFormatName, SplitOutput } from '../../payloads/formats/event-format.ts';

/** `unknown`: the run has no output of the event, or none that single events can be told apart in. */
export type Comparison = 'same' | 'different' | 'unknown';

/** One stream of the event, as it was written now. */
export interface WrittenNow {
  readonly format: OutputFormatName;
  /** the unmerged file as a whole, and taken apart */
  readonly file: Uint8Array;
  readonly part: SplitOutput;
}

/** What the run has of the same event and stream. */
export interface WrittenInRun {
  /** output of the event alone that waits to be merged; undefined when there is none */
  readonly unmerged: OutputRecord | undefined;
  /** absolute path of the merged file that holds the event; undefined when it is not merged */
  readonly mergedPath: string | undefined;
}

export async function compareWithRun(now: WrittenNow, { unmerged, mergedPath }: WrittenInRun): Promise<Comparison> {
  if (unmerged !== undefined) return unmerged.crc32 === sumAsRecorded(now, unmerged) ? 'same' : 'different';
  if (mergedPath === undefined || now.part.body.length === 0) return 'unknown';
  const file = await open(mergedPath, 'r').catch(() => undefined);
  if (file === undefined) return 'unknown';
  try {
    if (await holds(file, now.part.body)) return 'same';
  } finally {
    await file.close();
  }
  return isKeptWhole(now) ? 'different' : 'unknown';
}

/** Files shared by several ranges are recorded by header and records, others whole. */
function sumAsRecorded({ file, part }: WrittenNow, { headerBytes }: OutputRecord): number {
  return headerBytes === undefined ? crc32(file) : crc32(part.body, crc32(part.header));
}

/** Fills of histograms are added up, and a container may put a part of its index between records. */
function isKeptWhole({ format, part }: WrittenNow): boolean {
  return format !== 'histogram' && (format !== 'gev' || part.recordCount === 1);
}

async function holds(file: FileHandle, wanted: Uint8Array): Promise<boolean> {
  const window = Buffer.alloc(EXEC_COMPARE_WINDOW_BYTES + wanted.length - 1);
  for (let offset = 0; ; offset += EXEC_COMPARE_WINDOW_BYTES) {
    let filled = 0;
    while (filled < window.length) {
      const { bytesRead } = await file.read(window, filled, window.length - filled, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    if (window.subarray(0, filled).includes(Buffer.from(wanted.buffer, wanted.byteOffset, wanted.length))) return true;
    if (filled < window.length) return false;
  }
}
