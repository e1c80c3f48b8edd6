import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BATCHES_PER_WORKER } from '../../../core/limits.ts';
import { BatchClaims } from '../../../runtime/board/batch-claims.ts';

function words(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * BATCHES_PER_WORKER));
}

describe('claims of batches', () => {
  it('hand each token of a batch to the worker once, in order', () => {
    const claims = new BatchClaims(words());
    claims.open(1, 3);
    expect([1, 1, 1, 1].map((batch) => claims.claim(batch))).toEqual([0, 1, 2, -1]);
  });

  it('give the supervisor only tokens that are not claimed, from the end', () => {
    const claims = new BatchClaims(words());
    claims.open(1, 5);
    claims.claim(1);
    claims.claim(1);
    expect(claims.unclaimed(1)).toBe(3);
    expect(claims.takeBack(1, 2)).toBe(2);
    expect(claims.claim(1)).toBe(2);
    expect(claims.takeBack(1, 10)).toBe(0);
    expect(claims.claim(1)).toBe(-1);
  });

  it('keep the next batch apart from the one in execution', () => {
    const claims = new BatchClaims(words());
    claims.open(1, 2);
    claims.claim(1);
    claims.open(2, 3);
    expect(claims.takeBack(2, 3)).toBe(3);
    expect(claims.claim(2)).toBe(-1);
    expect(claims.claim(1)).toBe(1);
    claims.open(3, 4);
    expect(claims.unclaimed(3)).toBe(4);
    expect(claims.unclaimed(2)).toBe(0);
  });

  it('let each token go to one side exactly once, whatever the order of claims and of taking back', () => {
    const step = fc.record({ kind: fc.constantFrom('claim', 'take'), next: fc.boolean(), count: fc.nat(4) });
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 4 }), fc.array(step), (counts, steps) => {
        const claims = new BatchClaims(words());
        let batch = 0;
        const left = [0, 0];
        const open = (number: number): void => {
          const count = counts[number % counts.length] ?? 1;
          claims.open(number, count);
          left[number % BATCHES_PER_WORKER] = count;
        };
        open(0);
        open(1);
        for (const { kind, next, count } of steps) {
          if (kind === 'take') {
            const of = next ? batch + 1 : batch;
            const taken = claims.takeBack(of, count);
            expect(taken).toBe(Math.min(count, left[of % BATCHES_PER_WORKER] ?? 0));
            left[of % BATCHES_PER_WORKER] = (left[of % BATCHES_PER_WORKER] ?? 0) - taken;
          } else if (claims.claim(batch) >= 0) {
            left[batch % BATCHES_PER_WORKER] = (left[batch % BATCHES_PER_WORKER] ?? 0) - 1;
          } else {
            expect(left[batch % BATCHES_PER_WORKER]).toBe(0);
            batch += 1;
            open(batch + 1);
          }
          for (const of of [batch, batch + 1]) expect(claims.unclaimed(of)).toBe(left[of % BATCHES_PER_WORKER]);
        }
      }),
    );
  });

  it('never let both sides have the same token while they race', async () => {
    const shared = words();
    const claims = new BatchClaims(shared);
    const claimed = new SharedArrayBuffer(4);
    const count = 1000;
    const rounds = 30;
    claims.open(0, count);
    const worker = new Worker(
      `const { workerData } = require('node:worker_threads');
       const words = new Int32Array(workerData.memory);
       const sum = new Int32Array(workerData.claimed);
       for (let round = 0; round < ${rounds}; round += 1) {
         for (;;) {
           const word = Atomics.load(words, 0);
           if ((word & 0xffff) >= word >>> 16) break;
           if (Atomics.compareExchange(words, 0, word, word + 1) === word) Atomics.add(sum, 0, 1);
         }
         Atomics.store(words, 0, round + 1 < ${rounds} ? ${count} << 16 : 0);
       }`,
      { eval: true, workerData: { memory: shared.buffer, claimed } },
    );
    let taken = 0;
    let isOver = false;
    worker.once('exit', () => {
      isOver = true;
    });
    while (!isOver) {
      for (let turn = 0; turn < 100; turn += 1) taken += claims.takeBack(0, 3);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(taken + (new Int32Array(claimed)[0] ?? 0)).toBe(rounds * count);
  });
});
