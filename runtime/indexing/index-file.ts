/**
 * Reads a file, or a stream of its bytes, once: hashes it, inflates it if it is gzipped, and indexes its events.
 * {@link indexFile} reads synchronously and belongs into a thread.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { GranuleError, isGranuleError } from '../../core/errors.ts';
import type { FileRecord } from '../../core/file-index.ts';
import { guidFromSha256 } from '../../core/ids.ts';
import { INDEX_READ_BYTES } from '../../core/limits.ts';
import { ContentIndexer, type IndexedEvents } from './content-indexer.ts';

export interface IndexedFile extends IndexedEvents {
  readonly record: FileRecord;
}

/** What stands for "has not changed" from one start to the next. */
export interface FileStamp {
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

/** Called between reads; throws to give up. */
export type CheckCancelled = () => void;

/**
 * Indexes a local file.
 *
 * @returns the index, and the stamp the file had while it was read
 * @throws INPUT_NOT_FOUND, INPUT_UNREADABLE, INPUT_EMPTY, INPUT_UNRECOGNISED, INPUT_MALFORMED, INPUT_TRUNCATED; and
 *   INPUT_CHANGED when somebody writes to the file meanwhile. All name the path.
 */
export async function indexFile(
  path: string,
  checkCancelled: CheckCancelled = () => undefined,
): Promise<{ readonly file: IndexedFile; readonly stamp: FileStamp }> {
  return await naming(path, async () => {
    const fd = openForReading(path);
    try {
      const stamp = stampOf(fstatSync(fd));
      const file = await indexStream(chunksOf(fd, checkCancelled), basename(path));
      const after = stampOf(fstatSync(fd));
      if (after.sizeBytes !== stamp.sizeBytes || after.mtimeMs !== stamp.mtimeMs) {
        throw new GranuleError('INPUT_CHANGED', 'the file was written to while it was read', {
          remedy: 'wait until whatever writes it is done',
        });
      }
      return { file, stamp };
    } finally {
      closeSync(fd);
    }
  });
}

/** Size and modification time, or undefined when there is no such file. */
export function stampOfPath(path: string): FileStamp | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? undefined : stampOf(stats);
}

function stampOf(stats: Stats): FileStamp {
  return { sizeBytes: stats.size, mtimeMs: stats.mtimeMs };
}

/**
 * Indexes bytes that come from anywhere, for instance a server. Chunks are not kept.
 *
 * @param chunks the file as it lies on disk or server: still compressed, if it is
 * @param lfn its base name
 * @throws as {@link indexFile}, without the path
 */
export async function indexStream(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  lfn: string,
): Promise<IndexedFile> {
  const source = new HashedSource(chunks);
  const indexer = new ContentIndexer();
  const compression = (await source.isGzip()) ? 'gzip' : 'none';
  if (compression === 'gzip') await inflateInto(indexer, source);
  else for await (const chunk of source) indexer.push(chunk);
  const events = indexer.finish();
  const digest = source.hash.digest();
  const record: FileRecord = {
    guid: guidFromSha256(digest),
    lfn,
    format: events.format,
    compression,
    sizeBytes: source.sizeBytes,
    sha256: digest.toString('hex'),
    eventCount: events.eventCount,
    runSegments: events.runSegments,
  };
  return { ...events, record };
}

/** Counts and hashes chunks as they pass, with a look at the first two bytes. */
class HashedSource {
  readonly hash: Hash = createHash('sha256');
  sizeBytes = 0;
  readonly #iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  #head: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
    this.#iterator = Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
  }

  /** Whether the bytes begin with gzip's magic number (RFC 1952). To be asked first, once. */
  async isGzip(): Promise<boolean> {
    while (this.#head.length < 2) {
      const { done, value } = await this.#iterator.next();
      if (done) break;
      // A chunk of one byte is copied: the source may use its buffer again.
      this.#head = this.#head.length === 0 && value.length > 1 ? value : Buffer.concat([this.#head, value]);
    }
    return this.#head[0] === 0x1f && this.#head[1] === 0x8b;
  }

  /** All chunks in order; each is valid until the next is asked for. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    let chunk: Uint8Array | undefined = this.#head;
    try {
      while (chunk !== undefined) {
        this.#count(chunk);
        yield chunk;
        const { done, value } = await this.#iterator.next();
        chunk = done ? undefined : value;
      }
    } finally {
      await this.#iterator.return?.();
    }
  }

  #count(chunk: Uint8Array): void {
    this.hash.update(chunk);
    this.sizeBytes += chunk.length;
  }
}

/** All members of a gzip file. */
async function inflateInto(indexer: ContentIndexer, source: HashedSource): Promise<void> {
  const gunzip = createGunzip({ chunkSize: INDEX_READ_BYTES });
  // Copies: the source may read into the same buffer again while gunzip still has a chunk in its queue.
  const copies = Readable.from(copiesOf(source), { objectMode: false });
  try {
    await pipeline(copies, gunzip, async (inflated: AsyncIterable<Uint8Array>) => {
      for await (const chunk of inflated) indexer.push(chunk);
    });
  } catch (error) {
    throw describeInflateError(error, source.sizeBytes);
  }
}

async function* copiesOf(source: HashedSource): AsyncGenerator<Buffer> {
  for await (const chunk of source) yield Buffer.from(chunk);
}

function describeInflateError(error: unknown, offsetBytes: number): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (!code.startsWith('Z_')) return error;
  if (code === 'Z_BUF_ERROR') {
    return new GranuleError('INPUT_TRUNCATED', `the gzip file ends at offset ${offsetBytes}, inside compressed data`, {
      details: { offsetBytes },
      remedy: 'copy the file again',
      cause: error,
    });
  }
  const reason = (error as Error).message;
  return new GranuleError('INPUT_MALFORMED', `the gzip data is damaged near offset ${offsetBytes}: ${reason}`, {
    details: { offsetBytes },
    remedy: 'copy the file again',
    cause: error,
  });
}

function openForReading(path: string): number {
  try {
    const fd = openSync(path, 'r');
    if (fstatSync(fd).isFile()) return fd;
    closeSync(fd);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new GranuleError('INPUT_NOT_FOUND', 'there is no such file', { cause });
    }
    throw new GranuleError('INPUT_UNREADABLE', `the file cannot be opened: ${(cause as Error).message}`, {
      cause,
      remedy: 'check its permissions',
    });
  }
  throw new GranuleError('INPUT_UNREADABLE', 'this is no regular file', { remedy: 'give files, or folders of files' });
}

function* chunksOf(fd: number, checkCancelled: CheckCancelled): Generator<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(INDEX_READ_BYTES);
  for (;;) {
    checkCancelled();
    let count: number;
    try {
      count = readSync(fd, buffer, 0, buffer.length, null);
    } catch (cause) {
      throw new GranuleError('INPUT_UNREADABLE', `reading fails: ${(cause as Error).message}`, { cause });
    }
    if (count === 0) return;
    yield buffer.subarray(0, count);
  }
}

/** Puts the path in front of messages of our own errors. */
async function naming<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isGranuleError(error)) throw error;
    throw new GranuleError(error.code, `${path}: ${error.message}`, {
      details: { ...error.details, file: resolve(path) },
      cause: error.cause ?? error,
      ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
    });
  }
}
