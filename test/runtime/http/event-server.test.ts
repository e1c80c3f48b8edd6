/** The event server's routes, and granule as its client. */
import { truncate } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EVENT_BYTES_MAX } from '../../../core/limits.ts';
import { silentLogger } from '../../../core/log.ts';
import { tryToken } from '../../../core/token.ts';
import { buildEventServer, listenEventServer } from '../../../runtime/http/event-server.ts';
import { EventDataReader } from '../../../runtime/remote/event-data-reader.ts';
import { EVENT_PLACES_TYPE, encodePlaces, readEventFrames } from '../../../runtime/remote/event-frames.ts';
import { FaultServer } from '../remote/fault-server.ts';
import { failureOf, IMPATIENT, never } from '../remote/remote-fixtures.ts';
import { createServedFolder, type ServedFolder } from './event-server-fixture.ts';

let folder: ServedFolder;
let app: FastifyInstance;

beforeAll(async () => {
  folder = await createServedFolder(500, 300);
});

afterAll(() => folder.remove());

beforeEach(() => {
  app = buildEventServer({ index: folder.index, paths: folder.paths, token: undefined, log: silentLogger });
});

afterEach(() => app.close());

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function framesOf(payload: Uint8Array): Promise<{ position: number; text: string }[]> {
  const frames: { position: number; text: string }[] = [];
  for await (const { position, bytes } of readEventFrames(once(payload), 'test')) {
    frames.push({ position, text: Buffer.from(bytes).toString() });
  }
  return frames;
}

describe('lists and tokens', () => {
  it('lists files by page', async () => {
    const guids = [folder.plain.guid, folder.packed.guid].sort();
    const first = (await app.inject('/v1/files?limit=1')).json();
    expect(first).toMatchObject({ schema: 1, files: [{ guid: guids[0], events: 500 }], next: guids[0] });
    const second = (await app.inject(`/v1/files?limit=1&after=${guids[0]}`)).json();
    expect(second).toMatchObject({ files: [{ guid: guids[1] }], next: null });
  });

  it('gives the record of a file, its GUID written either way', async () => {
    const answer = await app.inject(`/v1/files/${folder.plain.guid.toLowerCase()}`);
    expect(answer.json()).toEqual({ schema: 1, ...folder.plain });
  });

  it("answers tokens of chosen positions, in POOL's form with the byte range", async () => {
    const answer = await app.inject(`/v1/files/${folder.plain.guid}/tokens?events=499-,3`);
    const lines = answer.body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ position }) => position)).toEqual([3, 499, 500]);
    const token = tryToken(lines[0].token);
    expect(token).toMatchObject({ guid: folder.plain.guid, row: 2 });
    const { offsetBytes = 0, lengthBytes = 0 } = token?.byteRange ?? {};
    expect(
      folder.content.subarray(offsetBytes, offsetBytes + lengthBytes).equals(folder.events[2] ?? Buffer.alloc(0)),
    ).toBe(true);
  });

  it('answers tokens by run and event number', async () => {
    const answer = await app.inject('/v1/tokens?run=7&events=20-30,5');
    const lines = answer.body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ event, position }) => [event, position])).toEqual([
      [20, 2],
      [20, 2],
      [30, 3],
      [30, 3],
    ]);
  });

  it.each([
    ['/v1/files/00000000-0000-8000-8000-000000000000', 404, 'EVENT_NOT_FOUND'],
    ['/v1/files/..%2Fetc', 404, 'EVENT_NOT_FOUND'],
    ['/v1/nothing', 404, 'EVENT_NOT_FOUND'],
    ['/v1/tokens?run=7&events=1-', 400, 'USAGE'],
    ['/v1/tokens?run=x&events=1', 400, 'USAGE'],
  ])('answers %s with an error object', async (url, status, code) => {
    const answer = await app.inject(url);
    expect(answer.statusCode).toBe(status);
    expect(answer.json()).toMatchObject({ schema: 1, error: { code } });
  });

  it('refuses positions that no file has, and texts that are none', async () => {
    const wrong = await app.inject(`/v1/files/${folder.plain.guid}/events?events=x`);
    expect([wrong.statusCode, wrong.json().error.code]).toEqual([400, 'USAGE']);
    const beyond = await app.inject(`/v1/files/${folder.plain.guid}/events?events=501`);
    expect([beyond.statusCode, beyond.json().error.code]).toEqual([404, 'EVENT_NOT_FOUND']);
  });
});

