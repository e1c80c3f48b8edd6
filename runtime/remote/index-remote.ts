/**
 * Brings remote files and the event index together. A file that the index knows as it is now costs one request, and
 * one more on an event server, which says what the file is called; a new one of an event server costs its list of
 * events; any other is read once, streaming, and its bytes go to the cache if there is one. Belongs into a thread.
 */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { placeWithoutSecrets } from '../../core/address-secrets.ts';
import { GranuleError } from '../../core/errors.ts';
import type { FileRecord } from '../../core/file-index.ts';
import type { Guid } from '../../core/ids.ts';
import { percentDecoded } from '../../core/percent-encoding.ts';
import type { EventIndex } from '../indexing/event-index.ts';
import type { FileStamp } from '../indexing/file-stamp.ts';
import { type DescribeRoot, type IndexedFile, indexStream } from '../indexing/index-file.ts';
import type { IndexAnswer, RemoteFile, VerifyAnswer } from '../indexing/indexing-messages.ts';
import { compareWithIndex } from '../indexing/keep-index.ts';
import type { Slots } from '../slots.ts';
import type { ByteSource, SourceIdentity } from './byte-source.ts';
import { CachedSource } from './cached-source.ts';
import { checkStream, contentDiffers } from './checked-stream.ts';
import { addressKey, contentKey } from './disk-cache.ts';
import { fetchServedIndex, fetchServedRecord } from './event-server-client.ts';
import { type Place, parsePlace } from './place.ts';
import type { SourceFactory } from './source-factory.ts';

/**
 * @param options.describeRoot without it, ROOT files are refused
 * @param options.readSlots bounds how many files are read at once; whether a file is known is asked beside that
 * @param options.acceptChange as for local files: the first place stands for its new content from now on
 * @throws what reading and indexing throw, with the place in front; STORE_FAILED
 */
export async function indexRemote(
  index: EventIndex,
  factory: SourceFactory,
  file: RemoteFile,
  options: {
    readonly acceptChange: boolean;
    readonly signal: AbortSignal;
    readonly describeRoot?: DescribeRoot;
    readonly readSlots: Slots;
  },
): Promise<IndexAnswer> {
  const [place] = file.places;
  const expected = file.expected ?? {};
  const source = factory.replicas(file.lfn ?? lfnOfPlace(place), file.places, expected);
  try {
    const stated = await source.open(options.signal);
    const identity = { ...stated, checksums: [...(expected.checksums ?? []), ...stated.checksums] };
    const served = await fetchServed(factory, place, options.signal);
    // Told anew at each start, and by the same side: the run's identity and the names of its outputs depend on it.
    const lfn = baseName(file.lfn) ?? baseName(served?.record.lfn) ?? lfnOfPlace(place);
    const stamp = stampOf(identity);
    const key = placeWithoutSecrets(place);
    const row = index.pathRow(key);
    if (row !== undefined && stamp?.sizeBytes === row.sizeBytes && stamp.mtimeMs === row.mtimeMs) {
      const known = index.fileRecord(row.guid);
      if (known !== undefined) return { record: { ...known, lfn }, outcome: 'kept', previousGuid: null };
    }
    const { describeRoot } = options;
    const opened = { source, identity, lfn, place, ...(describeRoot === undefined ? {} : { describeRoot }) };
    const indexed = await options.readSlots.use(() => readIndex(factory, { ...opened, served }, options.signal));
    const previousGuid = row?.guid ?? indexed.record.guid;
    const hasChanged = previousGuid !== indexed.record.guid;
    const keepsPlace = stamp !== undefined && (!hasChanged || options.acceptChange);
    await index.add(indexed, keepsPlace ? { path: key, stamp } : undefined);
    return {
      record: indexed.record,
      outcome: hasChanged ? 'changed' : 'read',
      previousGuid: hasChanged ? previousGuid : null,
    };
  } finally {
    await source.close();
  }
}

/**
 * Reads a remote file again, past the cache, and compares it with what the index keeps for `guid`; of a file of an event
 * server, the list of events that the server gives.
 *
 * @throws what reading and indexing throw
 */
export async function verifyRemote(
  index: EventIndex,
  factory: SourceFactory,
  { guid, place }: { readonly guid: Guid; readonly place: string },
  options: { readonly signal: AbortSignal; readonly describeRoot: DescribeRoot; readonly readSlots: Slots },
): Promise<VerifyAnswer> {
  if (index.fileRecord(guid) === undefined) return { kind: 'unknown' };
  const lfn = lfnOfPlace(place);
  const source = factory.replicas(lfn, [place], {});
  try {
    const identity = await source.open(options.signal);
    const opened = { source, identity, lfn, place, describeRoot: options.describeRoot };
    const checksums = index.hasChecksums(guid);
    const served = await fetchServed(factory, place, options.signal);
    const indexed = await options.readSlots.use(() =>
      served === undefined
        ? streamIndex(opened, checksums, options.signal)
        : fetchIndex(factory, served, options.signal),
    );
    return compareWithIndex(index, guid, indexed);
  } finally {
    await source.close();
  }
}

