/** Entry of the far server's process: see `far-server.ts`. */
import { createReadStream, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { FromFarServer, SentCounts, ToFarServer } from './far-server.ts';

const READ_BYTES = 1024 * 1024;

let counts: SentCounts = { requestCount: 0, rangeBytes: 0, wholeBytes: 0 };
const seen = new WeakSet<Socket>();

interface Stretch {
  readonly first: number;
  readonly last: number;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { folder, roundTripMs }: { readonly folder: string; readonly roundTripMs: number },
): Promise<void> {
  const roundTrips = seen.has(request.socket) ? 1 : 2;
  seen.add(request.socket);
  await delay(roundTrips * roundTripMs);
  const path = join(folder, (request.url ?? '/').slice(1));
  const { size, mtimeMs } = statSync(path);
  const stretches = stretchesOf(request.headers.range, size);
  const isWhole = request.headers.range === undefined;
  response.setHeader('etag', `"${size}-${mtimeMs}"`);
  const pieces = isWhole ? [{ head: '', stretch: { first: 0, last: size - 1 } }] : withHeads(stretches, size, response);
  const bytes = pieces.reduce((sum, { head, stretch }) => sum + head.length + stretch.last - stretch.first + 1, 0);
  response.writeHead(isWhole ? 200 : 206, { 'content-length': bytes });
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const { requestCount, rangeBytes, wholeBytes } = counts;
  counts = {
    requestCount: requestCount + 1,
    rangeBytes: rangeBytes + (isWhole ? 0 : bytes),
    wholeBytes: wholeBytes + (isWhole ? bytes : 0),
  };
  for (const { head, stretch } of pieces) {
    response.write(head);
    if (stretch.last < stretch.first) continue;
    const stream = createReadStream(path, { start: stretch.first, end: stretch.last, highWaterMark: READ_BYTES });
    await pipeline(stream, response, { end: false });
  }
  response.end();
}

function stretchesOf(header: string | undefined, sizeBytes: number): Stretch[] {
  return (header ?? '')
    .replace(/^bytes=/, '')
    .split(',')
    .map((text) => {
      const [first, last] = text.split('-');
      return { first: Number(first), last: last === '' ? sizeBytes - 1 : Number(last) };
    });
}

/** Several stretches become a multipart body, its end an empty stretch. */
function withHeads(
  stretches: readonly Stretch[],
  sizeBytes: number,
  response: ServerResponse,
): { readonly head: string; readonly stretch: Stretch }[] {
  const [only] = stretches;
  if (stretches.length === 1 && only !== undefined) {
    response.setHeader('content-range', `bytes ${only.first}-${only.last}/${sizeBytes}`);
    return [{ head: '', stretch: only }];
  }
  response.setHeader('content-type', 'multipart/byteranges; boundary=far');
  const parts = stretches.map((stretch) => ({
    head: `\r\n--far\r\nContent-Range: bytes ${stretch.first}-${stretch.last}/${sizeBytes}\r\n\r\n`,
    stretch,
  }));
  return [...parts, { head: '\r\n--far--\r\n', stretch: { first: 0, last: -1 } }];
}

function send(message: FromFarServer): void {
  process.send?.(message);
}

process.on('message', (message: ToFarServer) => {
  if (message.kind === 'counts') {
    send({ kind: 'counts', ...counts });
    counts = { requestCount: 0, rangeBytes: 0, wholeBytes: 0 };
    return;
  }
  const server = createServer((request, response) => {
    answer(request, response, message).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1', () => send({ kind: 'listening', port: (server.address() as AddressInfo).port }));
});
process.once('disconnect', () => process.exit(0));
