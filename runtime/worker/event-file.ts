/**
 * One output file under construction, in a worker's thread: bytes are gathered in memory, checksummed while written,
 * spilled to a temporary file when they grow large, and put in place by a rename when complete.
 *
 * A small file (`OUTPUT_AT_ONCE_BYTES_MAX`) is created in its place: a rename costs as much as all else that such a file
 * takes, and twice as much while another thread renames. Its only write is one of a page at most, which a kernel does
 * whole or not at all, however its process is killed. So a file in place is complete or, killed between creation and
 * write, empty; nobody is told of it before it is complete, and an empty one is never adopted.
 */
import { closeSync, ftruncateSync, openSync, rmSync, unlinkSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { OUTPUT_AT_ONCE_BYTES_MAX, OUTPUT_GATHER_BYTES } from '../../core/limits.ts';
import { outputFailure } from '../durable-file.ts';
import { type FileSum, stageOut } from './stage-out.ts';

/** Name of a file that is not complete: it ends so. */
export const TEMPORARY_SUFFIX = '.part';

/** A state of the file to which it can be rolled back. */
export interface EventFileMark {
  readonly sizeBytes: number;
  readonly crc: number;
}

export class EventFile {
  readonly #temporaryPath: string;
  readonly #mayCreateInPlace: boolean;
  #chunks: Uint8Array[] = [];
  /** bytes in `#chunks` */
  #gatheredBytes = 0;
  /** bytes already in the temporary file */
  #spilledBytes = 0;
  /** CRC-32 of the spilled bytes */
  #spilledCrc = 0;
  #fd: number | undefined;
  #wholeBytes: Uint8Array | undefined;

  /**
   * @param mayCreateInPlace the final path is on the temporary one's file system: what is copied to another one is
   * written there under a temporary name and read back, however small
   */
  constructor(temporaryPath: string, mayCreateInPlace: boolean) {
    this.#temporaryPath = temporaryPath;
    this.#mayCreateInPlace = mayCreateInPlace;
  }

  get sizeBytes(): number {
    return this.#spilledBytes + this.#gatheredBytes;
  }

  /** All bytes of a complete file that is small enough to have been created at once. */
  get wholeBytes(): Uint8Array | undefined {
    return this.#wholeBytes;
  }

  /**
   * The bytes belong to the file from now on: the caller does not change them until `complete` or `discard`.
   *
   * @throws OUTPUT_FAILED for a full disk and the like: then the file is to be discarded, or rolled back
   */
  append(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#gatheredBytes += bytes.length;
    if (this.#gatheredBytes >= OUTPUT_GATHER_BYTES) this.#spill();
  }

  /**
   * Everything so far, as a place to come back to. Spills, so it is for files that hold several ranges.
   *
   * @throws OUTPUT_FAILED for a full disk and the like
   */
  mark(): EventFileMark {
    this.#spill();
    return { sizeBytes: this.#spilledBytes, crc: this.#spilledCrc };
  }

  /** Forgets what was appended after `mark`. */
  rollback(mark: EventFileMark): void {
    this.#chunks = [];
    this.#gatheredBytes = 0;
    // A write that failed may have left a part behind the bytes that are counted.
    if (this.#fd !== undefined) ftruncateSync(this.#fd, mark.sizeBytes);
    this.#spilledBytes = mark.sizeBytes;
    this.#spilledCrc = mark.crc;
  }

  /**
   * Closes the file and puts it at `finalPath`.
   *
   * @returns size and CRC-32 of the whole file
   * @throws OUTPUT_FAILED for a full disk and the like
   */
  complete(finalPath: string): FileSum {
    try {
      if (this.#createInPlace(finalPath)) return this.#sum();
      this.#spill();
      if (this.#fd === undefined) this.#fd = openSync(this.#temporaryPath, 'w');
      closeSync(this.#fd);
      this.#fd = undefined;
      stageOut(this.#temporaryPath, finalPath);
    } catch (cause) {
      this.discard();
      throw outputFailure(finalPath, cause);
    }
    return this.#sum();
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

  /** Returns false when that cannot be, or the file is large: nothing is done then. */
  #createInPlace(finalPath: string): boolean {
    if (!this.#mayCreateInPlace || this.#fd !== undefined) return false;
    if (this.#gatheredBytes === 0 || this.#gatheredBytes > OUTPUT_AT_ONCE_BYTES_MAX) return false;
    const bytes = this.#gathered();
    if (!createAtOnce(finalPath, bytes)) return false;
    this.#count(bytes);
    this.#wholeBytes = bytes;
    return true;
  }

  #gathered(): Uint8Array {
    const [first] = this.#chunks;
    return this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks, this.#gatheredBytes);
  }

  /** The gathered bytes are written. */
  #count(bytes: Uint8Array): void {
    this.#spilledCrc = crc32(bytes, this.#spilledCrc);
    this.#spilledBytes += bytes.length;
    this.#chunks = [];
    this.#gatheredBytes = 0;
  }

  #sum(): FileSum {
    return { sizeBytes: this.#spilledBytes, crc32: this.#spilledCrc };
  }

  #spill(): void {
    if (this.#gatheredBytes === 0) return;
    const bytes = this.#gathered();
    try {
      if (this.#fd === undefined) this.#fd = openSync(this.#temporaryPath, 'w');
      let written = 0;
      while (written < bytes.length) {
        written += writeSync(this.#fd, bytes, written, bytes.length - written, this.#spilledBytes + written);
      }
    } catch (cause) {
      throw outputFailure(this.#temporaryPath, cause);
    }
    this.#count(bytes);
  }
}

/**
 * Creates a file by one call of `write`. Returns false, with nothing left there, when it cannot be done like that: the
 * folder is new, descriptors are used up, the disk is full. The rename's way then tries again, and says what is wrong.
 */
function createAtOnce(path: string, bytes: Uint8Array): boolean {
  let isWhole = false;
  try {
    const fd = openSync(path, 'w');
    try {
      isWhole = writeSync(fd, bytes, 0, bytes.length, 0) === bytes.length;
    } finally {
      closeSync(fd);
    }
  } catch {
    isWhole = false;
  }
  if (!isWhole) rmSync(path, { force: true });
  return isWhole;
}