/**
 * The last part of a URL's path, or of a local path; the host where a path has none. An event server names a file by its
 * GUID.
 */
export function lfnOfPlace(place: string): string {
  const [parsed] = parsePlace(place);
  if (parsed === undefined || parsed.kind === 'local') return basename(parsed?.path ?? place);
  if (parsed.kind === 'event-server') return parsed.guid;
  return baseName(percentDecoded(basename(parsed.url.pathname))) ?? parsed.url.hostname;
}

/**
 * The last part of a name that may have folders, as those of grids do and those of servers might: outputs are named
 * after it, and must lie in the run's folder. Undefined when there is none.
 */
function baseName(name = ''): string | undefined {
  const parts = name.replaceAll('\0', '').split('/');
  return parts.findLast((part) => part !== '' && part !== '.' && part !== '..');
}

interface OpenRemoteFile {
  readonly source: ByteSource;
  readonly identity: SourceIdentity;
  readonly lfn: string;
  readonly place: string;
  readonly describeRoot?: DescribeRoot;
}

/** A file of an event server, and what the server says of it. */
interface ServedFile {
  readonly place: Extract<Place, { kind: 'event-server' }>;
  readonly record: FileRecord;
}

/** Undefined for any place but that of an event server. */
async function fetchServed(factory: SourceFactory, text: string, signal: AbortSignal): Promise<ServedFile | undefined> {
  const [place] = parsePlace(text);
  if (place?.kind !== 'event-server') return undefined;
  const record = await factory.persist(signal, () => fetchServedRecord(factory.client, place, signal));
  return { place, record };
}

function fetchIndex(factory: SourceFactory, served: ServedFile, signal: AbortSignal): Promise<IndexedFile> {
  return factory.persist(signal, () => fetchServedIndex(factory.client, served, signal));
}

async function readIndex(
  factory: SourceFactory,
  file: OpenRemoteFile & { readonly served: ServedFile | undefined },
  signal: AbortSignal,
): Promise<IndexedFile> {
  const { identity, lfn, place, served } = file;
  if (served !== undefined) {
    const indexed = await fetchIndex(factory, served, signal);
    return { ...indexed, record: { ...indexed.record, lfn } };
  }
  const key =
    factory.cache === undefined
      ? undefined
      : addressKey(placeWithoutSecrets(place), identity.validator, identity.sizeBytes);
  let source = file.source;
  if (factory.cache !== undefined && key !== undefined) {
    source = new CachedSource(source, factory.cache.file(key), identity);
  }
  const indexed = await streamIndex({ ...file, source }, true, signal);
  if (key !== undefined) await factory.cache?.adopt(key, contentKey(indexed.record.sha256));
  return indexed;
}

/** Reads the whole file. */
async function streamIndex(file: OpenRemoteFile, checksums: boolean, signal: AbortSignal): Promise<IndexedFile> {
  const { source, identity, lfn, place, describeRoot } = file;
  const indexed = await indexStream(checkStream(source.stream(0, signal), identity.checksums, place), lfn, {
    describeRoot: describeRoot === undefined ? undefined : (record) => describeRoot(record, [place]),
    checksums,
  });
  checkContent(indexed.record, file);
  return indexed;
}

function checkContent(record: FileRecord, { identity, place }: OpenRemoteFile): void {
  if (identity.sizeBytes !== undefined && identity.sizeBytes !== record.sizeBytes) {
    throw new GranuleError(
      'SOURCE_CORRUPT',
      `${place}: ${record.sizeBytes} bytes came, its server says ${identity.sizeBytes}`,
      { details: { place } },
    );
  }
  const wanted = identity.checksums.find(({ algorithm }) => algorithm === 'sha-256');
  const found = { algorithm: 'sha-256', hex: record.sha256 } as const;
  if (wanted !== undefined && wanted.hex !== found.hex) throw contentDiffers(place, found, wanted);
}

/**
 * What stands for "has not changed" in the index: the size, and in place of a modification time a number made of the
 * validator (48 bits of its digest), since an entity tag is any text. Undefined when the server gives none: such a file
 * is read again at each start.
 */
function stampOf({ sizeBytes, validator }: SourceIdentity): FileStamp | undefined {
  if (sizeBytes === undefined || validator === undefined) return undefined;
  return { sizeBytes, mtimeMs: createHash('sha256').update(validator).digest().readUIntBE(0, 6) };
}
