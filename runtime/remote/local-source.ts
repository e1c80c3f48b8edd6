/** A file on a mounted file system as a {@link ByteSource}: for local compressed input, and for local replicas. */
import { read } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { describeThrown, GranuleError } from '../../core/errors.ts';
import { LOCAL_READ_BYTES } from '../../core/limits.ts';
import type { ByteRange, ByteSource, SourceIdentity } from './byte-source.ts';
import { coalesce } from './range-plan.ts';

interface OpenFile {
  readonly handle: FileHandle;
  readonly identity: SourceIdentity & { readonly sizeBytes: number };
}

export class LocalSource implements ByteSource {
  readonly place: string;
  #opened: Promise<OpenFile> | undefined;
  #readCount = 0;
  #noteIdle: () => void = () => undefined;

  constructor(path: string) {
    this.place = path;
  }

  async open(): Promise<SourceIdentity> {
    return (await this.#open()).identity;
  }

  async read(range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    const [bytes] = await this.readMany([range], signal);
    return bytes ?? new Uint8Array(0);
  }

  async readMany(ranges: readonly ByteRange[], signal: AbortSignal): Promise<Uint8Array[]> {
    const results: Uint8Array[] = ranges.map(() => new Uint8Array(0));
    for (const span of coalesce(ranges, false)) {
      signal.throwIfAborted();
      const bytes = await this.#readSpan(span);
      for (const member of span.members) {
        const range = ranges[member];
        if (range === undefined) continue;
        const from = range.offsetBytes - span.offsetBytes;
        results[member] = bytes.subarray(from, from + range.lengthBytes);
      }
    }
    return results;
  }

  async *stream(offsetBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { identity } = await this.#open();
    for (let at = offsetBytes; at < identity.sizeBytes; at += LOCAL_READ_BYTES) {
      signal.throwIfAborted();
      yield await this.#readSpan({ offsetBytes: at, lengthBytes: Math.min(LOCAL_READ_BYTES, identity.sizeBytes - at) });
    }
  }

  /** Fills `target`, which stays the caller's, with the bytes from this offset on. */
  async readInto(target: Uint8Array, offsetBytes: number): Promise<void> {
    const { handle } = await this.#open();
    this.#readCount += 1;
    try {
      for (let filled = 0; filled < target.length; ) {
        const bytesRead = await readOnce(handle.fd, target.subarray(filled), offsetBytes + filled);
        if (bytesRead === 0) throw this.#endsEarly(offsetBytes + filled, offsetBytes + target.length);
        filled += bytesRead;
      }
    } finally {
      this.#readCount -= 1;
      if (this.#readCount === 0) this.#noteIdle();
    }
  }

  /** Reads under way end first: their descriptor must not become another file's. */
  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    if (opened === undefined) return;
    const open = await opened.catch(() => undefined);
    if (this.#readCount > 0) {
      await new Promise<void>((resolve) => {
        this.#noteIdle = resolve;
      });
    }
    await open?.handle.close();
  }

  #endsEarly(offsetBytes: number, wantedEnd: number): GranuleError {
    return new GranuleError(
      'SOURCE_CORRUPT',
      `${this.place} ends at byte ${offsetBytes}, but bytes up to ${wantedEnd - 1} are wanted`,
      { details: { place: this.place, offsetBytes } },
    );
  }

  #open(): Promise<OpenFile> {
    this.#opened ??= this.#openFile();
    return this.#opened;
  }

  async #openFile(): Promise<OpenFile> {
    try {
      const handle = await open(this.place, 'r');
      const { size, mtimeMs } = await handle.stat();
      return { handle, identity: { sizeBytes: size, validator: `mtime:${mtimeMs}`, checksums: [] } };
    } catch (error) {
      const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      throw new GranuleError(
        missing ? 'INPUT_NOT_FOUND' : 'INPUT_UNREADABLE',
        `${this.place} cannot be opened: ${describeThrown(error).message}`,
        { details: { place: this.place }, cause: error },
      );
    }
  }

  async #readSpan(range: ByteRange): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafeSlow(range.lengthBytes);
    await this.readInto(bytes, range.offsetBytes);
    return bytes;
  }
}

/** `FileHandle.read` costs several times as much of the thread's time. */
function readOnce(fd: number, target: Uint8Array, offsetBytes: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, target, 0, target.length, offsetBytes, (error, bytesRead) => {
      if (error === null) resolve(bytesRead);
      else reject(error);
    });
  });
}
