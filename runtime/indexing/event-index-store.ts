/**
 * The LMDB store under the event index. What is stored of a file never changes and is never removed. Databases:
 *
 * | name | key | value |
 * |---|---|---|
 * | meta | `schema`, `nextFileID` | number |
 * | guids | GUID | file ID |
 * | files | file ID | {@link FileRow} |
 * | paths | path | {@link PathRow} |
 * | places | file ID, block | offsets and lengths, `place-blocks.ts` |
 * | numbers | file ID, block | sorted run and event numbers, `number-blocks.ts` |
 * | fences | file ID | what each block of `numbers` begins with |
 */
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync } from 'node:fs';
import { join } from 'node:path';
import { GranuleError, isGranuleError } from '../../core/errors.ts';
import type { FileRecord } from '../../core/file-index.ts';
import type { Guid } from '../../core/ids.ts';
import { EVENT_INDEX_MAP_BYTES } from '../../core/limits.ts';
import { type Database, openStore, type RootDatabase, type StoreKey } from '../../core/store.ts';
import { makeWritableFolder } from '../writable-folder.ts';
import type { FileStamp } from './file-stamp.ts';
import type { IndexedFile } from './index-file.ts';
import type { Fences } from './number-blocks.ts';
import { hasChecksums } from './place-blocks.ts';

export interface EventIndexOptions {
  /** folder of the store; created unless `readOnly` */
  readonly path: string;
  /** for processes beside those that write */
  readonly readOnly: boolean;
}

/** What is known of a path: the content it had when it was last read. */
export interface PathRow extends FileStamp {
  readonly guid: Guid;
}

export interface FileRow {
  readonly record: FileRecord;
  /** events that have a number */
  readonly entryCount: number;
  /** run and event number of the first and the last entry in their order */
  readonly first: readonly [number, number];
  readonly last: readonly [number, number];
}

export interface KnownFile extends FileRow {
  readonly fileID: number;
}

type BlockKey = [fileID: number, block: number];

const SCHEMA = 1;
const DATABASE_COUNT = 7;
/** LMDB keys are limited to 1978 bytes. */
const PATH_KEY_CHARS_MAX = 450;
const HASHED_PATH = 'sha256:';

export class EventIndexStore {
  readonly #path: string;
  readonly #root: RootDatabase<unknown, StoreKey>;
  readonly #meta: Database<number, string>;
  readonly #guids: Database<number, string>;
  readonly #files: Database<FileRow, number>;
  readonly #paths: Database<PathRow, string>;
  readonly #places: Database<Buffer, BlockKey>;
  readonly #numbers: Database<Buffer, BlockKey>;
  readonly #fences: Database<Buffer, number>;
  #closing: Promise<void> | undefined;

  private constructor(path: string, root: RootDatabase<unknown, StoreKey>) {
    this.#path = path;
    this.#root = root;
    this.#meta = openDatabase(root, 'meta', 'msgpack');
    this.#guids = openDatabase(root, 'guids', 'msgpack');
    this.#files = openDatabase(root, 'files', 'msgpack');
    this.#paths = openDatabase(root, 'paths', 'msgpack');
    this.#places = openDatabase(root, 'places', 'binary');
    this.#numbers = openDatabase(root, 'numbers', 'binary');
    this.#fences = openDatabase(root, 'fences', 'binary');
  }

  /** @throws STORE_MISSING (read-only and not there yet), OUTPUT_UNWRITABLE, STORE_VERSION, STORE_FAILED */
  static async open({ path, readOnly }: EventIndexOptions): Promise<EventIndexStore> {
    if (readOnly && !existsSync(join(path, 'data.mdb'))) throw storeMissing(path);
    if (!readOnly) makeWritableFolder(path, { what: 'event index', choice: 'with --index' });
    let root: RootDatabase<unknown, StoreKey> | undefined;
    try {
      root = openStore({
        path,
        readOnly,
        mapSizeBytes: EVENT_INDEX_MAP_BYTES,
        databasesMax: DATABASE_COUNT,
        durableCommits: true,
      });
      const store = new EventIndexStore(path, root);
      await store.#checkSchema(readOnly);
      return store;
    } catch (error) {
      await root?.close();
      if (error instanceof DatabaseMissing) throw storeMissing(path);
      throw isGranuleError(error) ? error : storeFailed(path, 'cannot be opened', error);
    }
  }

  findFile(guid: Guid): KnownFile | undefined {
    const file = this.#findFile(guid);
    if (file !== undefined) return file;
    // Reads of one turn of the event loop see one state: look once more at the newest.
    this.#root.resetReadTxn();
    return this.#findFile(guid);
  }

