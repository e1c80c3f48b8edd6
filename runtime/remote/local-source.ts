/** A file on a mounted file system as a {@link ByteSource}: for local compressed input, and for local replicas. */
import { read, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { describeThrown, GranuleError, isGranuleError } from '../../core/errors.ts';
import {
  LOCAL_READ_BYTES,
  QUICK_READ_BYTES_MAX,
  QUICK_READ_MS_MAX,
  SLOW_READS_BETWEEN_TRIES,
} from '../../core/limits.ts';
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
  /** small reads that another thread does before one is tried on the spot again */
  #handedOver = 0;

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
        const rest = target.subarray(filled);
        const at = offsetBytes + filled;
        const bytesRead = this.#isQuick(rest)
          ? this.#readNow(handle.fd, rest, at)
          : await readOnce(handle.fd, rest, at);
        if (bytesRead === 0) throw this.#endsEarly(offsetBytes + filled, offsetBytes + target.length);
        filled += bytesRead;
      }
    } catch (error) {
      throw isGranuleError(error) ? error : unreadable(this.place, 'read', error);
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

  /**
   * Handing a small read to another thread costs several times what the read itself does when the page cache has the
   * bytes. Whether it has, the kernel does not tell: a read that took long is taken for a no, for a while.
   */
  #isQuick(target: Uint8Array): boolean {
    if (target.length > QUICK_READ_BYTES_MAX) return false;
    if (this.#handedOver === 0) return true;
    this.#handedOver -= 1;
    return false;
  }

  #readNow(fd: number, target: Uint8Array, offsetBytes: number): number {
    const startMs = performance.now();
    const bytesRead = readSync(fd, target, 0, target.length, offsetBytes);
    if (performance.now() - startMs > QUICK_READ_MS_MAX) this.#handedOver = SLOW_READS_BETWEEN_TRIES;
    return bytesRead;
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
      throw unreadable(this.place, 'opened', error);
    }
  }

  async #readSpan(range: ByteRange): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafeSlow(range.lengthBytes);
    await this.readInto(bytes, range.offsetBytes);
    return bytes;
  }
}

function unreadable(place: string, attempt: 'opened' | 'read', cause: unknown): GranuleError {
  const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
  return new GranuleError(
    missing ? 'INPUT_NOT_FOUND' : 'INPUT_UNREADABLE',
    `${place} cannot be ${attempt}: ${describeThrown(cause).message}`,
    { details: { place }, cause },
  );
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