describe('events', () => {
  it.each(['plain', 'packed'] as const)('of a %s file are streamed with checksums, in order', async (name) => {
    const answer = await app.inject(`/v1/files/${folder[name].guid}/events?events=400-450,1,7`);
    const positions = [1, 7, ...Array.from({ length: 51 }, (_, at) => 400 + at)];
    expect(await framesOf(answer.rawPayload)).toEqual(
      positions.map((position) => ({ position, text: folder.events[position - 1]?.toString() })),
    );
    const all = await app.inject(`/v1/files/${folder[name].guid}/events`);
    expect(await framesOf(all.rawPayload)).toHaveLength(500);
  });

  it('that were cut or altered on the way are noticed', async () => {
    const { rawPayload } = await app.inject(`/v1/files/${folder.plain.guid}/events?events=1-3`);
    expect(await failureOf(framesOf(rawPayload.subarray(0, -1)))).toMatch(/^SOURCE_CORRUPT: .*cut/);
    const altered = Buffer.from(rawPayload);
    altered[100] = (altered[100] ?? 0) ^ 1;
    expect(await failureOf(framesOf(altered))).toMatch(/^SOURCE_CORRUPT: .*CRC/);
  });

  it('come as byte ranges too', async () => {
    const body = encodePlaces([
      { offsetBytes: 10, lengthBytes: 5 },
      { offsetBytes: 0, lengthBytes: 2 },
    ]);
    const headers = { 'content-type': EVENT_PLACES_TYPE };
    const url = `/v1/files/${folder.plain.guid}/ranges`;
    const answer = await app.inject({ method: 'POST', url, headers, body });
    expect(await framesOf(answer.rawPayload)).toEqual([
      { position: 1, text: folder.content.toString('latin1', 10, 15) },
      { position: 2, text: folder.content.toString('latin1', 0, 2) },
    ]);
    for (const wrong of [Buffer.alloc(5), encodePlaces([{ offsetBytes: 0, lengthBytes: 1e9 }])]) {
      expect((await app.inject({ method: 'POST', url, headers, body: wrong })).statusCode).toBe(400);
    }
  });

  it('come in ranges that fit into memory', async () => {
    const { guid } = folder.plain;
    const file = folder.index.files.get(guid);
    if (file === undefined) throw new Error('the folder has the file');
    folder.index.files.set(guid, { ...file, record: { ...file.record, sizeBytes: 2 ** 32 } });
    const body = encodePlaces([{ offsetBytes: 0, lengthBytes: EVENT_BYTES_MAX + 1 }]);
    const headers = { 'content-type': EVENT_PLACES_TYPE };
    const answer = await app.inject({ method: 'POST', url: `/v1/files/${guid}/ranges`, headers, body });
    folder.index.files.set(guid, file);
    expect([answer.statusCode, answer.json().error.message]).toEqual([
      400,
      expect.stringContaining('a range may have'),
    ]);
  });
});

describe('content', () => {
  it.each<[string | undefined, number, readonly [number, number] | undefined]>([
    [undefined, 200, [0, 0]],
    ['bytes=0-9', 206, [0, 10]],
    ['bytes=100-', 206, [100, 0]],
    ['bytes=-5', 206, [-5, 0]],
    ['bytes=9999999-', 416, undefined],
    ['items=1-2', 200, [0, 0]],
    ['bytes=5-1', 200, [0, 0]],
    ['bytes=0-,0-', 200, [0, 0]],
  ])('answers Range: %s', async (range, status, slice) => {
    const headers = range === undefined ? {} : { range };
    const answer = await app.inject({ url: `/v1/files/${folder.plain.guid}/content`, headers });
    expect(answer.statusCode).toBe(status);
    if (slice === undefined) return;
    const [from, to] = slice;
    expect(folder.content.subarray(from, to === 0 ? undefined : to).equals(answer.rawPayload)).toBe(true);
  });

  it('answers HEAD, If-None-Match and an outdated If-Range', async () => {
    const url = `/v1/files/${folder.plain.guid}/content`;
    const head = await app.inject({ method: 'HEAD', url });
    expect([head.headers['content-length'], head.rawPayload.length]).toEqual([String(folder.content.length), 0]);
    const etag = String(head.headers.etag);
    expect((await app.inject({ url, headers: { 'if-none-match': etag } })).statusCode).toBe(304);
    expect((await app.inject({ url, headers: { 'if-range': '"old"', range: 'bytes=0-1' } })).statusCode).toBe(200);
    expect((await app.inject({ url, headers: { 'if-range': etag, range: 'bytes=0-1' } })).statusCode).toBe(206);
  });

  it('is refused when the file is no longer the one that was indexed', async () => {
    const changed = await createServedFolder(10, 10);
    const server = buildEventServer({
      index: changed.index,
      paths: changed.paths,
      token: undefined,
      log: silentLogger,
    });
    await truncate(changed.paths.get(changed.plain.guid) ?? '', 5);
    const answer = await server.inject(`/v1/files/${changed.plain.guid}/content`);
    expect([answer.statusCode, answer.json().error.code]).toEqual([409, 'INPUT_CHANGED']);
    await server.close();
    await changed.remove();
  });
});

