/**
 * Reads the bytes of events from plain local files, in a worker's thread. Tokens come in runs of neighbours, so one read
 * fetches a window that serves many of them.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { GranuleError } from '../../core/errors.ts';
import { EVENT_READ_WINDOW_BYTES } from '../../core/limits.ts';
import type { RangeToken, WorkerFile } from '../../core/messages.ts';

export class EventReader {
  #openFile: { readonly fileIndex: number; readonly path: string; readonly fd: number } | undefined;
  #window: Uint8Array = new Uint8Array(0);
  #windowOffset = 0;

  /**
   * The bytes of a token that lies in a plain local file.
   *
   * @param following where the run of tokens that will be read after this one ends, to size the window
   * @returns a view that stays valid while it is referenced
   * @throws INPUT_UNREADABLE, INPUT_TRUNCATED
   */
  read(file: WorkerFile, token: Pick<RangeToken, 'offsetBytes' | 'lengthBytes'>, following: number): Uint8Array {
    return this.readRange(file, token.offsetBytes, token.lengthBytes, following);
  }

  readRange(file: WorkerFile, offsetBytes: number, lengthBytes: number, following = 0): Uint8Array {
    const fd = this.#descriptor(file);
    const start = offsetBytes - this.#windowOffset;
    if (start >= 0 && start + lengthBytes <= this.#window.length) {
      return this.#window.subarray(start, start + lengthBytes);
    }
    const wanted = Math.max(lengthBytes, Math.min(following - offsetBytes, EVENT_READ_WINDOW_BYTES));
    const buffer = Buffer.allocUnsafe(wanted);
    let filled = 0;
    while (filled < wanted) {
      const count = readSync(fd, buffer, filled, wanted - filled, offsetBytes + filled);
      if (count === 0) break;
      filled += count;
    }
    if (filled < lengthBytes) {
      throw new GranuleError(
        'INPUT_TRUNCATED',
        `${file.lfn}: wanted ${lengthBytes} bytes at offset ${offsetBytes}, the file ends after ${filled} of them`,
        { details: { file: file.path, offsetBytes }, remedy: 'the file became shorter while it was read: restore it' },
      );
    }
    this.#window = buffer.subarray(0, filled);
    this.#windowOffset = offsetBytes;
    return this.#window.subarray(0, lengthBytes);
  }

  #descriptor(file: WorkerFile): number {
    if (this.#openFile?.fileIndex === file.fileIndex) return this.#openFile.fd;
    this.close();
    const path = file.path;
    if (path === null) {
      throw new GranuleError('INTERNAL', `${file.lfn} has no local path, its bytes ride with the tokens`);
    }
    try {
      this.#openFile = { fileIndex: file.fileIndex, path, fd: openSync(path, 'r') };
    } catch (cause) {
      throw new GranuleError('INPUT_UNREADABLE', `${path} cannot be opened: ${String(cause)}`, {
        cause,
        details: { file: path },
        remedy: 'check that the file is still there and readable',
      });
    }
    return this.#openFile.fd;
  }

  close(): void {
    if (this.#openFile !== undefined) closeSync(this.#openFile.fd);
    this.#openFile = undefined;
    this.#window = new Uint8Array(0);
    this.#windowOffset = 0;
  }
}
