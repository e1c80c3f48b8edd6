import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lengthCode, lengthOfCode } from '../../dispatcher/execution-length.ts';

describe('a length code', () => {
  it('is within 5 % of the length, from 10 µs to ten hours', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.011, max: 3.6e7, noNaN: true }), (lengthMs) => {
        const back = lengthOfCode(lengthCode(lengthMs)) ?? 0;
        expect(Math.abs(back / lengthMs - 1)).toBeLessThan(0.05);
      }),
    );
  });

  it('is a byte above zero for anything that was executed', () => {
    for (const lengthMs of [0, -1, 1e-9, 1e300, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(lengthCode(lengthMs)).toBeGreaterThan(0);
      expect(lengthCode(lengthMs)).toBeLessThan(256);
    }
    expect(lengthOfCode(0)).toBeUndefined();
  });
});
