/** One file behind HTTP: ranges, the ladder, pinning, and one error per way of answering wrongly. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HttpClient } from '../../../runtime/remote/http-client.ts';
import { HttpSource } from '../../../runtime/remote/http-source.ts';
import { type Fault, FaultServer, type SeenRequest } from './fault-server.ts';
import { collect, content, createClient, failureOf, never, scattered, slicesOf } from './remote-fixtures.ts';

const FILE = content(1_000_000);
/** 60 pieces far enough apart not to be merged. */
const RANGES = scattered(60, 16_000, 100);

let server: FaultServer;
let client: HttpClient;
let source: HttpSource;

beforeEach(async () => {
  server = await FaultServer.start({ '/f': FILE });
  client = createClient();
  source = new HttpSource(client, server.url('/f'));
});

afterEach(async () => {
  await source.close();
  await client.close();
  await server.kill();
});

function afterOpen(faults: (request: SeenRequest) => readonly Fault[]): void {
  server.faults = (request) => (request.number === 1 ? [] : faults(request));
}

function bytesOf(results: readonly Uint8Array[]): Buffer[] {
  return results.map((bytes) => Buffer.from(bytes));
}

describe('reading ranges', () => {
  it('learns size, validator and checksums from one byte', async () => {
    server.faults = () => [{ kind: 'header', name: 'digest', value: 'adler32=03da0195, md5=1B2M2Y8AsgTpgAmY7PhCfg==' }];
    expect(await source.open(never)).toEqual({
      sizeBytes: FILE.length,
      validator: expect.stringMatching(/^etag:"/),
      checksums: [
        { algorithm: 'adler32', hex: '03da0195' },
        { algorithm: 'md5', hex: 'd41d8cd98f00b204e9800998ecf8427e' },
      ],
    });
  });

  it('asks for many ranges in one request, in any order, with overlaps and empty ones', async () => {
    const ranges = [...RANGES, { offsetBytes: 50, lengthBytes: 200 }, { offsetBytes: 7, lengthBytes: 0 }].reverse();
    expect(bytesOf(await source.readMany(ranges, never))).toEqual(slicesOf(FILE, ranges));
    expect(server.seen.map(({ rangeCount }) => rangeCount)).toEqual([1, 60]);
  });

  it('opens an empty file and a file of one byte', async () => {
    server.files.set('/empty', Buffer.alloc(0));
    server.files.set('/one', Buffer.from('x'));
    const empty = new HttpSource(client, server.url('/empty'));
    expect(await empty.open(never)).toMatchObject({ sizeBytes: 0 });
    expect(await collect(empty.stream(0, never))).toHaveLength(0);
    const one = new HttpSource(client, server.url('/one'));
    expect(Buffer.from(await one.read({ offsetBytes: 0, lengthBytes: 1 }, never)).toString()).toBe('x');
  });

  it('refuses ranges beyond the end without asking the server', async () => {
    const range = { offsetBytes: FILE.length - 1, lengthBytes: 2 };
    expect(await failureOf(source.read(range, never))).toMatch(/^SOURCE_CORRUPT: .*has 1000000 bytes/);
    expect(server.seen).toHaveLength(1);
  });

  it('streams from any offset and stops the transfer when the consumer stops', async () => {
    expect(FILE.equals(await collect(source.stream(0, never)))).toBe(true);
    expect(await collect(source.stream(999_000, never))).toEqual(FILE.subarray(999_000));
    server.sentBytes = 0;
    afterOpen(() => [{ kind: 'bandwidth', bytesPerMs: 100 }]);
    for await (const chunk of source.stream(0, never)) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    expect(server.sentBytes).toBeLessThan(FILE.length);
  });
});

describe('the ladder of ranges per request', () => {
  it.each([
    ['answers 200 with the whole file', [{ kind: 'whole-body' }]],
    ['answers 416', [{ kind: 'status', status: 416 }]],
    ['answers 400', [{ kind: 'status', status: 400 }]],
    ['sends a malformed multipart body', [{ kind: 'short-part' }]],
    ['sends parts other than asked for', [{ kind: 'wrong-content-range' }]],
  ] as const)('goes down, once and for all files of the host, when a server %s', async (_what, faults) => {
    afterOpen(({ rangeCount }) => (rangeCount > 20 ? faults : []));
    expect(bytesOf(await source.readMany(RANGES, never))).toEqual(slicesOf(FILE, RANGES));
    const other = new HttpSource(client, server.url('/f'));
    server.seen.length = 0;
    await other.readMany(RANGES, never);
    expect(server.seen.map(({ rangeCount }) => rangeCount)).toEqual([1, 20, 20, 20]);
  });

  it('ends at single ranges, with wide gaps closed', async () => {
    afterOpen(({ rangeCount }) => (rangeCount > 1 ? [{ kind: 'status', status: 416 }] : []));
    expect(bytesOf(await source.readMany(RANGES, never))).toEqual(slicesOf(FILE, RANGES));
    server.seen.length = 0;
    await source.readMany(RANGES, never);
    expect(server.seen.map(({ rangeCount }) => rangeCount)).toEqual([1]);
  });

  it('goes down after a connection that was cut under many ranges', async () => {
    afterOpen(({ rangeCount }) => (rangeCount > 1 ? [{ kind: 'no-answer' }] : []));
    for (let tries = 0; tries < 4; tries += 1) await source.readMany(RANGES, never).catch(() => undefined);
    expect(bytesOf(await source.readMany(RANGES, never))).toEqual(slicesOf(FILE, RANGES));
  });

  it('reads a server without ranges once, in order, cutting off bodies it did not ask for', async () => {
    server.faults = () => [{ kind: 'whole-body' }];
    const ranges = scattered(10, 100_000, 10_000);
    const halves = await Promise.all([
      source.readMany(ranges.slice(5), never),
      source.readMany(ranges.slice(0, 5), never),
    ]);
    expect(bytesOf([...halves[1], ...halves[0]])).toEqual(slicesOf(FILE, ranges));
    expect(server.seen.map(({ range }) => range)).toEqual(['bytes=0-0', undefined]);
    expect(Buffer.from(await source.read({ offsetBytes: 5, lengthBytes: 5 }, never))).toEqual(FILE.subarray(5, 10));
  });
});

describe('wrong answers', () => {
  const range = { offsetBytes: 1000, lengthBytes: 200_000 };

  it.each<[string, Fault, RegExp]>([
    ['a Content-Range other than asked for', { kind: 'wrong-content-range' }, /^SOURCE_C(ORRUPT|HANGED): /],
    ['a connection cut within the body', { kind: 'cut', afterBytes: 70_000 }, /^SOURCE_UNREACHABLE: .*cut/],
    ['a body that stalls', { kind: 'stall', afterBytes: 70_000 }, /^SOURCE_UNREACHABLE: .*stopped sending/],
    ['headers that never come', { kind: 'latency', ms: 5000 }, /^SOURCE_UNREACHABLE: .*silent/],
    ['500', { kind: 'status', status: 500 }, /^SOURCE_UNREACHABLE: .*500/],
    ['503', { kind: 'status', status: 503 }, /^SOURCE_UNREACHABLE: .*503/],
    ['429', { kind: 'status', status: 429, retryAfter: '7' }, /^SOURCE_UNREACHABLE: .*429/],
    ['404', { kind: 'status', status: 404 }, /^INPUT_NOT_FOUND: /],
    ['403', { kind: 'status', status: 403 }, /^SOURCE_REFUSED: .*403/],
    ['416 to a range that lies in the file', { kind: 'status', status: 416 }, /^SOURCE_REFUSED: .*416/],
    ['a redirect loop', { kind: 'redirect', to: '/f' }, /^SOURCE_UNREACHABLE: .*more than 5 redirects/],
    ['a redirect to something else', { kind: 'redirect', to: 'ftp://x/' }, /^SOURCE_UNREACHABLE: .*not http/],
    ['another entity tag', { kind: 'header', name: 'etag', value: '"other"' }, /^SOURCE_CHANGED: .*validator/],
  ])('tell %s', async (_what, fault, failure) => {
    afterOpen(() => [fault]);
    expect(await failureOf(source.read(range, never))).toMatch(failure);
    expect(await failureOf(collect(source.stream(1000, never)))).toMatch(failure);
  });

  it("pass the server's wish for a pause on", async () => {
    server.faults = () => [{ kind: 'status', status: 503, retryAfter: '7' }];
    await expect(source.open(never)).rejects.toMatchObject({ details: { retryAfterMs: 7000 } });
  });

  it('notice a file that was replaced by another of equal or other size', async () => {
    await source.open(never);
    server.files.set('/f', content(FILE.length, 2));
    expect(await failureOf(source.read(range, never))).toMatch(/^SOURCE_CHANGED/);
    server.files.set('/f', FILE.subarray(0, 500));
    expect(await failureOf(source.read(range, never))).toMatch(/^SOURCE_CHANGED: .*1000000 bytes and now has 500/);
  });

  it('say that a host name is unknown or a port closed', async () => {
    const nowhere = new HttpSource(client, new URL('http://no-such-host.invalid/f'));
    expect(await failureOf(nowhere.open(never))).toMatch(/^SOURCE_UNREACHABLE: .*host name/);
    await server.kill();
    expect(await failureOf(source.open(never))).toMatch(/^SOURCE_UNREACHABLE: .*refused/);
  });

  it('end at once when the caller gives up', async () => {
    await source.open(never);
    afterOpen(() => [{ kind: 'stall', afterBytes: 10 }]);
    const abort = new AbortController();
    const reading = source.read(range, abort.signal);
    abort.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
  });
});

describe('redirects', () => {
  it('are followed once and then remembered, until the target is gone', async () => {
    server.files.set('/pool/f', FILE);
    server.faults = ({ path }) => (path === '/f' ? [{ kind: 'redirect', to: '/pool/f', status: 307 }] : []);
    const range = { offsetBytes: 10, lengthBytes: 10 };
    for (let count = 0; count < 3; count += 1) await source.read(range, never);
    expect(server.seen.map(({ path }) => path)).toEqual(['/f', '/pool/f', '/pool/f', '/pool/f', '/pool/f']);
    server.files.set('/pool2/f', FILE);
    server.faults = ({ path }) => {
      if (path === '/f') return [{ kind: 'redirect', to: '/pool2/f' }];
      return path === '/pool/f' ? [{ kind: 'status', status: 404 }] : [];
    };
    expect(Buffer.from(await source.read(range, never))).toEqual(FILE.subarray(10, 20));
  });
});

describe('a file of known size', () => {
  function known(expectedSizeBytes: number): HttpSource {
    return new HttpSource(client, server.url('/f'), { expectedSizeBytes });
  }

  it('is read without a request to open it, and pinned by its first answer', async () => {
    const file = known(FILE.length);
    expect(bytesOf(await file.readMany(RANGES, never))).toEqual(slicesOf(FILE, RANGES));
    expect(server.seen.map(({ rangeCount }) => rangeCount)).toEqual([60]);
    server.files.set('/f', content(FILE.length, 3));
    expect(await failureOf(file.readMany(RANGES, never))).toMatch(/^SOURCE_CHANGED/);
  });

  it('that has another size is told as such', async () => {
    expect(await failureOf(known(FILE.length + 1).readMany(RANGES, never))).toMatch(/^SOURCE_DIFFERS: .*1000001/);
    expect(await failureOf(known(10).open(never))).toMatch(/^SOURCE_DIFFERS/);
  });

  it('on a server without ranges is read in one pass', async () => {
    server.faults = () => [{ kind: 'whole-body' }];
    expect(bytesOf(await known(FILE.length).readMany(RANGES, never))).toEqual(slicesOf(FILE, RANGES));
  });
});
