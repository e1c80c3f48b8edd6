/**
 * Reads a file, or a stream of its bytes, once: hashes it, inflates it if it is gzipped, and indexes its events.
 * {@link indexFile} reads synchronously and belongs into a thread.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, fstatSync, lstatSync, openSync, readSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { GranuleError, isGranuleError } from '../../core/errors.ts';
import type { FileRecord } from '../../core/file-index.ts';
import { guidFromSha256 } from '../../core/ids.ts';
import { INDEX_READ_BYTES } from '../../core/limits.ts';
import { isRootFile } from '../../payloads/formats/root-event.ts';
import type { RootContents } from '../root/root-messages.ts';
import { recordWithTrees } from '../root/tree-choice.ts';
import { ContentIndexer, type IndexedEvents } from './content-indexer.ts';
import { type FileStamp, stampOf } from './file-stamp.ts';
import { NumberTableBuilder } from './number-blocks.ts';

export interface IndexedFile extends IndexedEvents {
  readonly record: FileRecord;
}

/**
 * Says what a ROOT file holds, which is not found by reading it from one end to the other.
 *
 * @param record with content and name, but no events yet
 */
export type DescribeRoot = (record: FileRecord, places: readonly string[]) => Promise<RootContents>;

/** Called between reads; throws to give up. */
export type CheckCancelled = () => void;

export interface IndexFileOptions {
  readonly checkCancelled?: CheckCancelled;
  /** without it, ROOT files are refused */
  readonly describeRoot?: DescribeRoot | undefined;
  /** keep a CRC-32 of each event: default false */
  readonly checksums?: boolean;
}

/**
 * Indexes a local file.
 *
 * @returns the index, and the stamp the file had while it was read
 * @throws INPUT_NOT_FOUND, INPUT_UNREADABLE, INPUT_EMPTY, INPUT_UNRECOGNISED, INPUT_MALFORMED, INPUT_TRUNCATED; and
 *   INPUT_CHANGED when somebody writes to the file meanwhile. All name the path. For ROOT files also what `describeRoot` throws.
 */
