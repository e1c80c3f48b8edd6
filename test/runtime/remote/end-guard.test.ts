import { createServer, type Server } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { systemClock } from '../../../core/clock.ts';
import { HttpClient } from '../../../runtime/remote/http-client.ts';
import { REMOTE_DEFAULTS } from '../../../runtime/remote/remote-options.ts';

const BODY = Buffer.alloc(64 * 1024, 'a');
let server: Server | undefined;
afterEach(
  () => new Promise<void>((resolve) => (server === undefined ? resolve() : void server.close(() => resolve()))),
);

it('survives a server that closes the connection while the body waits to be read', async () => {
  const closed = new Promise<void>((resolve) => {
    server = createServer((socket) => {
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${BODY.length}\r\nConnection: close\r\n\r\n`);
        socket.end(BODY, () => resolve());
      });
    });
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const address = server?.address();
  if (typeof address !== 'object' || address === null) throw new Error('the server listens on a port');
  const client = new HttpClient(REMOTE_DEFAULTS, systemClock);
  const { signal } = new AbortController();
  const url = new URL(`http://127.0.0.1:${address.port}/`);
  const answer = await client.send({ url, headers: {}, signal });
  await closed;
  // The end of the connection has arrived by the time a further round trip through the event loop is over.
  await new Promise((resolve) => setTimeout(resolve, 50));
  const chunks: Buffer[] = [];
  for await (const chunk of answer.body) chunks.push(chunk as Buffer);
  expect(Buffer.concat(chunks).equals(BODY)).toBe(true);
  await client.close();
});
