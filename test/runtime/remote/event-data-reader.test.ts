/** The whole way from places to events' bytes: remote, compressed, cached, changed, gone. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FileRecord } from '../../../core/file-index.ts';
import { guidFromSha256 } from '../../../core/ids.ts';
import { silentLogger } from '../../../core/log.ts';
import { EventDataReader, type EventDataReaderOptions } from '../../../runtime/remote/event-data-reader.ts';
import type { EventRequest } from '../../../runtime/remote/prefetcher.ts';
import { FaultServer } from './fault-server.ts';
import { content, IMPATIENT, never } from './remote-fixtures.ts';

const MiB = 1024 * 1024;
const EVENT_BYTES = 5_000;
const EVENT_COUNT = 600;
const PLAIN = Buffer.from(content(EVENT_BYTES * EVENT_COUNT).map((byte) => byte & 15));
const PACKED = gzipSync(PLAIN);

let folder: string;
let server: FaultServer;
let readers: EventDataReader[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'granule-reader-'));
  server = await FaultServer.start({ '/plain': PLAIN, '/packed.gz': PACKED });
  readers = [];
});

afterEach(async () => {
  await Promise.all(readers.map((reader) => reader.close()));
  await server.kill();
  await rm(folder, { recursive: true });
});

function recordOf(file: Buffer, compression: FileRecord['compression']): FileRecord {
  const digest = createHash('sha256').update(file).digest();
  return {
    guid: guidFromSha256(digest),
    lfn: 'events.hepmc',
    format: 'hepmc3',
    compression,
    sizeBytes: file.length,
    sha256: digest.toString('hex'),
    eventCount: EVENT_COUNT,
    runSegments: [],
  };
}

async function openReader(options: Partial<EventDataReaderOptions> = {}): Promise<EventDataReader> {
  const all = { remote: IMPATIENT, prefetchBytesMax: 4 * MiB, cache: undefined, ...options };
  const reader = await EventDataReader.open(all, silentLogger);
  readers.push(reader);
  return reader;
}

function eventsOf(fileIndex: number): EventRequest[] {
  return Array.from({ length: EVENT_COUNT }, (_, index) => ({
    fileIndex,
    offsetBytes: index * EVENT_BYTES,
    lengthBytes: EVENT_BYTES,
  }));
}

/** Plans all, reads by tens, and holds every byte against the original. */
async function readAll(reader: EventDataReader, requests: readonly EventRequest[]): Promise<void> {
  reader.plan(requests);
  for (let at = 0; at < requests.length; at += 10) {
    const batch = requests.slice(at, at + 10);
    const data = await reader.read(batch, never);
    for (const [index, { offsetBytes, lengthBytes }] of batch.entries()) {
      const bytes = data[index];
      if (!(bytes instanceof Uint8Array)) throw bytes;
      expect(PLAIN.subarray(offsetBytes, offsetBytes + lengthBytes).equals(bytes)).toBe(true);
    }
  }
}

