import { describe, expect, it } from 'vitest';
import { BATCH_WORK_MS, CREDIT_MAX, TAIL_BATCHES_PER_SHARE } from '../../../core/limits.ts';
import type { RangeReport } from '../../../core/messages.ts';
import { BatchSize } from '../../../runtime/scattering/batch-size.ts';

const WORKERS = 4;

function sizeFor(meanMs: number): BatchSize {
  const size = new BatchSize();
  size.learn([{ kind: 'finished', wallMs: meanMs } as RangeReport]);
  return size;
}

/** Sizes of all batches until the queue is empty. */
function batches(size: BatchSize, queuedCount: number): number[] {
  const sizes: number[] = [];
  for (let count = queuedCount; count > 0; count -= sizes.at(-1) ?? 0) {
    sizes.push(size.next(true, { count, atTail: true }, WORKERS));
  }
  return sizes;
}

describe('a batch', () => {
  it('is one token before anything was measured', () => {
    expect(new BatchSize().next(true, { count: 1000, atTail: false }, WORKERS)).toBe(1);
  });

  it('holds a bounded time of work, and one token at least', () => {
    const plenty = { count: 100_000, atTail: false };
    expect(sizeFor(10).next(true, plenty, WORKERS)).toBe(BATCH_WORK_MS / 10);
    expect(sizeFor(10 * BATCH_WORK_MS).next(true, plenty, WORKERS)).toBe(1);
    expect(sizeFor(0.001).next(true, plenty, WORKERS)).toBe(CREDIT_MAX);
  });

  it('is never more than a fair share of the queue', () => {
    expect(sizeFor(10).next(true, { count: 21, atTail: false }, WORKERS)).toBe(6);
  });

  it('shrinks to single tokens at the tail where events are long', () => {
    const sizes = batches(sizeFor(10), 400);
    expect(sizes[0]).toBe(400 / WORKERS / TAIL_BATCHES_PER_SHARE);
    expect(sizes).toEqual(sizes.toSorted((left, right) => right - left));
    expect(sizes.slice(-WORKERS)).toEqual(new Array(WORKERS).fill(1));
  });

  it('does not shrink without end at the tail where events are short', () => {
    expect(batches(sizeFor(0.02), 4096).length).toBeLessThan(batches(sizeFor(10), 4096).length / 2);
  });
});
