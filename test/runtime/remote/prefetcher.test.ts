/** Fetching ahead: order, budget, give-backs, failures; and how far ahead. */
import { setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../core/clock.ts';
import { GranuleError } from '../../../core/errors.ts';
import { PREFETCH_GROUP_BYTES_MAX, PREFETCH_WINDOW_BYTES_MIN } from '../../../core/limits.ts';
import type { ByteRange, ByteSource } from '../../../runtime/remote/byte-source.ts';
import { PrefetchWindow } from '../../../runtime/remote/prefetch-window.ts';
import { type EventData, type EventRequest, Prefetcher } from '../../../runtime/remote/prefetcher.ts';
import { content, never } from './remote-fixtures.ts';

const MiB = 1024 * 1024;

/** A source in memory that records what it is asked, and may fail or be held. */
class MemorySource implements ByteSource {
  readonly place = 'memory';
  readonly asked: ByteRange[][] = [];
  abortedCount = 0;
  hold: Promise<void> | undefined;
  failAt: ((range: ByteRange) => GranuleError | undefined) | undefined;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  async open(): Promise<{ sizeBytes: number; validator: undefined; checksums: [] }> {
    return { sizeBytes: this.#bytes.length, validator: undefined, checksums: [] };
  }

  async read(range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    return (await this.readMany([range], signal))[0] ?? new Uint8Array(0);
  }

  async readMany(ranges: readonly ByteRange[], signal: AbortSignal): Promise<Uint8Array[]> {
    this.asked.push([...ranges]);
    signal.addEventListener('abort', () => {
      this.abortedCount += 1;
    });
    await (this.hold ?? pause(0));
    signal.throwIfAborted();
    for (const range of ranges) {
      const failure = this.failAt?.(range);
      if (failure !== undefined) throw failure;
    }
    return ranges.map(({ offsetBytes, lengthBytes }) => this.#bytes.subarray(offsetBytes, offsetBytes + lengthBytes));
  }

  async *stream(): AsyncGenerator<Uint8Array> {
    yield this.#bytes;
  }

  async close(): Promise<void> {
    await pause(0);
  }
}

function events(count: number, lengthBytes: number, fileIndex = 0): EventRequest[] {
  return Array.from({ length: count }, (_, index) => ({ fileIndex, offsetBytes: index * lengthBytes, lengthBytes }));
}

function lengthsOf(data: readonly EventData[]): number[] {
  return data.map((item) => (item instanceof Uint8Array ? item.length : -1));
}

describe('Prefetcher', () => {
  it('hands over each event, whatever was planned, forgotten, read twice or never planned', async () => {
    const bytes = [content(4000, 1), content(4000, 2)];
    const command = fc.record({
      kind: fc.constantFrom('plan', 'forget', 'read'),
      file: fc.integer({ min: 0, max: 1 }),
      events: fc.uniqueArray(fc.integer({ min: 0, max: 39 }), { maxLength: 12 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(command, { maxLength: 20 }),
        fc.integer({ min: 100, max: 3000 }),
        async (commands, budgetBytes) => {
          const sources = bytes.map((file) => new MemorySource(file));
          const prefetcher = new Prefetcher((file) => sources[file] ?? new MemorySource(Buffer.alloc(0)), {
            budgetBytes,
            clock: systemClock,
          });
          for (const { kind, file, events: places } of commands) {
            const requests = places.map((place) => ({ fileIndex: file, offsetBytes: place * 100, lengthBytes: 100 }));
            if (kind === 'plan') prefetcher.plan(requests);
            else if (kind === 'forget') prefetcher.forget(requests);
            else {
              const data = await prefetcher.read(requests, never);
              expect(data).toEqual(
                requests.map(({ offsetBytes }) => bytes[file]?.subarray(offsetBytes, offsetBytes + 100)),
              );
            }
          }
          await prefetcher.close();
        },
      ),
      { numRuns: 100 },
    );
  });

  it('asks for planned events before they are read, in order, several at a time, within the budget', async () => {
    const source = new MemorySource(content(4 * MiB));
    const prefetcher = new Prefetcher(() => source, { budgetBytes: MiB, clock: systemClock });
    const planned = events(400, 10_000);
    prefetcher.plan(planned);
    await expect.poll(() => source.asked.length).toBeGreaterThan(1);
    expect(source.asked.flat()).toEqual(planned.slice(0, source.asked.flat().length));
    for (let at = 0; at < 400; at += 10) {
      expect(lengthsOf(await prefetcher.read(planned.slice(at, at + 10), never))).toEqual(Array(10).fill(10_000));
    }
    const { eventBytes, heldBytesMax, requestCount } = prefetcher.figures;
    expect(eventBytes).toBe(4_000_000);
    expect(heldBytesMax).toBeLessThanOrEqual(MiB);
    expect(requestCount).toBeLessThan(60);
    expect(source.asked.flat()).toHaveLength(400);
    await prefetcher.close();
  });

  it('fetches an event larger than the budget', async () => {
    const source = new MemorySource(content(MiB));
    const prefetcher = new Prefetcher(() => source, { budgetBytes: 1000, clock: systemClock });
    prefetcher.plan(events(4, MiB / 4));
    expect(lengthsOf(await prefetcher.read(events(4, MiB / 4), never))).toEqual(Array(4).fill(MiB / 4));
    await prefetcher.close();
  });

  it('cuts off a request nobody wants any more', async () => {
    const source = new MemorySource(content(1000));
    source.hold = new Promise(() => undefined);
    const prefetcher = new Prefetcher(() => source, { budgetBytes: MiB, clock: systemClock });
    prefetcher.plan(events(10, 100));
    prefetcher.forget(events(9, 100));
    expect(source.abortedCount).toBe(0);
    prefetcher.forget(events(10, 100));
    expect(source.abortedCount).toBe(1);
  });

  it('gives the damaged event its error and its neighbours their bytes', async () => {
    const source = new MemorySource(content(1000));
    source.failAt = ({ offsetBytes }) => (offsetBytes === 300 ? new GranuleError('SOURCE_CORRUPT', 'bad') : undefined);
    const prefetcher = new Prefetcher(() => source, { budgetBytes: MiB, clock: systemClock });
    const data = await prefetcher.read(events(10, 100), never);
    expect(lengthsOf(data)).toEqual([100, 100, 100, -1, 100, 100, 100, 100, 100, 100]);
    expect(data[3]).toMatchObject({ code: 'SOURCE_CORRUPT' });
    source.failAt = undefined;
    expect(lengthsOf(await prefetcher.read(events(10, 100).slice(3, 4), never))).toEqual([100]);
    await prefetcher.close();
  });

  it('lets a reader give up without losing the events', async () => {
    const source = new MemorySource(content(1000));
    let release: () => void = () => undefined;
    source.hold = new Promise((resolve) => {
      release = resolve;
    });
    const prefetcher = new Prefetcher(() => source, { budgetBytes: MiB, clock: systemClock });
    const abort = new AbortController();
    const reading = prefetcher.read(events(10, 100), abort.signal);
    abort.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
    release();
    expect(lengthsOf(await prefetcher.read(events(10, 100), never))).toEqual(Array(10).fill(100));
    expect(source.asked).toHaveLength(1);
    await prefetcher.close();
    await expect(prefetcher.read(events(1, 100), never)).rejects.toThrow('closed');
  });
});

describe('PrefetchWindow', () => {
  /** @returns the window after so many intervals of steady consumption */
  function settle(options: {
    readonly bytesPerMs: number;
    readonly requestMs: number;
    readonly waits?: number;
  }): PrefetchWindow {
    const window = new PrefetchWindow(64 * MiB);
    for (let interval = 0; interval < 200; interval += 1) {
      window.requestTook(options.requestMs);
      window.handedOut(options.bytesPerMs * 100, interval < (options.waits ?? 0), interval * 100);
    }
    return window;
  }

  it('holds several round trips of consumption', () => {
    const fast = settle({ bytesPerMs: 5000, requestMs: 300 });
    expect(fast.bytes).toBeGreaterThan(2 * 5000 * 300);
    expect(fast.bytes).toBeLessThan(6 * 5000 * 300);
    expect(fast.groupBytes).toBeLessThanOrEqual(PREFETCH_GROUP_BYTES_MAX);
    expect(settle({ bytesPerMs: 1, requestMs: 1 }).bytes).toBe(PREFETCH_WINDOW_BYTES_MIN);
  });

  it('doubles when a reader had to wait, up to the budget, and calms down again', () => {
    const waiting = settle({ bytesPerMs: 5000, requestMs: 100, waits: 200 });
    expect(waiting.bytes).toBe(64 * MiB);
    const calm = settle({ bytesPerMs: 5000, requestMs: 100, waits: 3 });
    expect(calm.bytes).toBeLessThan(2 * settle({ bytesPerMs: 5000, requestMs: 100 }).bytes);
  });
});
