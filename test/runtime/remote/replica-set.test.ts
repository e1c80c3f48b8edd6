/** Several replicas of one file: the best is used, the failing are left, the differing are named. */
import { setMaxListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HttpClient } from '../../../runtime/remote/http-client.ts';
import { type Fault, FaultServer } from './fault-server.ts';
import { collect, content, createClient, createSet, failureOf, never, scattered, slicesOf } from './remote-fixtures.ts';

const FILE = content(2_000_000);
const RANGES = scattered(40, 50_000, 3_000);

let first: FaultServer;
let second: FaultServer;
let client: HttpClient;

beforeEach(async () => {
  first = await FaultServer.start({ '/f': FILE });
  second = await FaultServer.start({ '/f': FILE });
  client = createClient();
});

afterEach(async () => {
  await client.close();
  await Promise.all([first.kill(), second.kill()]);
});

function both(expected = {}, patienceMs = 3000): ReturnType<typeof createSet> {
  return createSet(client, [first.url('/f'), second.url('/f')], expected, patienceMs);
}

/** A fault with the given probability, the same for each run. */
function sometimes(probability: number, fault: (uniform: number) => Fault): FaultServer['faults'] {
  let state = 1;
  const uniform = (): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state / 2 ** 32;
  };
  return () => (uniform() < probability ? [fault(uniform())] : []);
}

async function readsAll(set: ReturnType<typeof createSet>): Promise<void> {
  for (const range of RANGES) {
    const [bytes] = await set.readMany([range], never);
    expect(
      FILE.subarray(range.offsetBytes, range.offsetBytes + range.lengthBytes).equals(bytes ?? Buffer.alloc(0)),
    ).toBe(true);
  }
}

describe('one place', () => {
  it.each<[string, FaultServer['faults']]>([
    [
      'connections cut at random bytes',
      sometimes(0.3, (uniform) => ({ kind: 'cut', afterBytes: Math.floor(uniform * 3000) })),
    ],
    ['500', sometimes(0.3, () => ({ kind: 'status', status: 500 }))],
    ['503 with Retry-After', sometimes(0.3, () => ({ kind: 'status', status: 503, retryAfter: '0' }))],
    ['429 with Retry-After', sometimes(0.3, () => ({ kind: 'status', status: 429, retryAfter: '0' }))],
    [
      'wrong Content-Range',
      sometimes(0.2, () => ({ kind: 'header', name: 'content-range', value: 'bytes 1-2/2000000' })),
    ],
    ['latency', sometimes(0.3, () => ({ kind: 'latency', ms: 10 }))],
    ['a slow line', () => [{ kind: 'bandwidth', bytesPerMs: 5000 }]],
  ])('is read to the end through %s', async (_what, faults) => {
    first.faults = faults;
    const set = createSet(client, [first.url('/f')]);
    await readsAll(set);
    expect(FILE.equals(await collect(set.stream(0, never)))).toBe(true);
  });

  it('is waited for while it is down, and read on where the stream broke', async () => {
    const set = createSet(client, [first.url('/f')]);
    first.faults = ({ number }) => (number < 4 ? [{ kind: 'bandwidth', bytesPerMs: 20_000 }] : []);
    let received = 0;
    for await (const chunk of set.stream(0, never)) {
      if (received === 0) {
        await first.kill();
        void Promise.resolve().then(() => first.revive());
      }
      expect(FILE.subarray(received, received + chunk.length).equals(chunk)).toBe(true);
      received += chunk.length;
    }
    expect(received).toBe(FILE.length);
  });

  it('that never comes back ends with SOURCE_UNREACHABLE after the patience', async () => {
    const set = createSet(client, [first.url('/f')], {}, 300);
    await set.open(never);
    await first.kill();
    expect(await failureOf(set.readMany(RANGES, never))).toMatch(
      /^SOURCE_UNREACHABLE: events.hepmc cannot be read: http/,
    );
    await first.revive();
    await readsAll(set);
  });

  it.each<[string, Fault, RegExp]>([
    ['404', { kind: 'status', status: 404 }, /^INPUT_NOT_FOUND/],
    ['403', { kind: 'status', status: 403 }, /^SOURCE_REFUSED/],
    ['a redirect loop', { kind: 'redirect', to: '/f' }, /^SOURCE_UNREACHABLE: .*redirects/],
  ])('that answers %s is given up at once', async (_what, fault, failure) => {
    first.faults = () => [fault];
    const set = createSet(client, [first.url('/f')]);
    expect(await failureOf(set.open(never))).toMatch(failure);
  });

  it('that changes during the run is an error', async () => {
    const set = createSet(client, [first.url('/f')]);
    await set.open(never);
    first.files.set('/f', content(FILE.length, 5));
    expect(await failureOf(set.readMany(RANGES, never))).toMatch(/^SOURCE_CHANGED/);
  });

  it('ends at once when the caller gives up, also while it waits', async () => {
    const set = createSet(client, [first.url('/f')]);
    await set.open(never);
    first.faults = () => [{ kind: 'status', status: 503, retryAfter: '2' }];
    const abort = new AbortController();
    const reading = set.readMany(RANGES, abort.signal);
    await expect.poll(() => first.seen.length).toBeGreaterThan(1);
    abort.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
  });
});

