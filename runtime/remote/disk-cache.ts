/**
 * The disk cache of remote data (`--cache DIR --cache-size 10G`): pieces of files as they were fetched, shared by
 * processes and runs. A piece is a file whose name states its file, offset, length and CRC-32:
 * `DIR/granule-cache-1/<2 hex>/<key>/<offset>-<length>-<crc32>`. There is no other metadata to go out of step with it. A
 * link leads from the key of an address to that of the content that was found there.
 *
 * Crash-safe without flushing: a piece appears under its name by a rename, and what a power cut left of it is noticed
 * by length and checksum when it is read. The modification time of a piece is its last use; the least recently used
 * go first. Every process keeps the bound by itself; several may exceed it by a sixteenth each for a while.
 *
 * A cache that cannot be written any more (full disk) is left alone with one warning: the run goes on without.
 */
import { createHash } from 'node:crypto';
import { lstat, mkdir, open, readdir, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { describeThrown } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { makeWritableFolder } from '../writable-folder.ts';
import { CachedFile, type PieceStore } from './cached-file.ts';
import { type Piece, pieceName, tryPieceName } from './piece-list.ts';

/** Folder and layout version below the user's folder. */
const LAYOUT = 'granule-cache-1';
/** After eviction the cache is this full, so that it does not evict piece by piece. */
const EVICT_TO = 0.9;
/** Share of the bound a process writes before it counts again what others wrote. */
const RECOUNT_SHARE = 1 / 16;
/** A temporary file this old belongs to a process that died. */
const TEMPORARY_LIFE_MS = 3_600_000;

export interface DiskCacheOptions {
  /** the user's folder, created if need be */
  readonly folder: string;
  readonly sizeBytesMax: number;
}

export class DiskCache implements PieceStore {
  readonly #folder: string;
  readonly #sizeBytesMax: number;
  readonly #log: Logger;
  readonly #files = new Map<string, CachedFile>();
  #usedBytes = 0;
  #writtenSinceCount = 0;
  #evicting: Promise<void> | undefined;
  #broken = false;

  private constructor(folder: string, sizeBytesMax: number, log: Logger) {
    this.#folder = folder;
    this.#sizeBytesMax = sizeBytesMax;
    this.#log = log;
  }

  /** @throws OUTPUT_UNWRITABLE when the folder cannot be made or written */
  static async open(options: DiskCacheOptions, log: Logger): Promise<DiskCache> {
    const folder = join(options.folder, LAYOUT);
    makeWritableFolder(folder, { what: 'cache folder', choice: 'with --cache, leave it out' });
    const cache = new DiskCache(folder, options.sizeBytesMax, log);
    await cache.#makeRoom();
    return cache;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** The cached part of the file with this identity: see {@link contentKey} and {@link addressKey}. */
  file(key: string): CachedFile {
    let file = this.#files.get(key);
    if (file === undefined) {
      file = new CachedFile(this.#folderOf(key), this);
      this.#files.set(key, file);
    }
    return file;
  }

  /**
   * What was cached under one key is of the file with the other: a file that was indexed has its content's key. Under the
   * first key it is found as before, by runs that do not know the content yet.
   */
  async adopt(from: string, to: string): Promise<void> {
    const source = this.#folderOf(from);
    const target = this.#folderOf(to);
    const status = await lstat(source).catch(() => undefined);
    if (status === undefined || status.isSymbolicLink()) return;
    try {
      await mkdir(dirname(target), { recursive: true });
      await rename(source, target);
    } catch {
      // The content is there already, from elsewhere: the copy is not needed. (Another process may be filling it still; then
      // it stays until it is evicted.)
      await rm(source, { recursive: true, force: true }).catch(() => undefined);
    }
    await symlink(relative(dirname(source), target), source).catch(() => undefined);
    this.#files.delete(from);
    this.#files.delete(to);
  }

  async store(folder: string, piece: Piece, chunks: readonly Uint8Array[]): Promise<boolean> {
    if (this.#broken || piece.lengthBytes > this.#sizeBytesMax) return false;
    const path = join(folder, pieceName(piece));
    const temporary = `${path}.${process.pid}.${Math.random().toString(36).slice(2, 10)}.tmp`;
    try {
      await mkdir(folder, { recursive: true });
      const handle = await open(temporary, 'wx');
      try {
        for (const chunk of chunks) await handle.writeFile(chunk);
      } finally {
        await handle.close();
      }
      await rename(temporary, path);
      await this.#count(piece.lengthBytes);
      return true;
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      // The folder was there a moment ago: another process has given it the key of its content.
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
      // Several pieces may be on their way; one warning is enough.
      if (this.#broken) return false;
      this.#broken = true;
      this.#log.warn({ path, reason: describeThrown(error).message }, 'cache cannot be written, going on without');
      return false;
    }
  }

  async #count(writtenBytes: number): Promise<void> {
    this.#usedBytes += writtenBytes;
    this.#writtenSinceCount += writtenBytes;
    const recount = this.#writtenSinceCount > this.#sizeBytesMax * RECOUNT_SHARE;
    if (recount || this.#usedBytes > this.#sizeBytesMax) await this.#makeRoom();
  }

  /** Counts the cache, and removes the least recently used pieces when it is over its bound. */
  #makeRoom(): Promise<void> {
    this.#evicting ??= this.#evict().finally(() => {
      this.#evicting = undefined;
    });
    return this.#evicting;
  }

  async #evict(): Promise<void> {
    const pieces = await this.#listPieces();
    this.#usedBytes = pieces.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    this.#writtenSinceCount = 0;
    if (this.#usedBytes <= this.#sizeBytesMax) return;
    const used: { path: string; lengthBytes: number; usedAtMs: number }[] = [];
    for (const { path, lengthBytes } of pieces) {
      const status = await stat(path).catch(() => undefined);
      if (status !== undefined) used.push({ path, lengthBytes, usedAtMs: status.mtimeMs });
    }
    used.sort((a, b) => a.usedAtMs - b.usedAtMs);
    for (const { path, lengthBytes } of used) {
      if (this.#usedBytes <= this.#sizeBytesMax * EVICT_TO) break;
      await rm(path, { force: true });
      this.#usedBytes -= lengthBytes;
    }
  }

  async #listPieces(): Promise<{ path: string; lengthBytes: number }[]> {
    const pieces: { path: string; lengthBytes: number }[] = [];
    for (const group of await foldersIn(this.#folder)) {
      for (const folder of await foldersIn(group)) {
        // None of a folder that another process has moved or removed meanwhile.
        for (const name of await readdir(folder).catch(() => [])) {
          const piece = tryPieceName(name);
          if (piece !== undefined) pieces.push({ path: join(folder, name), lengthBytes: piece.lengthBytes });
          else if (name.endsWith('.tmp')) await removeIfOld(join(folder, name));
        }
      }
    }
    return pieces;
  }

  #folderOf(key: string): string {
    return join(this.#folder, key.slice(0, 2), key);
  }
}

/** Links left out: what they lead to is counted where it is. */
async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name));
}

async function removeIfOld(path: string): Promise<void> {
  const status = await stat(path).catch(() => undefined);
  if (status !== undefined && Date.now() - status.mtimeMs > TEMPORARY_LIFE_MS) await rm(path, { force: true });
}

/** Key of a file whose content is known: the same bytes are cached once, wherever they come from. */
export function contentKey(sha256: string): string {
  return sha256;
}

/** Key of a file of which only the address is known; undefined when nothing tells one state of it from the next. */
export function addressKey(
  place: string,
  validator: string | undefined,
  sizeBytes: number | undefined,
): string | undefined {
  if (validator === undefined || sizeBytes === undefined) return undefined;
  return createHash('sha256').update(`address\n${place}\n${validator}\n${sizeBytes}`).digest('hex');
}
