/**
 * The inflated bytes of a gzip file: ranges count inflated bytes, and are cut out of one streaming pass. Asking for bytes
 * that have gone by begins another pass from the start of the file (see `SequentialReader`).
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { GranuleError } from '../../core/errors.ts';
import { INFLATE_CHUNK_BYTES } from '../../core/limits.ts';
import { type ByteRange, type ByteSource, type SourceIdentity, verifyChecksums } from './byte-source.ts';
import { SequentialReader } from './sequential-reader.ts';

export class InflatedSource implements ByteSource {
  readonly place: string;
  readonly #compressed: ByteSource;
  readonly #reader: SequentialReader;

  /** @param compressed owned from here on: `close` closes it */
  constructor(compressed: ByteSource) {
    this.place = compressed.place;
    this.#compressed = compressed;
    this.#reader = new SequentialReader(this.place, (signal) => this.stream(0, signal));
  }

  /** The size is that of the inflated bytes, which nobody knows beforehand. Checksums are those of the file as it lies. */
  async open(signal: AbortSignal): Promise<SourceIdentity> {
    const identity = await this.#compressed.open(signal);
    return { ...identity, sizeBytes: undefined };
  }

  async read(range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    const [bytes] = await this.readMany([range], signal);
    return bytes ?? new Uint8Array(0);
  }

  async readMany(ranges: readonly ByteRange[], signal: AbortSignal): Promise<Uint8Array[]> {
    const results = await this.#reader.readMany(ranges, signal);
    verifyChecksums(ranges, results, this.place);
    return results;
  }

  /** @throws INPUT_TRUNCATED when the file stops within a member, INPUT_MALFORMED when it is not gzip or damaged */
  async *stream(offsetBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    let at = 0;
    for await (const chunk of inflate(this.#compressed.stream(0, signal), this.place)) {
      at += chunk.length;
      if (at > offsetBytes)
        yield at - chunk.length >= offsetBytes ? chunk : chunk.subarray(chunk.length - (at - offsetBytes));
    }
  }

  async close(): Promise<void> {
    await this.#reader.close(new GranuleError('SOURCE_UNREACHABLE', `${this.place} was closed`));
    await this.#compressed.close();
  }
}

/** Inflates all members of a gzip stream; a consumer that stops ends the source's iteration too. */
export async function* inflate(compressed: AsyncIterable<Uint8Array>, place: string): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip({ chunkSize: INFLATE_CHUNK_BYTES });
  // Whatever breaks the pipeline destroys its last stream with that error: the loop below throws it.
  const feeding = pipeline(Readable.from(compressed, { objectMode: false }), gunzip).catch(() => undefined);
  try {
    for await (const chunk of gunzip as AsyncIterable<Uint8Array>) yield chunk;
  } catch (error) {
    throw translate(error, place);
  } finally {
    gunzip.destroy();
    await feeding;
  }
}

function translate(error: unknown, place: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'Z_BUF_ERROR') {
    return new GranuleError('INPUT_TRUNCATED', `${place}: the gzip data stop early`, {
      details: { place },
      cause: error,
    });
  }
  if (code === 'Z_DATA_ERROR') {
    return new GranuleError('INPUT_MALFORMED', `${place}: the gzip data are damaged`, {
      details: { place },
      cause: error,
    });
  }
  return error;
}
