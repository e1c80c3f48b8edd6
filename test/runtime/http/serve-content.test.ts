/** The content route over real connections, where answers share buffers and clients are slow or go away. */
import { once } from 'node:events';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../core/log.ts';
import { buildEventServer, listenEventServer } from '../../../runtime/http/event-server.ts';
import { createServedFolder, type ServedFolder } from './event-server-fixture.ts';

const RANGE_BYTES = 100_000;

let folder: ServedFolder;
let app: FastifyInstance;
let address: URL;

beforeAll(async () => {
  folder = await createServedFolder(200, 50_000);
  app = buildEventServer({ index: folder.index, paths: folder.paths, token: undefined, log: silentLogger });
  address = new URL(await listenEventServer(app, { host: '127.0.0.1', port: 0, token: undefined }));
});

afterAll(async () => {
  await app.close();
  await folder.remove();
});

function pathOf(guid = folder.plain.guid): string {
  return `/v1/files/${guid}/content`;
}

function head(method: string, first: number): string {
  const range = `bytes=${first}-${first + RANGE_BYTES - 1}`;
  return `${method} ${pathOf()} HTTP/1.1\r\nHost: localhost\r\nRange: ${range}\r\n\r\n`;
}

async function connected(): Promise<Socket> {
  const socket = connect(Number(address.port), '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

/** Bodies of so many answers that all have the length of a range. */
async function readBodies(socket: Socket, count: number): Promise<Buffer[]> {
  const bodies: Buffer[] = [];
  let bytes = Buffer.alloc(0);
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk as Buffer]);
    for (;;) {
      const end = bytes.indexOf('\r\n\r\n') + 4;
      if (end < 4 || bytes.length < end + RANGE_BYTES) break;
      expect(bytes.subarray(0, end).toString('latin1')).toMatch(/^HTTP\/1\.1 206 .*content-length: 100000\r\n/s);
      bodies.push(bytes.subarray(end, end + RANGE_BYTES));
      bytes = bytes.subarray(end + RANGE_BYTES);
    }
    if (bodies.length === count) return bodies;
  }
  throw new Error(`the connection ended after ${bodies.length} of ${count} answers`);
}

/** Places that begin in another event each. */
const places = Array.from({ length: 200 }, (_, index) => ((index * 37) % 190) * 50_000 + index);

describe('content over a connection', () => {
  it('is right for each of many requests sent at once, which the client is slow to read', async () => {
    const served: Socket[] = [];
    const note = (socket: Socket): number => served.push(socket);
    app.server.on('connection', note);
    const sockets = await Promise.all([connected(), connected(), connected()]);
    app.server.off('connection', note);
    for (const socket of sockets) socket.write(places.map((first) => head('GET', first)).join(''));
    // Nobody reads until answers have filled the buffers of the system, and others wait with the server.
    while (served.some((socket) => socket.writableLength === 0)) await setImmediate();
    const all = await Promise.all(sockets.map((socket) => readBodies(socket, places.length)));
    for (const bodies of all) {
      for (const [index, body] of bodies.entries()) {
        const first = places[index] ?? 0;
        expect(body.equals(folder.content.subarray(first, first + RANGE_BYTES))).toBe(true);
      }
    }
  });

  it('goes on for others when clients go away in the middle', async () => {
    for (let round = 0; round < 20; round += 1) {
      const leaving = await connected();
      leaving.write(head('GET', 0) + head('GET', RANGE_BYTES));
      await once(leaving, 'readable');
      leaving.resetAndDestroy();
    }
    const staying = await connected();
    staying.write(head('GET', 123));
    const [body] = await readBodies(staying, 1);
    expect(body?.equals(folder.content.subarray(123, 123 + RANGE_BYTES))).toBe(true);
  });

  it('has the headers of its range, and none of its bytes for HEAD', async () => {
    const asked = request(new URL(pathOf(), address), { method: 'HEAD', headers: { range: 'bytes=10-19' } });
    asked.end();
    const [answer] = await once(asked, 'response');
    expect(answer.statusCode).toBe(206);
    expect(answer.headers).toMatchObject({
      etag: `"${folder.plain.sha256}"`,
      'accept-ranges': 'bytes',
      'content-type': 'application/octet-stream',
      'content-range': `bytes 10-19/${folder.content.length}`,
      'content-length': '10',
      'repr-digest': `sha-256=:${Buffer.from(folder.plain.sha256, 'hex').toString('base64')}:`,
    });
    answer.resume();
    await once(answer, 'end');
  });

  it('comes in several parts, or not at all where there is nothing of the range', async () => {
    const url = new URL(pathOf(), address);
    const parts = await fetch(url, { headers: { range: 'bytes=0-9,50000-50009' } });
    expect(parts.headers.get('content-type')).toMatch(/^multipart\/byteranges; boundary=/);
    const text = await parts.text();
    expect(text).toContain(folder.content.toString('latin1', 50_000, 50_010));
    expect(Number(parts.headers.get('content-length'))).toBe(text.length);
    const beyond = await fetch(url, { headers: { range: `bytes=${folder.content.length}-` } });
    expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, `bytes */${folder.content.length}`]);
  });
});
