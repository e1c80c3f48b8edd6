/**
 * One output file under construction, in a worker's thread: bytes are gathered in memory, checksummed while written,
 * spilled to a temporary file when they grow large, and put in place by a rename when complete.
 */
import { closeSync, ftruncateSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { GranuleError } from '../../core/errors.ts';
import { OUTPUT_GATHER_BYTES } from '../../core/limits.ts';
import { stageOut } from './stage-out.ts';

/** Name of a file that is not complete: it ends so. */
export const TEMPORARY_SUFFIX = '.part';

/** A state of the file to which it can be rolled back. */
export interface EventFileMark {
  readonly sizeBytes: number;
  readonly crc: number;
}

export class EventFile {
  readonly #temporaryPath: string;
  #chunks: Uint8Array[] = [];
  /** bytes in `#chunks` */
  #gatheredBytes = 0;
  /** bytes already in the temporary file */
  #spilledBytes = 0;
  /** CRC-32 of the spilled bytes */
  #spilledCrc = 0;
  #fd: number | undefined;

  constructor(temporaryPath: string) {
    this.#temporaryPath = temporaryPath;
  }

  get sizeBytes(): number {
    return this.#spilledBytes + this.#gatheredBytes;
  }

  /** The bytes belong to the file from now on: the caller does not change them until `complete` or `discard`. */
  append(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#gatheredBytes += bytes.length;
    if (this.#gatheredBytes >= OUTPUT_GATHER_BYTES) this.#spill();
  }

  /** Everything so far, as a place to come back to. Spills, so it is for files that hold several ranges. */
  mark(): EventFileMark {
    this.#spill();
    return { sizeBytes: this.#spilledBytes, crc: this.#spilledCrc };
  }

  /** Forgets what was appended after `mark`. */
  rollback(mark: EventFileMark): void {
    this.#chunks = [];
    this.#gatheredBytes = 0;
    if (this.#spilledBytes > mark.sizeBytes && this.#fd !== undefined) ftruncateSync(this.#fd, mark.sizeBytes);
    this.#spilledBytes = mark.sizeBytes;
    this.#spilledCrc = mark.crc;
  }

  /**
   * Closes the file and puts it at `finalPath`.
   *
   * @returns size and CRC-32 of the whole file
   * @throws OUTPUT_FAILED for a full disk and the like
   */
  complete(finalPath: string): { readonly sizeBytes: number; readonly crc32: number } {
    try {
      this.#spill();
      if (this.#fd === undefined) this.#fd = openSync(this.#temporaryPath, 'w');
      closeSync(this.#fd);
      this.#fd = undefined;
      stageOut(this.#temporaryPath, finalPath);
    } catch (cause) {
      this.discard();
      throw outputFailed(finalPath, cause);
    }
    return { sizeBytes: this.#spilledBytes, crc32: this.#spilledCrc };
  }

  /** Removes what was written. Never throws: the temporary file is cleaned up at the next start if it must be. */
  discard(): void {
    this.#chunks = [];
    this.#gatheredBytes = 0;
    if (this.#fd === undefined) return;
    try {
      closeSync(this.#fd);
      unlinkSync(this.#temporaryPath);
    } catch {
      // The descriptor is gone or the disk is full: nothing of it is ever reported.
    }
    this.#fd = undefined;
  }

  #spill(): void {
    if (this.#gatheredBytes === 0) return;
    const [first] = this.#chunks;
    const bytes =
      this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks, this.#gatheredBytes);
    if (this.#fd === undefined) this.#fd = openSync(this.#temporaryPath, 'w');
    let written = 0;
    while (written < bytes.length) {
      written += writeSync(this.#fd, bytes, written, bytes.length - written, this.#spilledBytes + written);
    }
    this.#spilledCrc = crc32(bytes, this.#spilledCrc);
    this.#spilledBytes += bytes.length;
    this.#chunks = [];
    this.#gatheredBytes = 0;
  }
}

/** What a failed write of an output means to the user. */
function outputFailed(path: string, cause: unknown): GranuleError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return new GranuleError('OUTPUT_FAILED', `${path} cannot be written: ${full ? 'no space left' : String(cause)}`, {
    cause,
    details: { path, errno: code },
    remedy: full ? 'free some space and run the same command again: it goes on' : 'check the folder and run again',
  });
}
