import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { OutputRecord } from '../../core/dispatcher-api.ts';
import { OUTPUT_AT_ONCE_BYTES_MAX, RECENT_OUTPUTS_BYTES, RECENT_OUTPUTS_MAX } from '../../core/limits.ts';
import { RecentOutputs } from '../../runtime/recent-outputs.ts';

const STREAMS = ['HITS', 'TRACKS'];

function recordOf(stream: string, bytes: Uint8Array): OutputRecord {
  const lengthBytes = bytes.length;
  return { stream, file: `0/${stream}`, offsetBytes: 0, lengthBytes, crc32: crc32(bytes), recordCount: 1 };
}

/** Two ends of one memory, as a worker's thread and the merger's have; copies are checked as the merger does. */
function create() {
  const memory = RecentOutputs.createMemory();
  const [worker, merger] = [new RecentOutputs(memory, STREAMS), new RecentOutputs(memory, STREAMS)];
  return {
    leave(rangeIndex: number, text: string, stream = 'HITS'): OutputRecord {
      const bytes = Buffer.from(text);
      const record = recordOf(stream, bytes);
      worker.leave(rangeIndex, record, bytes);
      return record;
    },
    copyOf(rangeIndex: number, record: OutputRecord): string | undefined {
      const into = Buffer.alloc(record.lengthBytes);
      return merger.copy(rangeIndex, record, into) && crc32(into) === record.crc32 ? into.toString() : undefined;
    },
  };
}

describe('recent outputs', () => {
  it('are found by range and stream', () => {
    const recent = create();
    const hits = recent.leave(5, 'hits of 5');
    const tracks = recent.leave(5, 'tracks of 5', 'TRACKS');
    expect(recent.copyOf(5, hits)).toBe('hits of 5');
    expect(recent.copyOf(5, tracks)).toBe('tracks of 5');
    expect(recent.copyOf(6, recordOf('HITS', new Uint8Array(0)))).toBeUndefined();
    expect(recent.copyOf(7, hits)).toBeUndefined();
  });

  it('are those of the attempt that is recorded, or none', () => {
    const recent = create();
    const first = recent.leave(5, 'first attempt');
    const second = recent.leave(5, 'second one...');
    expect(recent.copyOf(5, first)).toBeUndefined();
    expect(recent.copyOf(5, second)).toBe('second one...');
  });

  it('are not taken where a part of them was overwritten', () => {
    const recent = create();
    const text = 'x'.repeat(OUTPUT_AT_ONCE_BYTES_MAX);
    const record = recent.leave(0, text);
    const laps = RECENT_OUTPUTS_BYTES / text.length;
    for (let index = 1; index < laps; index += 1) recent.leave(index, text);
    expect(recent.copyOf(0, record)).toBe(text);
    recent.leave(laps, 'y');
    expect(recent.copyOf(0, record)).toBeUndefined();
    expect(recent.copyOf(1, record)).toBe(text);
  });

  it('go on where they were when the count of bytes begins anew', () => {
    const memory = RecentOutputs.createMemory();
    new Int32Array(memory, 0, 1).fill(-100);
    const recent = new RecentOutputs(memory, STREAMS);
    const texts = ['a'.repeat(60), 'b'.repeat(60), 'c'.repeat(60)].map((text) => Buffer.from(text));
    const records = texts.map((bytes) => recordOf('HITS', bytes));
    records.forEach((record, index) => {
      recent.leave(index, record, texts[index] ?? Buffer.alloc(0));
    });
    records.forEach((record, index) => {
      const into = Buffer.alloc(60);
      expect(recent.copy(index, record, into)).toBe(true);
      expect(into).toEqual(texts[index]);
    });
  });

  it('give way to those of the range that has their entry', () => {
    const recent = create();
    const older = recent.leave(1, 'older');
    const newer = recent.leave(1 + RECENT_OUTPUTS_MAX / STREAMS.length, 'newer');
    expect(recent.copyOf(1, older)).toBeUndefined();
    expect(recent.copyOf(1 + RECENT_OUTPUTS_MAX / STREAMS.length, newer)).toBe('newer');
  });

  it('are whole or not there, whatever was left before and after', () => {
    const step = fc.record({
      rangeIndex: fc.nat(3 * RECENT_OUTPUTS_MAX),
      lengthBytes: fc.integer({ min: 1, max: OUTPUT_AT_ONCE_BYTES_MAX }),
      letter: fc.constantFrom('a', 'b', 'c'),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), fc.nat(9000), (steps, before) => {
        const recent = create();
        // The end of the memory comes somewhere in between.
        for (let left = before; left > 0; left -= 1) recent.leave(left, 'z'.repeat(OUTPUT_AT_ONCE_BYTES_MAX));
        const left = steps.map(({ rangeIndex, lengthBytes, letter }) => {
          const text = letter.repeat(lengthBytes);
          return { rangeIndex, text, record: recent.leave(rangeIndex, text) };
        });
        for (const { rangeIndex, text, record } of left)
          expect([text, undefined]).toContain(recent.copyOf(rangeIndex, record));
        const last = left.at(-1);
        if (last !== undefined) expect(recent.copyOf(last.rangeIndex, last.record)).toBe(last.text);
      }),
      { numRuns: 60 },
    );
  });
});