describe('EventDataReader', () => {
  it('reads a remote file in few requests and fetches nothing twice', async () => {
    const reader = await openReader();
    reader.addFile({ fileIndex: 0, record: recordOf(PLAIN, 'none'), places: [server.url('/plain').href] });
    await readAll(reader, eventsOf(0));
    expect(reader.figures.receivedBytes).toBeLessThan(1.05 * PLAIN.length);
    expect(server.seen.length).toBeLessThan(40);
  });

  it('inflates remote and local compressed files once, in one pass', async () => {
    const path = join(folder, 'packed.gz');
    await writeFile(path, PACKED);
    const reader = await openReader();
    reader.addFile({ fileIndex: 0, record: recordOf(PACKED, 'gzip'), places: [server.url('/packed.gz').href] });
    reader.addFile({ fileIndex: 1, record: recordOf(PACKED, 'gzip'), places: [path] });
    await readAll(reader, [...eventsOf(0), ...eventsOf(1)]);
    expect(server.seen.map(({ range }) => range)).toEqual([undefined]);
  });

  it('reads a second time from the cache alone', async () => {
    const files = [
      { fileIndex: 0, record: recordOf(PLAIN, 'none'), places: [server.url('/plain').href] },
      { fileIndex: 1, record: recordOf(PACKED, 'gzip'), places: [server.url('/packed.gz').href] },
    ];
    for (const alive of [true, false]) {
      if (!alive) await server.kill();
      const reader = await openReader({ cache: { folder, sizeBytesMax: 100 * MiB } });
      for (const file of files) reader.addFile(file);
      await readAll(reader, [...eventsOf(0), ...eventsOf(1)]);
    }
  });

  it('goes over to the second replica when the first dies half-way', async () => {
    const second = await FaultServer.start({ '/copy': PLAIN });
    try {
      const reader = await openReader();
      const places = [server.url('/plain').href, second.url('/copy').href];
      reader.addFile({ fileIndex: 0, record: recordOf(PLAIN, 'none'), places });
      await readAll(reader, eventsOf(0).slice(0, 200));
      await Promise.all([readAll(reader, eventsOf(0).slice(200)), server.kill()]);
    } finally {
      await second.kill();
    }
  });

  it('settles wrong bytes by the checksum of the event: fetched again, or failed alone', async () => {
    let lies = 2;
    server.faults = ({ range }) => {
      lies -= range === 'bytes=0-0' ? 0 : 1;
      return lies >= 0 && range !== 'bytes=0-0' ? [{ kind: 'wrong-bytes' }] : [];
    };
    const reader = await openReader();
    reader.addFile({ fileIndex: 0, record: recordOf(PLAIN, 'none'), places: [server.url('/plain').href] });
    const requests = eventsOf(0).map((request) => ({
      ...request,
      crc32: crc32(PLAIN.subarray(request.offsetBytes, request.offsetBytes + request.lengthBytes)),
    }));
    await readAll(reader, requests);
    const wrong = [{ ...requests[5], fileIndex: 0, offsetBytes: 5 * EVENT_BYTES, lengthBytes: EVENT_BYTES, crc32: 1 }];
    const data = await reader.read([...requests.slice(0, 5), ...wrong, ...requests.slice(6, 10)], never);
    expect(data.map((item) => (item instanceof Uint8Array ? 'bytes' : item.code))).toEqual(
      Array.from({ length: 10 }, (_, index) => (index === 5 ? 'SOURCE_CORRUPT' : 'bytes')),
    );
  });

  it('gives an error for the events of a file that changed, and reads the others', async () => {
    const reader = await openReader();
    server.files.set('/other', PLAIN);
    reader.addFile({ fileIndex: 0, record: recordOf(PLAIN, 'none'), places: [server.url('/plain').href] });
    reader.addFile({ fileIndex: 1, record: recordOf(PLAIN, 'none'), places: [server.url('/other').href] });
    await readAll(reader, eventsOf(0).slice(0, 1));
    server.files.set('/plain', content(PLAIN.length, 9));
    const data = await reader.read([...eventsOf(0).slice(1, 2), ...eventsOf(1).slice(0, 1)], never);
    expect(data[0]).toMatchObject({ code: 'SOURCE_CHANGED' });
    expect(data[1]).toBeInstanceOf(Uint8Array);
  });

  it('says that a source is gone, and reads it when it is back', async () => {
    const reader = await openReader({ remote: { ...IMPATIENT, patienceMs: 1200 } });
    reader.addFile({ fileIndex: 0, record: recordOf(PLAIN, 'none'), places: [server.url('/plain').href] });
    await readAll(reader, eventsOf(0).slice(0, 1));
    await server.kill();
    const [data] = await reader.read(eventsOf(0).slice(300, 301), never);
    expect(data).toMatchObject({ code: 'SOURCE_UNREACHABLE', exitCode: 75 });
    await server.revive();
    await readAll(reader, eventsOf(0).slice(300));
  });
});
