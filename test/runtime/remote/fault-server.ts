/** A real HTTP server with range requests and faults on demand: everything a bad network or server does to a client. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

export type Fault =
  | { readonly kind: 'latency'; readonly ms: number }
  /** answers when the promise resolves */
  | { readonly kind: 'hold'; readonly until: Promise<void> }
  | { readonly kind: 'bandwidth'; readonly bytesPerMs: number }
  | { readonly kind: 'cut'; readonly afterBytes: number }
  | { readonly kind: 'stall'; readonly afterBytes: number }
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter?: string }
  | { readonly kind: 'no-answer' }
  | { readonly kind: 'redirect'; readonly to: string; readonly status?: number }
  | { readonly kind: 'whole-body' }
  | { readonly kind: 'wrong-content-range' }
  | { readonly kind: 'wrong-bytes' }
  | { readonly kind: 'short-part' }
  | { readonly kind: 'header'; readonly name: string; readonly value: string | undefined };

/** What a request asked for, as a fault chooser sees it. `number` counts requests from 1. */
export interface SeenRequest {
  readonly number: number;
  readonly method: string;
  readonly path: string;
  readonly rangeCount: number;
  readonly range: string | undefined;
  readonly headers: IncomingMessage['headers'];
}

interface Range {
  readonly first: number;
  readonly last: number;
}

export class FaultServer {
  readonly files = new Map<string, Buffer>();
  readonly seen: SeenRequest[] = [];
  /** bytes of bodies given to sockets */
  sentBytes = 0;
  /** answers come from there instead of `files`; of the faults, those of whole answers and `wrong-bytes` apply */
  proxyTo: URL | undefined;
  /** chosen anew for each request */
  faults: (request: SeenRequest) => readonly Fault[] = () => [];
  readonly #etags = new WeakMap<Buffer, string>();
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;

  static async start(files: Readonly<Record<string, Buffer>> = {}): Promise<FaultServer> {
    const server = new FaultServer();
    for (const [path, bytes] of Object.entries(files)) server.files.set(path, bytes);
    await server.revive();
    return server;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  url(path: string): URL {
    return new URL(path, this.origin);
  }

  /** Listens (again), on the port it had. */
  async revive(): Promise<void> {
    const server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Dies: connections are cut and new ones refused. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', this.origin).pathname;
    const range = request.headers.range;
    const seen: SeenRequest = {
      number: this.seen.length + 1,
      method: request.method ?? '',
      path,
      range,
      rangeCount: range === undefined ? 0 : range.split(',').length,
      headers: request.headers,
    };
    this.seen.push(seen);
    const faults = new Map(this.faults(seen).map((fault) => [fault.kind, fault]));
    const get = <Kind extends Fault['kind']>(kind: Kind): Extract<Fault, { kind: Kind }> | undefined =>
      faults.get(kind) as Extract<Fault, { kind: Kind }> | undefined;
    await pause(get('latency')?.ms ?? 0);
    await get('hold')?.until;
    if (faults.has('no-answer')) {
      response.destroy();
      return;
    }
    const status = get('status');
    if (status !== undefined) {
      response.writeHead(status.status, status.retryAfter === undefined ? {} : { 'retry-after': status.retryAfter });
      response.end('no');
      return;
    }
    const redirect = get('redirect');
    if (redirect !== undefined) {
      response.writeHead(redirect.status ?? 302, { location: redirect.to }).end();
      return;
    }
    if (this.proxyTo !== undefined) {
      await forward(this.proxyTo, request, response, faults.has('wrong-bytes'));
      return;
    }
    const file = this.files.get(path);
    if (file === undefined) {
      response.writeHead(404).end('not here');
      return;
    }
    response.setHeader('etag', this.#etagOf(file));
    const body = this.#head(file, get('whole-body') === undefined ? range : undefined, response, faults);
    if (faults.has('wrong-bytes')) body[body.length >> 1] = (body[body.length >> 1] ?? 0) ^ 0xff;
    const header = get('header');
    if (header?.value !== undefined) response.setHeader(header.name, header.value);
    else if (header !== undefined) response.removeHeader(header.name);
    await this.#send(body, response, get('cut') ?? get('stall'), get('bandwidth')?.bytesPerMs);
  }

  #etagOf(file: Buffer): string {
    const known = this.#etags.get(file);
    if (known !== undefined) return known;
    const etag = `"${createHash('sha256').update(file).digest('hex').slice(0, 16)}"`;
    this.#etags.set(file, etag);
    return etag;
  }

  /** Sets status and headers, and returns a copy of the bytes to send. */
  #head(file: Buffer, range: string | undefined, response: ServerResponse, faults: ReadonlyMap<string, Fault>): Buffer {
    const ranges = range === undefined ? [] : parseRanges(range, file.length);
    if (range === undefined) {
      response.statusCode = 200;
      response.setHeader('content-length', file.length);
      return Buffer.from(file);
    }
    if (ranges.length === 0) {
      response.statusCode = 416;
      response.setHeader('content-range', `bytes */${file.length}`);
      return Buffer.alloc(0);
    }
    response.statusCode = 206;
    const shift = faults.has('wrong-content-range') ? 1 : 0;
    const contentRange = ({ first, last }: Range): string => `bytes ${first + shift}-${last + shift}/${file.length}`;
    const [only] = ranges;
    if (ranges.length === 1 && only !== undefined) {
      const body = Buffer.from(file.subarray(only.first, only.last + 1));
      response.setHeader('content-range', contentRange(only));
      response.setHeader('content-length', body.length);
      return body;
    }
    const boundary = 'granule_boundary';
    response.setHeader('content-type', `multipart/byteranges; boundary=${boundary}`);
    const pieces = ranges.flatMap((part, index) => [
      Buffer.from(`\r\n--${boundary}\r\nContent-Range: ${contentRange(part)}\r\n\r\n`),
      file.subarray(part.first, part.last + 1 - (faults.has('short-part') && index === 0 ? 1 : 0)),
    ]);
    const body = Buffer.concat([...pieces, Buffer.from(`\r\n--${boundary}--\r\n`)]);
    response.setHeader('content-length', body.length);
    return body;
  }

