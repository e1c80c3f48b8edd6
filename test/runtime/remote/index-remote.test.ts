/** Indexing files behind URLs: read once, known afterwards, never mistaken for another. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../core/clock.ts';
import { REMOTE_FILES_READ_MAX } from '../../../core/limits.ts';
import { silentLogger } from '../../../core/log.ts';
import { buildEventServer, listenEventServer } from '../../../runtime/http/event-server.ts';
import { EventIndex } from '../../../runtime/indexing/event-index.ts';
import { type IndexAnswer, IndexingPool } from '../../../runtime/indexing/indexing-pool.ts';
import { adler32 } from '../../../runtime/remote/adler32.ts';
import { EventDataReader } from '../../../runtime/remote/event-data-reader.ts';
import { indexRemote, lfnOfPlace } from '../../../runtime/remote/index-remote.ts';
import { SourceFactory } from '../../../runtime/remote/source-factory.ts';
import { Slots } from '../../../runtime/slots.ts';
import { createServedFolder } from '../http/event-server-fixture.ts';
import { FaultServer } from './fault-server.ts';
import { failureOf, IMPATIENT, never } from './remote-fixtures.ts';

const EVENTS = Array.from({ length: 300 }, (_, at) => `{"event":${at},"fill":"${'x'.repeat(at)}"}\n`);
const FILE = Buffer.from(EVENTS.join(''));

let folder: string;
let server: FaultServer;
let index: EventIndex;
let factory: SourceFactory;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'granule-index-'));
  server = await FaultServer.start({ '/data/events%201.ndjson': FILE, '/packed.gz': gzipSync(FILE) });
  index = await EventIndex.open({ path: join(folder, 'index'), readOnly: false });
  const cache = { folder: join(folder, 'cache'), sizeBytesMax: 1 << 24 };
  factory = await SourceFactory.open({ remote: IMPATIENT, cache }, silentLogger, systemClock);
});

afterEach(async () => {
  await factory.close();
  await index.close();
  await server.kill();
  await rm(folder, { recursive: true });
});

const readSlots = new Slots(2);

function indexUrl(path: string, acceptChange = false): Promise<IndexAnswer> {
  return indexRemote(index, factory, { places: [server.url(path).href] }, { acceptChange, signal: never, readSlots });
}

describe('indexRemote', () => {
  it('reads a file once, and asks one byte and its checksum the next time', async () => {
    const { record, outcome } = await indexUrl('/data/events%201.ndjson');
    expect([outcome, record.lfn, record.eventCount, record.sizeBytes]).toEqual([
      'read',
      'events 1.ndjson',
      300,
      FILE.length,
    ]);
    expect(index.lookupSpan(record.guid, 1, 2)).toMatchObject({ offsets: Float64Array.of(0, EVENTS[0]?.length ?? 0) });
    server.seen.length = 0;
    expect(await indexUrl('/data/events%201.ndjson')).toEqual({ record, outcome: 'kept', previousGuid: null });
    expect(server.seen.map(({ method, range }) => [method, range])).toEqual([
      ['GET', 'bytes=0-0'],
      ['HEAD', undefined],
    ]);
  });

  it('gives a compressed file and its inflated events the places that reading needs', async () => {
    const { record } = await indexUrl('/packed.gz');
    expect(record).toMatchObject({ compression: 'gzip', eventCount: 300 });
  });

  it('leaves the bytes in the cache, under what they are', async () => {
    const { record } = await indexUrl('/data/events%201.ndjson');
    const place = server.url('/data/events%201.ndjson').href;
    await server.kill();
    const cache = { folder: join(folder, 'cache'), sizeBytesMax: 1 << 24 };
    await using reader = await EventDataReader.open(
      { remote: IMPATIENT, prefetchBytesMax: 1 << 20, cache },
      silentLogger,
    );
    reader.addFile({ fileIndex: 0, record, places: [place] });
    const { offsets, lengths } = index.lookupSpan(record.guid, 300, 1);
    const [bytes] = await reader.read(
      [{ fileIndex: 0, offsetBytes: offsets[0] ?? 0, lengthBytes: lengths[0] ?? 0 }],
      never,
    );
    expect(bytes instanceof Uint8Array ? Buffer.from(bytes).toString() : bytes).toBe(EVENTS[299]);
  });

  it('is told the same by the cache when another index is to be made', async () => {
    const { record } = await indexUrl('/data/events%201.ndjson');
    await index.close();
    index = await EventIndex.open({ path: join(folder, 'another'), readOnly: false });
    server.seen.length = 0;
    expect(await indexUrl('/data/events%201.ndjson')).toMatchObject({ outcome: 'read', record });
    expect(server.seen.map(({ method, range }) => [method, range])).toEqual([
      ['GET', 'bytes=0-0'],
      ['HEAD', undefined],
    ]);
  });

  it('says that a place holds something else than before, until that is accepted', async () => {
    const before = await indexUrl('/packed.gz');
    server.files.set('/packed.gz', FILE);
    for (const acceptChange of [false, true]) {
      const changed = await indexUrl('/packed.gz', acceptChange);
      expect(changed).toMatchObject({ outcome: 'changed', previousGuid: before.record.guid });
    }
    expect(await indexUrl('/packed.gz')).toMatchObject({ outcome: 'kept' });
  });

  it('reads on through a connection that breaks again and again', async () => {
    server.faults = ({ number }) => (number % 2 === 0 ? [{ kind: 'cut', afterBytes: 9000 }] : []);
    expect((await indexUrl('/data/events%201.ndjson')).record.eventCount).toBe(300);
  });

  it.each([
    ['adler32', `adler32=${adler32(FILE).toString(16)}`, `adler32=${(adler32(FILE) ^ 1).toString(16)}`],
    ['md5', 'md5=AAAA', 'md5=AAAA'],
  ])('refuses content that has not the %s its server states', async (_algorithm, right, wrong) => {
    server.faults = () => [{ kind: 'header', name: 'digest', value: wrong }];
    expect(await failureOf(indexUrl('/data/events%201.ndjson'))).toMatch(
      /^SOURCE_CORRUPT: .* of what was read is \w+ instead of \w+$/,
    );
    if (right === wrong) return;
    server.faults = () => [{ kind: 'header', name: 'digest', value: right }];
    expect(await indexUrl('/data/events%201.ndjson')).toMatchObject({ outcome: 'read' });
  });

  it('refuses content that has not the checksum a catalogue states, whatever the server says', async () => {
    const places = [server.url('/data/events%201.ndjson').href] as const;
    const indexExpecting = (hex: string): Promise<IndexAnswer> =>
      indexRemote(
        index,
        factory,
        { places, expected: { sizeBytes: FILE.length, checksums: [{ algorithm: 'adler32', hex }] } },
        { acceptChange: false, signal: never, readSlots },
      );
    expect(await failureOf(indexExpecting('00000001'))).toMatch(/^SOURCE_CORRUPT: .* instead of 00000001$/);
    const right = adler32(FILE).toString(16).padStart(8, '0');
    expect(await indexExpecting(right)).toMatchObject({ outcome: 'read' });
  });

  it.each([
    ['/grid/user/events.ndjson', 'events.ndjson'],
    ['../../events.ndjson', 'events.ndjson'],
    ['..', 'events 1.ndjson'],
  ])('takes the last part of the name %s that a catalogue gives', async (lfn, name) => {
    const places = [server.url('/data/events%201.ndjson').href] as const;
    const options = { acceptChange: false, signal: never, readSlots };
    expect((await indexRemote(index, factory, { places, lfn }, options)).record.lfn).toBe(name);
    expect(await indexRemote(index, factory, { places, lfn }, options)).toMatchObject({
      outcome: 'kept',
      record: { lfn: name },
    });
  });

  it('passes on what is wrong with the file', async () => {
    server.files.set('/bad', Buffer.from('this is no event file\n'));
    expect(await failureOf(indexUrl('/bad'))).toMatch(/^INPUT_UNRECOGNISED/);
    expect(await failureOf(indexUrl('/missing'))).toMatch(/^INPUT_NOT_FOUND/);
  });

  it('takes the list of events of a file from its event server, without reading the file', async () => {
    const served = await createServedFolder(3000, 10);
    const app = buildEventServer({ index: served.index, paths: served.paths, token: undefined, log: silentLogger });
    const address = await listenEventServer(app, { host: '127.0.0.1', port: 0, token: undefined });
    const place = `granule+${address}/${served.packed.guid}`;
    const answer = await indexRemote(
      index,
      factory,
      { places: [place] },
      { acceptChange: false, signal: never, readSlots },
    );
    expect(answer).toMatchObject({ outcome: 'read', record: served.packed });
    expect(index.lookupSpan(served.packed.guid, 1, 3000)).toEqual(served.index.lookupSpan(served.packed.guid, 1, 3000));
    const again = await indexRemote(
      index,
      factory,
      { places: [place] },
      { acceptChange: false, signal: never, readSlots },
    );
    expect(again).toEqual({ ...answer, outcome: 'kept' });
    const missing = `granule+${address}/00000000-0000-8000-8000-000000000000`;
    const failure = indexRemote(
      index,
      factory,
      { places: [missing] },
      { acceptChange: false, signal: never, readSlots },
    );
    expect(await failureOf(failure)).toMatch(/^INPUT_NOT_FOUND/);
    await app.close();
    await served.remove();
  });
});

describe('IndexingPool', () => {
  it('indexes remote files in its threads, and lets go of a server that is silent', async () => {
    const sources = { remote: { ...IMPATIENT, patienceMs: 60_000 }, cache: undefined };
    await using pool = new IndexingPool({ indexPath: join(folder, 'pool'), threadsMax: 1, sources });
    const places = [server.url('/packed.gz').href] as const;
    expect(await pool.indexRemote({ places, lfn: 'named' })).toMatchObject({
      record: { lfn: 'named', eventCount: 300 },
    });
    server.faults = () => [{ kind: 'status', status: 503, retryAfter: '2' }];
    const abort = new AbortController();
    const indexing = pool.indexRemote({ places: [server.url('/other').href] }, { signal: abort.signal });
    await expect.poll(() => server.seen.at(-1)?.path).toBe('/other');
    abort.abort(new Error('enough'));
    await expect(indexing).rejects.toThrow('enough');
  });

  it('keeps neither local files nor remote ones that are known waiting for those that are read', async () => {
    const sources = { remote: { ...IMPATIENT, patienceMs: 60_000 }, cache: undefined };
    await using pool = new IndexingPool({ indexPath: join(folder, 'pool'), threadsMax: 1, sources });
    const known = { places: [server.url('/packed.gz').href] } as const;
    await pool.indexRemote(known);
    let release = (): void => undefined;
    const until = new Promise<void>((resolve) => {
      release = resolve;
    });
    server.faults = ({ method, range }) => (method === 'GET' && range === undefined ? [{ kind: 'hold', until }] : []);
    const paths = Array.from({ length: REMOTE_FILES_READ_MAX + 2 }, (_, index) => `/held-${index}.ndjson`);
    for (const path of paths) server.files.set(path, Buffer.from(`{"path":"${path}"}\n`));
    const held = paths.map((path) => pool.indexRemote({ places: [server.url(path).href] }));
    const local = join(folder, 'local.ndjson');
    await writeFile(local, '{"n":1}\n');
    expect(await pool.index(local)).toMatchObject({ outcome: 'read', record: { eventCount: 1 } });
    expect(await pool.indexRemote(known)).toMatchObject({ outcome: 'kept' });
    release();
    expect((await Promise.all(held)).map(({ record }) => record.lfn)).toEqual(paths.map((path) => path.slice(1)));
  });
});

describe('lfnOfPlace', () => {
  it.each([
    ['https://h/a/b%20c.hepmc?x=1', 'b c.hepmc'],
    ['https://h/a/100%', '100%'],
    ['root://h//a/b.root', 'b.root'],
    ['https://h/a/..%2F..%2Fb.hepmc', 'b.hepmc'],
    ['https://h/a/..%2F', 'h'],
    ['https://h', 'h'],
    ['/data/x.lhe', 'x.lhe'],
  ])('of %s is %s', (place, lfn) => {
    expect(lfnOfPlace(place)).toBe(lfn);
  });
});

describe('adler32', () => {
  it('gives the values of RFC 1950', () => {
    expect(adler32(Buffer.from('Wikipedia'))).toBe(0x11e60398);
    expect(adler32(new Uint8Array(0))).toBe(1);
    expect(adler32(FILE.subarray(100), adler32(FILE.subarray(0, 100)))).toBe(adler32(FILE));
  });
});
