/**
 * A merged file that grows: `<growing folder>/<file name>.part` until it is complete. Runs in the merger thread.
 *
 * Only the first `committedBytes` of it count, those that the dispatcher's journal names. Whatever lies beyond is the
 * trace of a kill between appending and committing, and is cut off when the file is opened.
 */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { MERGE_WRITE_BYTES } from '../../core/limits.ts';
import { syncFolder } from '../durable-file.ts';

/** The journal's view of a growing file. */
export interface CommittedLength {
  readonly bytes: number;
  /** inode number of the file, by which it is known under its final name too; 0 when `bytes` is 0 */
  readonly inode: number;
}

export type OpenedFile =
  | { readonly kind: 'open'; readonly file: GrowingFile }
  /** what the journal names is not there any more */
  | { readonly kind: 'lost'; readonly message: string };

export class GrowingFile {
  readonly path: string;
  readonly inode: number;
  readonly #fd: number;
  #sizeBytes: number;
  #newName: boolean;
  readonly #buffer = Buffer.allocUnsafeSlow(MERGE_WRITE_BYTES);
  #bufferedBytes = 0;

  private constructor(path: string, fd: number, sizeBytes: number, inode: number, newName: boolean) {
    this.path = path;
    this.#fd = fd;
    this.#sizeBytes = sizeBytes;
    this.inode = inode;
    this.#newName = newName;
  }

  /**
   * Opens the file at its committed length.
   *
   * @param finalPath where the file is when a kill came between its publishing and the commit of that
   */
  static open(path: string, finalPath: string, committed: CommittedLength): OpenedFile {
    if (committed.bytes === 0) {
      const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC, 0o666);
      return { kind: 'open', file: new GrowingFile(path, fd, 0, fstatSync(fd).ino, true) };
    }
    const takenBack = takeBack(path, finalPath, committed.inode);
    if (statSync(path, { throwIfNoEntry: false }) === undefined) {
      return { kind: 'lost', message: `${path} is missing: wanted ${committed.bytes} merged bytes` };
    }
    const fd = openSync(path, constants.O_RDWR);
    const { size, ino } = fstatSync(fd);
    if (size < committed.bytes) {
      closeSync(fd);
      return { kind: 'lost', message: `${path} was cut: wanted ${committed.bytes} merged bytes, found ${size}` };
    }
    if (size > committed.bytes) ftruncateSync(fd, committed.bytes);
    return { kind: 'open', file: new GrowingFile(path, fd, committed.bytes, ino, takenBack) };
  }

  /** Length with what is not written yet. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The bytes may change afterwards: small ones are copied and written together, large ones are written at once. */
  append(bytes: Uint8Array): void {
    if (this.#bufferedBytes + bytes.length > this.#buffer.length) this.write();
    if (bytes.length > this.#buffer.length) this.#writeAt(bytes, bytes.length, this.#sizeBytes);
    else {
      this.#buffer.set(bytes, this.#bufferedBytes);
      this.#bufferedBytes += bytes.length;
    }
    this.#sizeBytes += bytes.length;
  }

  /** Writes what was appended. */
  write(): void {
    this.#writeAt(this.#buffer, this.#bufferedBytes, this.#sizeBytes - this.#bufferedBytes);
    this.#bufferedBytes = 0;
  }

  /** Makes everything written so far durable, the file's name too. */
  flush(): void {
    fdatasyncSync(this.#fd);
    if (this.#newName) syncFolder(dirname(this.path));
    this.#newName = false;
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** One call of `write` may take fewer bytes. */
  #writeAt(bytes: Uint8Array, count: number, position: number): void {
    for (let done = 0; done < count; ) done += writeSync(this.#fd, bytes, done, count - done, position + done);
  }
}

/**
 * Killed between publishing and committing: the file is complete under its final name, but the journal does not know.
 * The inode number tells it from a snapshot of the same name, whose later bytes differ.
 */
function takeBack(path: string, finalPath: string, inode: number): boolean {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return false;
  if (statSync(finalPath, { throwIfNoEntry: false })?.ino !== inode) return false;
  renameSync(finalPath, path);
  syncFolder(dirname(finalPath));
  return true;
}
