/** The disk cache: nothing wrong is ever served, the bound is kept, processes share it. */
import { mkdtemp, readdir, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../core/log.ts';
import { CachedSource } from '../../../runtime/remote/cached-source.ts';
import { addressKey, contentKey, DiskCache } from '../../../runtime/remote/disk-cache.ts';
import { HttpSource } from '../../../runtime/remote/http-source.ts';
import { FaultServer } from './fault-server.ts';
import { collect, content, createClient, never, scattered, slicesOf } from './remote-fixtures.ts';

const MiB = 1024 * 1024;
const KEEPS_NONE = Buffer.alloc(0);
const FILE = content(3_500_000);
const KEY = contentKey('ab'.repeat(32));

let folder: string;
let server: FaultServer;
let client: ReturnType<typeof createClient>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'granule-cache-'));
  server = await FaultServer.start({ '/f': FILE });
  client = createClient();
});

afterEach(async () => {
  await client.close();
  await server.kill();
  await rm(folder, { recursive: true });
});

function openCache(sizeBytesMax = 100 * MiB): Promise<DiskCache> {
  return DiskCache.open({ folder, sizeBytesMax }, silentLogger);
}

function cachedSource(cache: DiskCache, key = KEY): CachedSource {
  return new CachedSource(new HttpSource(client, server.url('/f')), cache.file(key), undefined);
}

async function pieces(): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function checkRanges(source: CachedSource, ranges: ReturnType<typeof scattered>): Promise<void> {
  const results = await source.readMany(ranges, never);
  const wanted = slicesOf(FILE, ranges);
  for (const [index, bytes] of results.entries()) expect(wanted[index]?.equals(bytes)).toBe(true);
}

describe('ranges', () => {
  it('are asked of the server once, by this process and the next', async () => {
    const ranges = scattered(50, 60_000, 10_000);
    await checkRanges(cachedSource(await openCache()), ranges);
    const asked = server.seen.length;
    await checkRanges(cachedSource(await openCache()), ranges.toReversed());
    const within = ranges.map(({ offsetBytes }) => ({ offsetBytes: offsetBytes + 500, lengthBytes: 1000 }));
    await checkRanges(cachedSource(await openCache()), within);
    expect(server.seen.length).toBe(asked);
  });

  it('that join up in the cache are served from several pieces, and what is missing is fetched', async () => {
    const source = cachedSource(await openCache());
    await checkRanges(source, [{ offsetBytes: 0, lengthBytes: 1000 }]);
    await checkRanges(source, [{ offsetBytes: 1000, lengthBytes: 2_500_000 }]);
    const asked = server.seen.length;
    await checkRanges(source, [{ offsetBytes: 500, lengthBytes: 2_000_000 }]);
    expect(server.seen.length).toBe(asked);
    await checkRanges(source, [{ offsetBytes: 2_400_000, lengthBytes: 200_000 }]);
    expect(server.seen.length).toBe(asked + 1);
  });

  it('another process has fetched meanwhile are found', async () => {
    const [first, second] = [cachedSource(await openCache()), cachedSource(await openCache())];
    await checkRanges(second, [{ offsetBytes: 0, lengthBytes: 10 }]);
    await checkRanges(first, [{ offsetBytes: 5000, lengthBytes: 10 }]);
    const asked = server.seen.length;
    await checkRanges(second, [{ offsetBytes: 5000, lengthBytes: 10 }]);
    expect(server.seen.length).toBe(asked);
  });
});

describe('streams', () => {
  it('fill the cache, and are served from it where it has something', async () => {
    const known = { sizeBytes: FILE.length, validator: undefined, checksums: [] };
    const source = new CachedSource(new HttpSource(client, server.url('/f')), (await openCache()).file(KEY), known);
    expect(FILE.equals(await collect(source.stream(0, never)))).toBe(true);
    const asked = server.seen.length;
    expect(FILE.subarray(777).equals(await collect(source.stream(777, never)))).toBe(true);
    await checkRanges(source, scattered(10, 300_000, 5));
    expect(server.seen.length).toBe(asked);
    const [victim = ''] = await pieces();
    await rm(victim);
    expect(FILE.equals(await collect(source.stream(0, never)))).toBe(true);
  });
});

