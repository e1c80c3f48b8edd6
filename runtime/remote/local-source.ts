/** A file on a mounted file system as a {@link ByteSource}: for local compressed input, and for local replicas. */
import { read, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { describeThrown, GranuleError, isGranuleError } from '../../core/errors.ts';
import { LOCAL_READ_BYTES } from '../../core/limits.ts';
import type { ByteRange, ByteSource, SourceIdentity } from './byte-source.ts';
import { coalesce } from './range-plan.ts';
import { ReadsOnTheSpot } from './reads-on-the-spot.ts';

interface OpenFile {
  readonly handle: FileHandle;
  readonly identity: SourceIdentity & { readonly sizeBytes: number };
}

export class LocalSource implements ByteSource {
  readonly place: string;
  readonly #onTheSpot = new ReadsOnTheSpot();
  #opened: Promise<OpenFile> | undefined;
  /** what `#opened` has become, until it is closed */
  #openFile: OpenFile | undefined;
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
    if (this.tryReadNow(target, offsetBytes)) return;
    this.#readCount += 1;
    try {
      await this.#fill(target, offsetBytes, handle.fd);
    } catch (error) {
      throw isGranuleError(error) ? error : unreadable(this.place, 'read', error);
    } finally {
      this.#readCount -= 1;
      if (this.#readCount === 0) this.#noteIdle();
    }
  }

  /**
   * As {@link readInto}, done when the call returns; false where it would take long, or the file is not open: then
   * nothing has been read.
   */
  tryReadNow(target: Uint8Array, offsetBytes: number): boolean {
    if (this.#openFile === undefined || !this.#onTheSpot.allow(target.length)) return false;
    const { fd } = this.#openFile.handle;
    const startMs = performance.now();
    let filled = 0;
    try {
      while (filled < target.length) {
        const bytesRead = readSync(fd, target, filled, target.length - filled, offsetBytes + filled);
        if (bytesRead === 0) throw this.#endsEarly(offsetBytes + filled, offsetBytes + target.length);
        filled += bytesRead;
      }
    } catch (error) {
      throw isGranuleError(error) ? error : unreadable(this.place, 'read', error);
    }
    this.#onTheSpot.note(performance.now() - startMs);
    return true;
  }

  /** Reads under way end first: their descriptor must not become another file's. */
  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    if (opened === undefined) return;
    const open = await opened.catch(() => undefined);
    this.#openFile = undefined;
    if (this.#readCount > 0) {
      await new Promise<void>((resolve) => {
        this.#noteIdle = resolve;
      });
    }
    await open?.handle.close();
  }

  async #fill(target: Uint8Array, offsetBytes: number, fd: number): Promise<void> {
    for (let filled = 0; filled < target.length; ) {
      const bytesRead = await readOnce(fd, target.subarray(filled), offsetBytes + filled);
      if (bytesRead === 0) throw this.#endsEarly(offsetBytes + filled, offsetBytes + target.length);
      filled += bytesRead;
    }
  }

  #endsEarly(offsetBytes: number, wantedEnd: number): GranuleError {
    return new GranuleError(
      'SOURCE_CORRUPT',
      `${this.place} ends at byte ${offsetBytes}, but bytes up to ${wantedEnd - 1} are wanted`,
      { details: { place: this.place, offsetBytes } },
    );
  }

  #open(): Promise<OpenFile> {
    this.#opened ??= this.#openNow();
    return this.#opened;
  }

  async #openNow(): Promise<OpenFile> {
    try {
      const handle = await open(this.place, 'r');
      const { size, mtimeMs } = await handle.stat();
      this.#openFile = { handle, identity: { sizeBytes: size, validator: `mtime:${mtimeMs}`, checksums: [] } };
      return this.#openFile;
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
