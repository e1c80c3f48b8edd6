/** Ranges out of what can only be read in order: inflated streams. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ByteRange } from '../../../runtime/remote/byte-source.ts';
import { InflatedSource } from '../../../runtime/remote/inflated-source.ts';
import { LocalSource } from '../../../runtime/remote/local-source.ts';
import { SequentialReader } from '../../../runtime/remote/sequential-reader.ts';
import { collect, content, failureOf, never, slicesOf } from './remote-fixtures.ts';

const FILE = content(700_000).map((byte) => byte & 7);
const BYTES = Buffer.from(FILE);
let folder: string;
let path: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'granule-inflate-'));
  path = join(folder, 'events.gz');
  // Two members, as `cat a.gz b.gz` makes them.
  await writeFile(path, Buffer.concat([gzipSync(BYTES.subarray(0, 300_000)), gzipSync(BYTES.subarray(300_000))]));
});

afterAll(() => rm(folder, { recursive: true }));

function chunked(bytes: Buffer, chunkBytes: number, opened: () => void): () => AsyncGenerator<Uint8Array> {
  return async function* stream() {
    opened();
    for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
  };
}

describe('SequentialReader', () => {
  it('gives every range exactly, in whatever order and company it is asked for', async () => {
    const bytes = BYTES.subarray(0, 5000);
    const range = fc
      .tuple(fc.integer({ min: 0, max: 4999 }), fc.integer({ min: 0, max: 600 }))
      .map(([offsetBytes, length]) => ({ offsetBytes, lengthBytes: Math.min(length, 5000 - offsetBytes) }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(range, { maxLength: 8 }), { maxLength: 8 }),
        fc.integer({ min: 1, max: 3000 }),
        fc.boolean(),
        async (batches, chunkBytes, together) => {
          const reader = new SequentialReader(
            'test',
            chunked(bytes, chunkBytes, () => undefined),
          );
          const check = async (ranges: readonly ByteRange[]): Promise<void> => {
            const results = await reader.readMany(ranges, never);
            expect(results.map((result) => Buffer.from(result))).toEqual(slicesOf(bytes, ranges));
          };
          if (together) await Promise.all(batches.map(check));
          else for (const batch of batches) await check(batch);
          await reader.close(new Error('closed'));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('makes one pass for ranges in order, and does not lose its place for one that lies behind', async () => {
    let passes = 0;
    const reader = new SequentialReader(
      'test',
      chunked(BYTES, 1000, () => {
        passes += 1;
      }),
    );
    for (let at = 0; at < 500_000; at += 10_000)
      await reader.readMany([{ offsetBytes: at, lengthBytes: 10_000 }], never);
    expect(passes).toBe(1);
    await reader.readMany([{ offsetBytes: 5, lengthBytes: 5 }], never);
    expect(passes).toBe(2);
    await reader.readMany([{ offsetBytes: 500_000, lengthBytes: 5 }], never);
    expect(passes).toBe(2);
    await reader.close(new Error('closed'));
  });

  it('does not read on for a range that was given up', async () => {
    let chunks = 0;
    const reader = new SequentialReader('test', async function* counted() {
      for (let at = 0; at < BYTES.length; at += 1000) {
        chunks += 1;
        yield BYTES.subarray(at, at + 1000);
      }
    });
    const abort = new AbortController();
    const givenUp = reader.readMany([{ offsetBytes: 600_000, lengthBytes: 10 }], abort.signal);
    abort.abort(new Error('enough'));
    await expect(givenUp).rejects.toThrow('enough');
    await reader.readMany([{ offsetBytes: 0, lengthBytes: 10 }], never);
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    expect(chunks).toBeLessThan(3);
    await reader.close(new Error('closed'));
  });

  it('fails what is wanted beyond the end, and what waits when it is closed or given up', async () => {
    const reader = new SequentialReader(
      'test',
      chunked(BYTES, 1000, () => undefined),
    );
    const beyond = reader.readMany([{ offsetBytes: BYTES.length - 1, lengthBytes: 2 }], never);
    expect(await failureOf(beyond)).toMatch(/^SOURCE_CORRUPT: test ends at byte 700000/);
    const stuck = new SequentialReader('test', async function* stuck(signal) {
      yield BYTES.subarray(0, 10);
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    });
    const abort = new AbortController();
    const givenUp = stuck.readMany([{ offsetBytes: 20, lengthBytes: 1 }], abort.signal);
    abort.abort(new Error('enough'));
    await expect(givenUp).rejects.toThrow('enough');
    const closed = stuck.readMany([{ offsetBytes: 20, lengthBytes: 1 }], never);
    await Promise.all([expect(closed).rejects.toThrow('closed'), stuck.close(new Error('closed'))]);
  });
});

describe('InflatedSource', () => {
  it('serves ranges of the inflated bytes of all members of a gzip file', async () => {
    const source = new InflatedSource(new LocalSource(path));
    const ranges = [
      { offsetBytes: 299_990, lengthBytes: 20 },
      { offsetBytes: 0, lengthBytes: 100_000 },
      { offsetBytes: 699_999, lengthBytes: 1 },
    ];
    const results = await source.readMany(ranges, never);
    expect(results.map((bytes) => Buffer.from(bytes))).toEqual(slicesOf(BYTES, ranges));
    expect(BYTES.subarray(123_456).equals(await collect(source.stream(123_456, never)))).toBe(true);
    await source.close();
  });

  it('names a file that is cut, damaged or not gzip', async () => {
    const whole = gzipSync(content(50_000));
    const cut = join(folder, 'cut.gz');
    await writeFile(cut, whole.subarray(0, 20_000));
    const truncated = new InflatedSource(new LocalSource(cut));
    expect(await failureOf(collect(truncated.stream(0, never)))).toMatch(/^INPUT_TRUNCATED: .*cut.gz/);
    await truncated.close();
    const damaged = join(folder, 'damaged.gz');
    await writeFile(damaged, Buffer.concat([whole.subarray(0, 20_000), Buffer.alloc(100), whole.subarray(20_100)]));
    const broken = new InflatedSource(new LocalSource(damaged));
    expect(await failureOf(broken.read({ offsetBytes: 0, lengthBytes: 50_000 }, never))).toMatch(
      /^INPUT_MALFORMED: .*damaged.gz/,
    );
    await broken.close();
    const folderItself = new LocalSource(folder);
    expect(await failureOf(folderItself.read({ offsetBytes: 0, lengthBytes: 1 }, never))).toMatch(/^INPUT_UNREADABLE/);
    await folderItself.close();
    const missing = new InflatedSource(new LocalSource(join(folder, 'missing.gz')));
    expect(await failureOf(missing.read({ offsetBytes: 0, lengthBytes: 1 }, never))).toMatch(
      /^INPUT_NOT_FOUND: .*missing.gz/,
    );
    await missing.close();
  });
});
