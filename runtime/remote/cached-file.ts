/** The pieces of one file in the disk cache: reading ranges out of them, and adding to them. */
import { readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { CACHE_TOUCH_INTERVAL_MS } from '../../core/limits.ts';
import { type ByteRange, endOf } from './byte-source.ts';
import { PIECE_BYTES_BOUND, type Piece, PieceList, pieceName, tryPieceName } from './piece-list.ts';

/** Pieces kept in memory per file: events lie closer together than pieces are long. */
const PIECES_IN_MEMORY = 4;

/** Where pieces are put: the cache, which keeps the bound. */
export interface PieceStore {
  /** Puts a piece in its place; `chunks` are its bytes. False when it was not kept. */
  store(folder: string, piece: Piece, chunks: readonly Uint8Array[]): Promise<boolean>;
}

/** The cached part of one file. Pieces other processes add are seen when the folder is listed again, after a miss. */
export class CachedFile {
  readonly #folder: string;
  readonly #store: PieceStore;
  readonly #pieces = new PieceList();
  readonly #memory = new Map<string, Promise<Uint8Array | undefined>>();
  readonly #touchedAtMs = new Map<string, number>();
  #listedMtimeMs: number | undefined;
  /** pieces of our own on their way into the folder */
  #ownWrites = 0;
  /** when the first of them began, the folder was as it was listed, or with what we wrote since */
  #isListed = false;
  #listing: Promise<boolean> | undefined;

  constructor(folder: string, store: PieceStore) {
    this.#folder = folder;
    this.#store = store;
  }

  /** The bytes, when all of them are here and sound. Possibly a view of a larger buffer that others see too. */
  async read(range: ByteRange): Promise<Uint8Array | undefined> {
    const [bytes] = await this.readMany([range]);
    return bytes;
  }

  /** As {@link read}, for each range. Looks once at the most for what other processes added. */
  async readMany(ranges: readonly ByteRange[]): Promise<(Uint8Array | undefined)[]> {
    const results: (Uint8Array | undefined)[] = [];
    let looked = false;
    for (const range of ranges) {
      let pieces = this.#pieces.cover(range);
      if (pieces === undefined && !looked) {
        looked = true;
        if (await this.#list()) pieces = this.#pieces.cover(range);
      }
      results.push(pieces === undefined ? undefined : await this.#join(range, pieces));
    }
    return results;
  }

  /** @param pieces cover the range, in order */
  async #join(range: ByteRange, pieces: readonly Piece[]): Promise<Uint8Array | undefined> {
    if (range.lengthBytes === 0) return new Uint8Array(0);
    const parts: Uint8Array[] = [];
    let offset = range.offsetBytes;
    for (const piece of pieces) {
      const bytes = await this.#load(piece);
      if (bytes === undefined) return undefined;
      const end = Math.min(endOf(range), endOf(piece));
      parts.push(bytes.subarray(offset - piece.offsetBytes, end - piece.offsetBytes));
      offset = end;
    }
    const [only] = parts;
    return parts.length === 1 ? only : Buffer.concat(parts);
  }

  /** How many bytes from here on are cached without a gap. */
  async coveredFrom(offsetBytes: number): Promise<number> {
    await this.#list();
    let end = offsetBytes;
    for (let piece = this.#pieces.at(end); piece !== undefined; piece = this.#pieces.at(end)) end = endOf(piece);
    return end - offsetBytes;
  }

  /** Keeps consecutive bytes, in pieces. Returns when they are written, or were not worth or able to be. */
  async write(offsetBytes: number, chunks: readonly Uint8Array[]): Promise<void> {
    await this.#beginWriting();
    try {
      await this.#writePieces(offsetBytes, chunks);
    } finally {
      await this.#endWriting();
    }
  }

  /**
   * What we write ourselves is no reason to list the folder: a file that fills has thousands of pieces. What another process
   * writes at the same time is seen after its next write, or never, and then fetched as if it were not there.
   */
  async #beginWriting(): Promise<void> {
    this.#ownWrites += 1;
    if (this.#ownWrites === 1) this.#isListed = (await this.#mtimeMs()) === this.#listedMtimeMs;
  }

  async #endWriting(): Promise<void> {
    this.#ownWrites -= 1;
    if (this.#ownWrites === 0 && this.#isListed) this.#listedMtimeMs = await this.#mtimeMs();
  }

  async #mtimeMs(): Promise<number | undefined> {
    return (await stat(this.#folder).catch(() => undefined))?.mtimeMs;
  }

  async #writePieces(offsetBytes: number, chunks: readonly Uint8Array[]): Promise<void> {
    let at = offsetBytes;
    for (const pieces of splitChunks(chunks, PIECE_BYTES_BOUND)) {
      const lengthBytes = pieces.reduce((sum, chunk) => sum + chunk.length, 0);
      const piece = { offsetBytes: at, lengthBytes, crc32: pieces.reduce((crc, chunk) => crc32(chunk, crc), 0) };
      at += lengthBytes;
      if (await this.#store.store(this.#folder, piece, pieces)) this.#pieces.add(piece);
    }
  }

  /** True when there may be something new. Calls that overlap share one look at the folder. */
  #list(): Promise<boolean> {
    this.#listing ??= this.#listFolder().finally(() => {
      this.#listing = undefined;
    });
    return this.#listing;
  }

  async #listFolder(): Promise<boolean> {
    if (this.#ownWrites > 0 && this.#isListed) return false;
    const mtimeMs = await this.#mtimeMs();
    if (mtimeMs === undefined || mtimeMs === this.#listedMtimeMs) return false;
    this.#listedMtimeMs = mtimeMs;
    const names = await readdir(this.#folder).catch(() => []);
    this.#pieces.replace(names.flatMap((name) => tryPieceName(name) ?? []));
    return true;
  }

  #load(piece: Piece): Promise<Uint8Array | undefined> {
    const name = pieceName(piece);
    const known = this.#memory.get(name);
    if (known !== undefined) return known;
    const loading = this.#loadFile(piece, join(this.#folder, name));
    this.#memory.set(name, loading);
    const [oldest] = this.#memory.keys();
    if (this.#memory.size > PIECES_IN_MEMORY && oldest !== undefined) this.#memory.delete(oldest);
    return loading;
  }

  async #loadFile(piece: Piece, path: string): Promise<Uint8Array | undefined> {
    const bytes = await readFile(path).catch(() => undefined);
    if (bytes === undefined || bytes.length !== piece.lengthBytes || crc32(bytes) !== piece.crc32) {
      this.#pieces.remove(piece);
      this.#memory.delete(pieceName(piece));
      if (bytes !== undefined) await rm(path, { force: true });
      return undefined;
    }
    const nowMs = Date.now();
    if (nowMs - (this.#touchedAtMs.get(path) ?? 0) > CACHE_TOUCH_INTERVAL_MS) {
      this.#touchedAtMs.set(path, nowMs);
      await utimes(path, nowMs / 1000, nowMs / 1000).catch(() => undefined);
    }
    return bytes;
  }
}

/** Cuts a sequence of chunks into sequences of at most `limitBytes`, without copying. */
function* splitChunks(chunks: readonly Uint8Array[], limitBytes: number): Generator<Uint8Array[]> {
  let group: Uint8Array[] = [];
  let bytes = 0;
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, Math.min(chunk.length, at + limitBytes - bytes));
      group.push(part);
      at += part.length;
      bytes += part.length;
      if (bytes < limitBytes) continue;
      yield group;
      group = [];
      bytes = 0;
    }
  }
  if (bytes > 0) yield group;
}