  async #send(
    body: Buffer,
    response: ServerResponse,
    end: { readonly kind: 'cut' | 'stall'; readonly afterBytes: number } | undefined,
    bytesPerMs: number | undefined,
  ): Promise<void> {
    const limit = end === undefined ? body.length : Math.min(body.length, end.afterBytes);
    const step = bytesPerMs === undefined ? 64 * 1024 : Math.ceil(bytesPerMs * 10);
    response.flushHeaders();
    if (response.req.method === 'HEAD') {
      response.end();
      return;
    }
    const closed = once(response, 'close');
    for (let at = 0; at < limit && !response.destroyed; at += step) {
      const chunk = body.subarray(at, Math.min(limit, at + step));
      this.sentBytes += chunk.length;
      if (!response.write(chunk)) await Promise.race([once(response, 'drain'), closed]);
      if (bytesPerMs !== undefined) await pause(10);
    }
    if (end === undefined) response.end();
    // Give what was written to the kernel before the cut.
    else if (end.kind === 'cut') setImmediate(() => response.destroy());
  }
}

async function forward(to: URL, request: IncomingMessage, response: ServerResponse, alter: boolean): Promise<void> {
  const { range, 'content-type': type } = request.headers;
  const answer = await fetch(new URL(request.url ?? '/', to), {
    method: request.method ?? 'GET',
    headers: { ...(range === undefined ? {} : { range }), ...(type === undefined ? {} : { 'content-type': type }) },
    body: request.method === 'POST' ? Buffer.concat(await request.toArray()) : null,
  });
  const body = Buffer.from(await answer.arrayBuffer());
  if (alter) body[body.length >> 1] = (body[body.length >> 1] ?? 0) ^ 1;
  for (const name of ['content-type', 'content-range', 'etag']) {
    const value = answer.headers.get(name);
    if (value !== null) response.setHeader(name, value);
  }
  response.writeHead(answer.status).end(body);
}

function once(response: ServerResponse, event: string): Promise<void> {
  return new Promise((resolve) => response.once(event, () => resolve()));
}

function parseRanges(header: string, sizeBytes: number): Range[] {
  return header
    .replace(/^bytes=/, '')
    .split(',')
    .map((text) => {
      const [first, last] = text.trim().split('-');
      return { first: Number(first), last: last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1) };
    })
    .filter(({ first, last }) => first <= last && first < sizeBytes);
}