describe('two replicas', () => {
  it('share no word of a server that dies half-way with the reader', async () => {
    const set = both();
    await set.open(never);
    const seen = (): number => first.seen.length + second.seen.length;
    const abort = new AbortController();
    setMaxListeners(0, abort.signal);
    for (const [index, range] of RANGES.entries()) {
      if (index === 20) await first.kill();
      const [bytes] = await set.readMany([range], abort.signal);
      expect(slicesOf(FILE, [range])[0]?.equals(bytes ?? Buffer.alloc(0))).toBe(true);
    }
    expect(seen()).toBeGreaterThan(40);
  });

  it('move a stream to the second where the first was cut', async () => {
    first.faults = () => [{ kind: 'cut', afterBytes: 300_000 }];
    second.faults = ({ number }) => (number === 1 ? [{ kind: 'latency', ms: 50 }] : []);
    expect(FILE.equals(await collect(both().stream(0, never)))).toBe(true);
  });

  it('hold a stream to what the first said of the file, though the second could not be asked then', async () => {
    first.faults = ({ number }) => {
      if (number === 2) return [{ kind: 'cut', afterBytes: 300_000 }];
      return number > 2 && second.seen.length === 1 ? [{ kind: 'status', status: 503 }] : [];
    };
    second.faults = ({ number }) => (number === 1 ? [{ kind: 'status', status: 500 }] : []);
    const set = both();
    await set.open(never);
    second.files.set('/f', content(FILE.length + 1, 9));
    expect(FILE.equals(await collect(set.stream(0, never)))).toBe(true);
    expect(second.seen.length).toBe(2);
  });

  it('are opened as soon as one of them answers, when their size is known', async () => {
    first.faults = () => [{ kind: 'no-answer' }];
    const set = both({ sizeBytes: FILE.length });
    expect(await set.open(never)).toMatchObject({ sizeBytes: FILE.length });
    expect(first.seen.length).toBe(1);
    await set.close();
  });

  it('are chosen by what they were measured to take', async () => {
    first.faults = () => [{ kind: 'latency', ms: 40 }];
    const set = both({ sizeBytes: FILE.length });
    await readsAll(set);
    expect(second.seen.length).toBeGreaterThan(5 * first.seen.length);
  });

  it('that differ in size are an error naming both, when nothing tells which is right', async () => {
    second.files.set('/f', FILE.subarray(0, 1000));
    const failure = await failureOf(both().open(never));
    expect(failure).toMatch(/^SOURCE_DIFFERS: events.hepmc: /);
    expect(failure).toContain(`${second.origin}/f`);
    expect(failure).toContain(`${first.origin}/f`);
    expect(failure).toContain('1000 bytes');
  });

  it('that differ in checksum are an error', async () => {
    first.faults = () => [{ kind: 'header', name: 'digest', value: 'adler32=00000001' }];
    second.faults = () => [{ kind: 'header', name: 'digest', value: 'adler32=00000002' }];
    expect(await failureOf(both().open(never))).toMatch(/^SOURCE_DIFFERS: .*adler32/);
  });

  it('lose the one that differs from what is known of the file', async () => {
    first.files.set('/f', FILE.subarray(0, 1000));
    await readsAll(both({ sizeBytes: FILE.length }));
  });

  it('go on without the one that changed, and fail when both did', async () => {
    const set = both();
    await set.open(never);
    first.files.set('/f', content(FILE.length, 7));
    await readsAll(set);
    second.files.set('/f', content(FILE.length, 8));
    const failure = failureOf(Promise.all(RANGES.map((range) => set.readMany([range], never))));
    expect(await failure).toMatch(/^SOURCE_CHANGED/);
  });

  it("both gone end with SOURCE_UNREACHABLE, giving each one's reason", async () => {
    first.faults = () => [{ kind: 'status', status: 404 }];
    await second.kill();
    const set = both({}, 200);
    await expect(set.open(never)).rejects.toMatchObject({
      code: 'SOURCE_UNREACHABLE',
      exitCode: 75,
      details: {
        reasons: expect.arrayContaining([expect.stringContaining('404'), expect.stringContaining('refused')]),
      },
    });
  });
});
