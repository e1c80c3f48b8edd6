/**
 * Files that survive a power cut: content flushed before the name, the name flushed with its folder. Synchronous; for
 * threads, and for the few small files that the main thread writes.
 */
import { closeSync, fdatasyncSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { GranuleError } from '../core/errors.ts';

/** Makes names created, renamed or removed in this folder durable. */
export function syncFolder(path: string): void {
  // A folder cannot be opened on Windows; its file systems journal names by themselves.
  if (process.platform === 'win32') return;
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Puts a flushed file under its final name, replacing what is there, and flushes both folders. */
function renameDurably(from: string, to: string): void {
  renameSync(from, to);
  syncFolder(dirname(to));
  if (dirname(from) !== dirname(to)) syncFolder(dirname(from));
}

/** Writes all of `bytes`: one call of `write` may take fewer. */
export function writeFully(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done);
}

/**
 * Writes a file by way of a temporary name beside it: after a kill or a power cut there is the old file or the new one,
 * never a part. `pieces` may be made while writing, so that the whole need not be in memory.
 *
 * @throws OUTPUT_FAILED naming the file; the temporary file is removed
 */
export function writeFileDurably(path: string, pieces: Iterable<Uint8Array | string>): void {
  const temporary = `${path}.tmp`;
  try {
    const fd = openSync(temporary, 'w');
    try {
      for (const piece of pieces) writeFully(fd, typeof piece === 'string' ? Buffer.from(piece) : piece);
      fdatasyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameDurably(temporary, path);
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw outputFailure(path, cause);
  }
}

/** What no file can be written for, whatever is in it: the file system is full or read-only. */
const NO_FILE_OF_ANYBODY: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EROFS']);

/** True for a failed write that would fail for any other content and at any other place there, too. */
export function isStorageGone(error: unknown): error is GranuleError {
  return (
    error instanceof GranuleError && error.code === 'OUTPUT_FAILED' && NO_FILE_OF_ANYBODY.has(errnoOf(error.cause))
  );
}

/** Name of the system's error (errno(3)); empty for anything else. */
export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** What a failed write is reported as. A code of ours is kept. */
export function outputFailure(path: string, cause: unknown): GranuleError {
  if (cause instanceof GranuleError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new GranuleError('OUTPUT_FAILED', `${path} cannot be written: ${reason}`, {
    details: { path, errno: errnoOf(cause) },
    remedy:
      'Free space or correct the permissions there, then run the same command again: it goes on where it stopped.',
    cause,
  });
}
