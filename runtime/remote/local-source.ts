/** A file on a mounted file system as a {@link ByteSource}: for local compressed input, and for local replicas. */
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
    for (let filled = 0; filled < target.length; ) {
      const { bytesRead } = await handle.read(target, filled, target.length - filled, offsetBytes + filled);
      if (bytesRead === 0) {
        throw new GranuleError(
          'SOURCE_CORRUPT',
          `${this.place} ends at byte ${offsetBytes + filled}, but bytes up to ${offsetBytes + target.length - 1} are wanted`,
          { details: { place: this.place, offsetBytes: offsetBytes + filled } },
        );
      }
      filled += bytesRead;
    }
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    if (opened !== undefined) await opened.then(({ handle }) => handle.close()).catch(() => undefined);
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
