import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RangeToken } from '../../../core/messages.ts';
import { HeldTokens } from '../../../runtime/scattering/held-tokens.ts';

function held(rangeIndex: number) {
  return { token: { rangeIndex } as RangeToken, bytes: undefined, copy: false };
}

describe('what a worker holds', () => {
  it('is what was given and not taken out, in the order given, however it is taken out', () => {
    const step = fc.record({ take: fc.boolean(), at: fc.double({ min: 0, max: 0.999, noNaN: true }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 3000, minLength: 2000 }), (steps) => {
        const tokens = new HeldTokens();
        const model: number[] = [];
        for (const [index, { take, at }] of steps.entries()) {
          if (take && model.length > 0) {
            // The front most of the time, as it is reported.
            const [gone] = model.splice(at < 0.9 ? 0 : Math.floor(at * model.length), 1);
            expect(tokens.get(gone ?? -1)?.token.rangeIndex).toBe(gone);
            expect(tokens.remove(gone ?? -1)?.token.rangeIndex).toBe(gone);
            expect(tokens.remove(gone ?? -1)).toBeUndefined();
          } else {
            model.push(index);
            tokens.add(held(index));
          }
          expect(tokens.size).toBe(model.length);
        }
        expect(tokens.values().map(({ token }) => token.rangeIndex)).toEqual(model);
        tokens.clear();
        expect(tokens.size).toBe(0);
      }),
      { numRuns: 10 },
    );
  });
});