export async function indexFile(
  path: string,
  options: IndexFileOptions = {},
): Promise<{ readonly file: IndexedFile; readonly stamp: FileStamp }> {
  const { checkCancelled = () => undefined, describeRoot = refuseRoot, checksums = false } = options;
  return await naming(path, async () => {
    const fd = openForReading(path);
    try {
      const stamp = stampOf(fstatSync(fd));
      const file = await indexStream(chunksOf(fd, stamp.sizeBytes, checkCancelled), basename(path), {
        describeRoot: (record) => describeRoot(record, [path]),
        checksums,
      });
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

/**
 * Indexes bytes that come from anywhere, for instance a server. Chunks are not kept.
 *
 * @param chunks the file as it lies on disk or server: still compressed, if it is
 * @param lfn its base name
 * @param options.describeRoot without it, ROOT files are refused
 * @throws as {@link indexFile}, without the path
 */
export async function indexStream(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  lfn: string,
  options: {
    readonly describeRoot?: ((record: FileRecord) => Promise<RootContents>) | undefined;
    readonly checksums?: boolean;
  } = {},
): Promise<IndexedFile> {
  const { describeRoot = refuseRoot, checksums = false } = options;
  const source = new HashedSource(chunks);
  if (isRootFile(await source.head())) return await indexRootFile(source, lfn, describeRoot);
  const indexer = new ContentIndexer({ checksums });
  const compression = isGzip(await source.head()) ? 'gzip' : 'none';
  if (compression === 'gzip') await inflateInto(indexer, source);
  else for await (const chunk of source) indexer.push(chunk);
  const events = indexer.finish();
  const { format, eventCount, runSegments } = events;
  return { ...events, record: { ...source.identity(), lfn, format, compression, eventCount, runSegments } };
}

/** Its events are entries of trees: there are no byte ranges to keep. */
async function indexRootFile(
  source: HashedSource,
  lfn: string,
  describeRoot: (record: FileRecord) => Promise<RootContents>,
): Promise<IndexedFile> {
  await source.drain();
  const facts = { format: 'root', compression: 'none', eventCount: 0, runSegments: [] } as const;
  const bare: FileRecord = { ...source.identity(), lfn, ...facts };
  const { trees, numbers } = await describeRoot(bare);
  const record = recordWithTrees(bare, trees, numbers?.tree);
  const table = new NumberTableBuilder();
  numbers?.eventNumbers.forEach((eventNumber, entry) => {
    table.add(entry + 1, eventNumber, numbers.runs[entry] ?? Number.NaN);
  });
  const { eventCount } = record;
  return { record, format: 'root', eventCount, runSegments: [], placeBlocks: [], numbers: table.finish() };
}

function refuseRoot(): never {
  throw new GranuleError('INPUT_UNRECOGNISED', 'the file is a ROOT file, which cannot be read here');
}

/** By gzip's magic number (RFC 1952). */
function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

/** The longest magic number looked for: ROOT's. */
const MAGIC_BYTES = 4;

/** Counts and hashes chunks as they pass, with a look at the first bytes. */
class HashedSource {
  readonly #hash: Hash = createHash('sha256');
  sizeBytes = 0;
  readonly #iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  #head: Uint8Array = new Uint8Array(0);
  #ended = false;

  constructor(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
    this.#iterator = Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
  }

  /** The first bytes, at least {@link MAGIC_BYTES} of a file that has them. To be asked before iterating. */
  async head(): Promise<Uint8Array> {
    while (this.#head.length < MAGIC_BYTES && !this.#ended) {
      const { done, value } = await this.#iterator.next();
      if (done) this.#ended = true;
      // A short chunk is copied: the source may use its buffer again.
      else if (this.#head.length === 0 && value.length >= MAGIC_BYTES) this.#head = value;
      else this.#head = Buffer.concat([this.#head, value]);
    }
    return this.#head;
  }

  /** What is known of the file once all its bytes have passed. Asked once. */
  identity(): Pick<FileRecord, 'guid' | 'sizeBytes' | 'sha256'> {
    const digest = this.#hash.digest();
    return { guid: guidFromSha256(digest), sizeBytes: this.sizeBytes, sha256: digest.toString('hex') };
  }

  /** Lets the rest of the file pass. */
  async drain(): Promise<void> {
    const chunks = this[Symbol.asyncIterator]();
    while (!(await chunks.next()).done);
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
    this.#hash.update(chunk);
    this.sizeBytes += chunk.length;
  }
}

/** All members of a gzip file. */
async function inflateInto(indexer: ContentIndexer, source: HashedSource): Promise<void> {
  const gunzip = createGunzip({ chunkSize: INDEX_READ_BYTES });
  // Copies: the source may read into the same buffer again while gunzip still has a chunk in its queue.
  const copies = Readable.from(copiesOf(source), { objectMode: false });
  let refusal: unknown;
  try {
    await pipeline(copies, gunzip, async (inflated: AsyncIterable<Uint8Array>) => {
      try {
        for await (const chunk of inflated) indexer.push(chunk);
      } catch (error) {
        // The pipeline itself may only say that it was aborted.
        refusal = error;
        throw error;
      }
    });
  } catch (error) {
    throw describeInflateError(refusal ?? error, source.sizeBytes);
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
    if (code === 'ENOENT' || code === 'ENOTDIR') throw notFound(path, cause);
    throw new GranuleError('INPUT_UNREADABLE', `the file cannot be opened: ${(cause as Error).message}`, {
      cause,
      remedy: code === 'ELOOP' ? 'remove the symbolic link: it leads to itself' : 'check its permissions',
    });
  }
  throw new GranuleError('INPUT_UNREADABLE', 'this is no regular file', { remedy: 'give files, or folders of files' });
}

function notFound(path: string, cause: unknown): GranuleError {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) {
    const remedy = 'bring back what it leads to, or leave it out';
    return new GranuleError('INPUT_NOT_FOUND', 'the symbolic link leads to nothing', { cause, remedy });
  }
  // Names are read as UTF-8: bytes that are not come back as this character, and name no file any more.
  const remedy = path.includes('\ufffd') ? 'its name is not UTF-8: rename it' : `look with: ls ${dirname(path)}`;
  return new GranuleError('INPUT_NOT_FOUND', 'there is no such file', { cause, remedy });
}

function* chunksOf(fd: number, sizeBytes: number, checkCancelled: CheckCancelled): Generator<Uint8Array> {
  // One byte more, so that a file that has grown is noticed. What V8 collects is bounded by memory outside of its heap, too.
  const buffer = Buffer.allocUnsafeSlow(Math.min(sizeBytes + 1, INDEX_READ_BYTES));
  for (;;) {
    checkCancelled();
    let count: number;
    try {
      count = readSync(fd, buffer, 0, buffer.length, null);
    } catch (cause) {
      const message = `reading fails: ${(cause as Error).message}`;
      throw new GranuleError('INPUT_UNREADABLE', message, { cause, remedy: 'check the disk, or copy the file again' });
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
