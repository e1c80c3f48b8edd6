/**
 * Stage-out to a local aggregation folder, in the worker that wrote the file: on the same file system the rename *is*
 * the transfer; between file systems the file is copied under a temporary name, read back, and renamed.
 *
 * Nothing is flushed here: a power cut can lose staged files, and the merge notices by size and CRC-32.
 */
import { closeSync, mkdirSync, openSync, readSync, renameSync, rmSync, statSync, unlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { OutputRecord } from '../../core/dispatcher-api.ts';
import { GranuleError } from '../../core/errors.ts';
import { STAGE_OUT_ATTEMPTS_MAX, STAGE_OUT_BACKOFF_MS, STAGE_OUT_COPY_BYTES } from '../../core/limits.ts';
import { errnoOf, outputFailure, writeFully } from '../durable-file.ts';

/** Begins the names of files that are not complete; a sweep of the aggregation folder removes them. */
const TEMPORARY_PREFIX = '.part-';

/** Errors that pass by themselves: descriptors used up for a moment, a network file system that is busy or slow. */
const TRANSIENT = new Set(['EAGAIN', 'EBUSY', 'EINTR', 'EIO', 'EMFILE', 'ENFILE', 'ESTALE', 'ETIMEDOUT']);

/** The system calls whose faults the retries are for; tests put in failing ones. */
export interface StageOutCalls {
  rename(from: string, to: string): void;
  copy(from: string, to: string): FileSum;
}

/** Size and CRC-32 (zlib's) of a file. */
export interface FileSum {
  readonly sizeBytes: number;
  readonly crc32: number;
}

const SYSTEM_CALLS: StageOutCalls = { rename: renameSync, copy: copyFile };

/**
 * Moves a complete file to its place at the aggregation point, replacing what is there. The folder is made when it is
 * absent. Blocks the calling thread, at most for the back-off of `STAGE_OUT_ATTEMPTS_MAX` attempts.
 *
 * @throws OUTPUT_FAILED when it cannot be done; the source is still there then
 */
export function stageOut(from: string, to: string, calls: StageOutCalls = SYSTEM_CALLS): void {
  for (let attempt = 1; ; attempt += 1) {
    try {
      transfer(from, to, calls);
      return;
    } catch (error) {
      const code = errnoOf(error);
      if (attempt === STAGE_OUT_ATTEMPTS_MAX) throw outputFailure(to, error);
      if (code === 'ENOENT') {
        // The shard is new, or the merger has just removed it as empty. A missing source fails the same way again.
        makeFolder(dirname(to));
      } else if (code === 'OUTPUT_DAMAGED' || TRANSIENT.has(code)) {
        sleep(STAGE_OUT_BACKOFF_MS * 2 ** (attempt - 1));
      } else {
        throw outputFailure(to, error);
      }
    }
  }
}

/** Is a rename all it takes to move a file from one folder to the other? False where one of them is not there. */
export function onOneFileSystem(folder: string, other: string): boolean {
  const device = statSync(folder, { throwIfNoEntry: false })?.dev;
  return device !== undefined && device === statSync(other, { throwIfNoEntry: false })?.dev;
}

function transfer(from: string, to: string, calls: StageOutCalls): void {
  try {
    calls.rename(from, to);
  } catch (error) {
    if (errnoOf(error) !== 'EXDEV') throw error;
    transferBetweenFileSystems(from, to, calls);
  }
}

function transferBetweenFileSystems(from: string, to: string, calls: StageOutCalls): void {
  const temporary = join(dirname(to), `${TEMPORARY_PREFIX}${basename(to)}`);
  try {
    const sent = calls.copy(from, temporary);
    const arrived = sumFile(temporary);
    if (arrived.sizeBytes !== sent.sizeBytes || arrived.crc32 !== sent.crc32) {
      throw new GranuleError(
        'OUTPUT_DAMAGED',
        `${to}: wanted ${describeSum(sent)} as in ${from}, found ${describeSum(arrived)} after the copy`,
        { details: { path: to } },
      );
    }
    calls.rename(temporary, to);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  unlinkSync(from);
}

function describeSum(sum: FileSum): string {
  return `${sum.sizeBytes} bytes with CRC-32 ${sum.crc32.toString(16).padStart(8, '0')}`;
}

function copyFile(from: string, to: string): FileSum {
  const target = openSync(to, 'w');
  try {
    return readThrough(from, (chunk) => writeFully(target, chunk));
  } finally {
    closeSync(target);
  }
}

/** Size and CRC-32 of a file as it can be read now. */
export function sumFile(path: string): FileSum {
  return readThrough(path, () => undefined);
}

function readThrough(path: string, take: (chunk: Uint8Array) => void): FileSum {
  const buffer = Buffer.allocUnsafe(STAGE_OUT_COPY_BYTES);
  const source = openSync(path, 'r');
  try {
    let sizeBytes = 0;
    let sum = 0;
    for (;;) {
      const count = readSync(source, buffer, 0, buffer.length, null);
      if (count === 0) return { sizeBytes, crc32: sum };
      const chunk = buffer.subarray(0, count);
      take(chunk);
      sum = crc32(chunk, sum);
      sizeBytes += count;
    }
  } finally {
    closeSync(source);
  }
}

/**
 * Removes the staged files of ranges whose report was refused as stale. Files that are gone already are fine; a file
 * shared with other ranges stays until the aggregation folder is swept.
 *
 * @returns how many files could not be removed; they are swept later
 */
export function removeOutputs(aggregationFolder: string, outputs: readonly OutputRecord[]): number {
  let left = 0;
  for (const { file, headerBytes } of outputs) {
    if (headerBytes !== undefined) continue;
    try {
      unlinkSync(join(aggregationFolder, file));
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') left += 1;
    }
  }
  return left;
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw outputFailure(path, error);
  }
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
