import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lengthCode, lengthOfCode, medianLength } from '../../dispatcher/execution-length.ts';

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

  it('is counted for the median', () => {
    const histogram = new Float64Array(256);
    expect(medianLength(histogram)).toEqual({ count: 0, medianMs: 0 });
    for (const [lengthMs, times] of [
      [1, 4],
      [10, 3],
      [1000, 2],
    ] as const)
      histogram[lengthCode(lengthMs)] = times;
    const { count, medianMs } = medianLength(histogram);
    expect(count).toBe(9);
    expect(Math.abs(medianMs / 10 - 1)).toBeLessThan(0.05);
  });
});