describe('access', () => {
  it('needs the token where one is set, and a token beyond this machine', async () => {
    const closed = buildEventServer({ index: folder.index, paths: folder.paths, token: 'secret', log: silentLogger });
    expect((await closed.inject('/v1/files')).statusCode).toBe(401);
    expect((await closed.inject({ url: '/v1/files', headers: { authorization: 'Bearer wrong' } })).statusCode).toBe(
      401,
    );
    expect((await closed.inject({ url: '/v1/files', headers: { authorization: 'Bearer secret' } })).statusCode).toBe(
      200,
    );
    const url = await listenEventServer(closed, { host: '0.0.0.0', port: 0, token: 'secret' });
    await closed.close();
    expect(new URL(url).hostname).toBe(hostname().toLowerCase());
    expect(await failureOf(listenEventServer(app, { host: '0.0.0.0', port: 0, token: undefined }))).toMatch(/^USAGE/);
  });
});

describe('granule as client', () => {
  async function readEvents(place: string, record: ServedFolder['plain'], token?: string): Promise<void> {
    const tokenEnvironment = token === undefined ? {} : { BEARER_TOKEN: token };
    const remote = { ...IMPATIENT, tokenEnvironment };
    const reader = await EventDataReader.open({ remote, prefetchBytesMax: 1 << 20, cache: undefined }, silentLogger);
    try {
      reader.addFile({ fileIndex: 0, record, places: [place] });
      const { offsets, lengths } = folder.index.lookupSpan(record.guid, 1, 500);
      const requests = [...offsets].map((offsetBytes, at) => ({
        fileIndex: 0,
        offsetBytes,
        lengthBytes: lengths[at] ?? 0,
      }));
      reader.plan(requests);
      const data = await reader.read(requests, never);
      for (const [at, bytes] of data.entries()) {
        if (!(bytes instanceof Uint8Array)) throw bytes;
        expect(folder.events[at]?.equals(bytes)).toBe(true);
      }
    } finally {
      await reader.close();
    }
  }

  it.each(['plain', 'packed'] as const)('reads a %s file by granule+http', async (name) => {
    const secured = buildEventServer({ index: folder.index, paths: folder.paths, token: 'secret', log: silentLogger });
    const address = await listenEventServer(secured, { host: '127.0.0.1', port: 0, token: 'secret' });
    await readEvents(`granule+${address}/${folder[name].guid}`, folder[name], 'secret');
    expect(await failureOf(readEvents(`granule+${address}/${folder[name].guid}`, folder[name]))).toMatch(
      /^SOURCE_REFUSED: .*401/,
    );
    await secured.close();
  });

  it('asks again for ranges that were altered on the way', async () => {
    const address = await listenEventServer(app, { host: '127.0.0.1', port: 0, token: undefined });
    const front = await FaultServer.start();
    let alterations = 1;
    front.proxyTo = new URL(address);
    front.faults = ({ path }) => (path.endsWith('/ranges') && alterations-- > 0 ? [{ kind: 'wrong-bytes' }] : []);
    await readEvents(`granule+${front.origin}/${folder.plain.guid}`, folder.plain);
    expect(alterations).toBeLessThan(0);
    await front.kill();
  });
});
