/** A source with the disk cache before it: what is cached is not asked for again, what is fetched is kept. */
import { type ByteRange, type ByteSource, endOf, type SourceIdentity } from './byte-source.ts';
import type { CachedFile } from './cached-file.ts';
import { PIECE_BYTES_BOUND } from './piece-list.ts';

/** A stream from the server goes on over a cached stretch shorter than this: a new request would cost more. */
const WORTH_SWITCHING_BYTES = 4 * PIECE_BYTES_BOUND;

export class CachedSource implements ByteSource {
  readonly place: string;
  readonly #inner: ByteSource;
  readonly #cached: CachedFile;
  readonly #known: SourceIdentity | undefined;

  /**
   * @param inner owned from here on
   * @param known what `open` answers without asking the server; undefined to ask
   */
  constructor(inner: ByteSource, cached: CachedFile, known: SourceIdentity | undefined) {
    this.place = inner.place;
    this.#inner = inner;
    this.#cached = cached;
    this.#known = known;
  }

  async open(signal: AbortSignal): Promise<SourceIdentity> {
    return this.#known ?? this.#inner.open(signal);
  }

  async read(range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    const [bytes] = await this.readMany([range], signal);
    return bytes ?? new Uint8Array(0);
  }

  async readMany(ranges: readonly ByteRange[], signal: AbortSignal): Promise<Uint8Array[]> {
    const results: Uint8Array[] = [];
    const missing: { readonly index: number; readonly range: ByteRange }[] = [];
    const cached = await this.#cached.readMany(ranges);
    for (const [index, range] of ranges.entries()) {
      const bytes = cached[index];
      if (bytes === undefined) missing.push({ index, range });
      else results[index] = bytes;
    }
    if (missing.length === 0) return results;
    const fetched = await this.#inner.readMany(
      missing.map(({ range }) => range),
      signal,
    );
    for (const [place, { index }] of missing.entries()) results[index] = fetched[place] ?? new Uint8Array(0);
    await this.#keep(missing.map(({ range, index }) => ({ range, bytes: results[index] ?? new Uint8Array(0) })));
    return results;
  }

  async *stream(offsetBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { sizeBytes } = await this.open(signal);
    let at = offsetBytes;
    while (sizeBytes === undefined || at < sizeBytes) {
      const covered = await this.#cached.coveredFrom(at);
      const lengthBytes = Math.min(covered, PIECE_BYTES_BOUND, (sizeBytes ?? Number.POSITIVE_INFINITY) - at);
      const bytes = lengthBytes > 0 ? await this.#cached.read({ offsetBytes: at, lengthBytes }) : undefined;
      if (bytes !== undefined) {
        signal.throwIfAborted();
        at += bytes.length;
        yield bytes;
        continue;
      }
      for await (const chunk of this.#streamAndKeep(at, signal)) {
        at += chunk.length;
        yield chunk;
      }
      if (sizeBytes === undefined) return;
    }
  }

  async close(): Promise<void> {
    await this.#inner.close();
  }

  /** From the server, until a stretch begins that is cached and worth going over to. */
  async *#streamAndKeep(offsetBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    let at = offsetBytes;
    let chunks: Uint8Array[] = [];
    let unkept = 0;
    for await (const chunk of this.#inner.stream(offsetBytes, signal)) {
      chunks.push(chunk);
      unkept += chunk.length;
      at += chunk.length;
      yield chunk;
      if (unkept < PIECE_BYTES_BOUND) continue;
      await this.#cached.write(at - unkept, chunks);
      chunks = [];
      unkept = 0;
      if ((await this.#cached.coveredFrom(at)) >= WORTH_SWITCHING_BYTES) return;
    }
    await this.#cached.write(at - unkept, chunks);
  }

  /** Neighbouring ranges are kept as one piece. */
  async #keep(fetched: { readonly range: ByteRange; readonly bytes: Uint8Array }[]): Promise<void> {
    fetched.sort((a, b) => a.range.offsetBytes - b.range.offsetBytes);
    let run: Uint8Array[] = [];
    let startBytes = 0;
    let endBytes = -1;
    for (const { range, bytes } of fetched) {
      if (range.offsetBytes !== endBytes) {
        await this.#cached.write(startBytes, run);
        run = [];
        startBytes = range.offsetBytes;
      }
      run.push(bytes);
      endBytes = endOf(range);
    }
    await this.#cached.write(startBytes, run);
  }
}