  #findFile(guid: Guid): KnownFile | undefined {
    const fileID = this.#guids.get(guid);
    const row = fileID === undefined ? undefined : this.#files.get(fileID);
    return fileID === undefined || row === undefined ? undefined : { ...row, fileID };
  }

  /** Files in the order in which they were added, from `firstFileID` on. */
  *files(firstFileID: number): IterableIterator<KnownFile> {
    for (const { key, value } of this.#files.getRange({ start: firstFileID })) yield { ...value, fileID: key };
  }

  pathRow(path: string): PathRow | undefined {
    return this.#paths.get(pathKey(path));
  }

  /** Without the paths that are too long to be keys. */
  *pathRows(): IterableIterator<PathRow & { readonly path: string }> {
    for (const { key, value } of this.#paths.getRange({})) {
      if (!key.startsWith(HASHED_PATH)) yield { ...value, path: key };
    }
  }

  /**
   * Adds a file unless it is there, with its checksums if it lacks those, and what its path stands for. On disk when
   * the promise resolves.
   */
  async add(file: IndexedFile, at: { readonly path: string; readonly stamp: FileStamp } | undefined): Promise<void> {
    await this.#write(() => {
      const fileID = this.#guids.get(file.record.guid);
      if (fileID === undefined) this.#putFile(file);
      else if (this.#lacksChecksums(fileID, file)) this.#putPlaces(fileID, file);
      if (at !== undefined) this.#paths.putSync(pathKey(at.path), { ...at.stamp, guid: file.record.guid });
    });
  }

  /** Valid until the next read. */
  placeBlock(fileID: number, block: number): Uint8Array {
    return this.#present(this.#places.getBinaryFast([fileID, block]), fileID);
  }

  /** Valid until the next read. */
  numberBlock(fileID: number, block: number): Uint8Array {
    return this.#present(this.#numbers.getBinaryFast([fileID, block]), fileID);
  }

  fences(fileID: number): Fences {
    return unpackFences(this.#present(this.#fences.get(fileID), fileID));
  }

  /** Any number of times. */
  close(): Promise<void> {
    this.#closing ??= this.#root.close();
    return this.#closing;
  }

  async #checkSchema(readOnly: boolean): Promise<void> {
    const schema = this.#meta.get('schema');
    if (schema === undefined && !readOnly) {
      await this.#write(() => {
        this.#meta.putSync('schema', SCHEMA);
      });
    }
    if (schema === undefined || schema === SCHEMA) return;
    throw new GranuleError(
      'STORE_VERSION',
      `the event index at ${this.#path} has schema ${schema}, this granule knows ${SCHEMA}`,
      { remedy: 'index into another folder' },
    );
  }

  async #write(change: () => void): Promise<void> {
    try {
      await this.#root.transaction(change);
    } catch (cause) {
      throw storeFailed(this.#path, 'cannot be written', cause);
    }
  }

  #putFile(file: IndexedFile): void {
    const { record, numbers } = file;
    const { first, last, entryCount } = numbers;
    const fileID = this.#meta.get('nextFileID') ?? 1;
    this.#meta.putSync('nextFileID', fileID + 1);
    this.#guids.putSync(record.guid, fileID);
    this.#files.putSync(fileID, { record, entryCount, first, last });
    this.#putPlaces(fileID, file);
    numbers.blocks.forEach((block, index) => {
      this.#numbers.putSync([fileID, index], asBuffer(block));
    });
    if (entryCount > 0) this.#fences.putSync(fileID, packFences(numbers.fences));
  }

  #putPlaces(fileID: number, { placeBlocks }: IndexedFile): void {
    placeBlocks.forEach((block, index) => {
      this.#places.putSync([fileID, index], asBuffer(block));
    });
  }

  #lacksChecksums(fileID: number, { placeBlocks: [first] }: IndexedFile): boolean {
    return first !== undefined && hasChecksums(first) && !hasChecksums(this.placeBlock(fileID, 0));
  }

  #present<Bytes extends Uint8Array>(bytes: Bytes | undefined, fileID: number): Bytes {
    if (bytes !== undefined) return bytes;
    throw new GranuleError('STORE_FAILED', `the event index at ${this.#path} lacks a part of file ${fileID}`, {
      remedy: 'remove the index and index the files again',
    });
  }
}

/** A store whose writer has not got as far as making its databases. */
class DatabaseMissing extends Error {}

function openDatabase<Value, Key extends StoreKey>(
  root: RootDatabase<unknown, StoreKey>,
  name: string,
  encoding: 'msgpack' | 'binary',
): Database<Value, Key> {
  const database: Database<Value, Key> | undefined = root.openDB({ name, encoding });
  if (database === undefined) throw new DatabaseMissing(name);
  return database;
}

/** False also when there is none. */
export function isWritableStore(path: string): boolean {
  try {
    accessSync(join(path, 'data.mdb'), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function storeMissing(path: string): GranuleError {
  return new GranuleError('STORE_MISSING', `there is no event index at ${path}`);
}

function storeFailed(path: string, what: string, cause: unknown): GranuleError {
  return new GranuleError('STORE_FAILED', `the event index at ${path} ${what}: ${(cause as Error).message}`, { cause });
}

function pathKey(path: string): string {
  if (path.length <= PATH_KEY_CHARS_MAX) return path;
  return `${HASHED_PATH}${createHash('sha256').update(path).digest('hex')}`;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Runs, then event numbers, as doubles of the machine. */
function packFences({ runs, eventNumbers }: Fences): Buffer {
  return Buffer.concat([
    Buffer.from(runs.buffer, runs.byteOffset, runs.byteLength),
    Buffer.from(eventNumbers.buffer, eventNumbers.byteOffset, eventNumbers.byteLength),
  ]);
}

function unpackFences(bytes: Uint8Array): Fences {
  const doubles = new Float64Array(Uint8Array.from(bytes).buffer);
  const count = doubles.length / 2;
  return { runs: doubles.subarray(0, count), eventNumbers: doubles.subarray(count) };
}
