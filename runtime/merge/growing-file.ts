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
  writevSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { MERGE_WRITE_PIECES_MAX } from '../../core/limits.ts';
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
  readonly #pieces: Uint8Array[] = [];

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

  /** Length with what is queued. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Queues bytes; they must stay as they are until {@link write}. Neighbours in memory become one piece. */
  queue(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#sizeBytes += bytes.length;
    const last = this.#pieces.at(-1);
    if (last !== undefined && last.buffer === bytes.buffer && last.byteOffset + last.length === bytes.byteOffset) {
      const joined = new Uint8Array(bytes.buffer, last.byteOffset, last.length + bytes.length);
      this.#pieces[this.#pieces.length - 1] = joined;
    } else {
      this.#pieces.push(bytes);
    }
  }

  /** Writes what is queued. */
  write(): void {
    let position = this.#sizeBytes;
    for (const piece of this.#pieces) position -= piece.length;
    for (let first = 0; first < this.#pieces.length; first += MERGE_WRITE_PIECES_MAX) {
      const group = this.#pieces.slice(first, first + MERGE_WRITE_PIECES_MAX);
      position = writeGroup(this.#fd, group, position);
    }
    this.#pieces.length = 0;
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

/** One `writev`, or more where the system takes fewer bytes; returns the position after the group. */
function writeGroup(fd: number, group: readonly Uint8Array[], position: number): number {
  let rest = group;
  let at = position;
  while (rest.length > 0) {
    let written = writevSync(fd, rest, at);
    at += written;
    let whole = 0;
    for (const piece of rest) {
      if (written < piece.length) break;
      written -= piece.length;
      whole += 1;
    }
    const cut = rest[whole];
    rest = cut === undefined ? [] : [cut.subarray(written), ...rest.slice(whole + 1)];
  }
  return at;
}
