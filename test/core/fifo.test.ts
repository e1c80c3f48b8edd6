/** A queue against an array that does the same. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Fifo } from '../../core/fifo.ts';

it('gives back what was put in, in order, whatever is left out meanwhile', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('push'), count: fc.nat(3000) }),
    fc.record({ kind: fc.constant('shift'), count: fc.nat(3000) }),
    fc.record({ kind: fc.constant('take'), count: fc.nat(3000) }),
    fc.record({ kind: fc.constant('put back'), count: fc.nat(30) }),
    fc.record({ kind: fc.constant('retain'), count: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ kind: fc.constant('clear'), count: fc.constant(0) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const queue = new Fifo<number>();
      let model: number[] = [];
      let last = 0;
      for (const { kind, count } of steps) {
        if (kind === 'push') {
          for (let left = count; left > 0; left -= 1) {
            last += 1;
            queue.push(last);
            model.push(last);
          }
        } else if (kind === 'shift') {
          const taken = Array.from({ length: count }, () => queue.shift());
          expect(taken).toEqual(Array.from({ length: count }, (_, index) => model[index]));
          model = model.slice(count);
        } else if (kind === 'take') {
          expect(queue.take(count)).toEqual(model.splice(0, count));
        } else if (kind === 'put back') {
          const back = Array.from({ length: count }, (_, index) => -index);
          queue.putBack(back);
          model = [...back, ...model];
        } else if (kind === 'retain') {
          queue.retain((item) => item % count === 0);
          model = model.filter((item) => item % count === 0);
        } else {
          expect(queue.clear()).toEqual(model);
          model = [];
        }
        expect(queue.length).toBe(model.length);
      }
    }),
    { numRuns: 50 },
  );
});