describe('damage', () => {
  it.each<[string, (path: string) => Promise<void>]>([
    ['cut short', (path) => truncate(path, 100)],
    ['emptied', (path) => truncate(path, 0)],
    [
      'altered',
      async (path) => {
        const bytes = await readFile(path);
        bytes[50] = (bytes[50] ?? 0) ^ 1;
        await writeFile(path, bytes);
      },
    ],
    ['removed', (path) => rm(path)],
  ])('of a piece that was %s is noticed, and the piece fetched again', async (_what, harm) => {
    const ranges = scattered(5, 200_000, 1000);
    await checkRanges(cachedSource(await openCache()), ranges);
    for (const path of await pieces()) await harm(path);
    const source = cachedSource(await openCache());
    await checkRanges(source, ranges);
    const asked = server.seen.length;
    await checkRanges(source, ranges);
    expect(server.seen.length).toBe(asked);
  });

  it('of the cache itself is no reason to stop', async () => {
    const source = cachedSource(await openCache());
    await rm(folder, { recursive: true });
    await writeFile(folder, 'a file where the folder was');
    await checkRanges(source, scattered(5, 200_000, 1000));
    await rm(folder);
    folder = await mkdtemp(join(tmpdir(), 'granule-cache-'));
  });

  it('is not taken for one when another process gives the folder being filled the key of its content', async () => {
    const [cache, other] = [await openCache(), await openCache()];
    const address = addressKey('http://h/f', 'etag:"1"', FILE.length) ?? '';
    const file = cache.file(address);
    const write = (offset: number): Promise<void> => file.write(offset, [FILE.subarray(offset, offset + 10)]);
    let isFilling = true;
    const adopting = (async () => {
      for (let count = 0; isFilling; count += 1) await other.adopt(address, String(count).padStart(64, '0'));
    })();
    await Promise.all(Array.from({ length: 200 }, (_, index) => write(10 * index)));
    isFilling = false;
    await adopting;
    await write(5000);
    expect(
      FILE.subarray(5000, 5010).equals((await file.read({ offsetBytes: 5000, lengthBytes: 10 })) ?? KEEPS_NONE),
    ).toBe(true);
  });

  it('by a process that died leaves nothing behind for long', async () => {
    const source = cachedSource(await openCache());
    await checkRanges(source, scattered(1, 1, 1000));
    const leftover = `${(await pieces())[0]}.99.abc.tmp`;
    await writeFile(leftover, 'half');
    await utimes(leftover, 1, 1);
    await openCache();
    expect(await pieces()).not.toContain(leftover);
  });
});

describe('the bound', () => {
  it('is kept by removing what was not used for longest', async () => {
    const cache = await openCache(2 * MiB);
    const source = cachedSource(cache);
    const ranges = scattered(30, 110_000, 100_000);
    for (const range of ranges) {
      await checkRanges(source, [range]);
      for (const path of await pieces()) {
        const used = Number(/\/(\d+)-\d+-/.exec(path)?.[1]) / 1000;
        await utimes(path, used, used);
      }
      expect(cache.usedBytes).toBeLessThanOrEqual(2 * MiB);
    }
    const offsets = (await pieces()).map((path) => Number(/\/(\d+)-\d+-/.exec(path)?.[1]));
    expect(Math.min(...offsets)).toBeGreaterThan(900_000);
    expect((await openCache()).usedBytes).toBe(cache.usedBytes);
  });

  it('of zero keeps nothing', async () => {
    const source = cachedSource(await openCache(0));
    await checkRanges(source, scattered(3, 1000, 100));
    expect(await pieces()).toEqual([]);
  });
});

describe('keys', () => {
  it('of an address pass to the content once it is known', async () => {
    const cache = await openCache();
    const address = addressKey('http://h/f', 'etag:"1"', 10) ?? '';
    expect(addressKey('http://h/f', 'etag:"2"', 10)).not.toBe(address);
    expect(addressKey('http://h/f', undefined, 10)).toBeUndefined();
    await checkRanges(cachedSource(cache, address), scattered(1, 1, 1000));
    await cache.adopt(address, KEY);
    const asked = server.seen.length;
    await checkRanges(cachedSource(cache), scattered(1, 1, 1000));
    expect(server.seen.length).toBe(asked);
    const later = await openCache();
    await checkRanges(cachedSource(later, address), scattered(1, 1, 1000));
    expect(server.seen.length).toBe(asked);
    expect(later.usedBytes).toBe(1000);
    await later.adopt(address, KEY);
    await checkRanges(cachedSource(later, address), scattered(1, 1, 1000));
    await cache.adopt('cd'.repeat(32), KEY);
    expect(server.seen.length).toBe(asked);
    expect(await pieces()).toHaveLength(1);
  });
});
