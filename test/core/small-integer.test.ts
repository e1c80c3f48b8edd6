import { expect, it } from 'vitest';
import { smallInteger } from '../../core/small-integer.ts';

it('a number is the same, however it is held', () => {
  for (const value of [
    0,
    1,
    -1,
    2 ** 31 - 1,
    -(2 ** 31),
    2 ** 31,
    2 ** 32 - 1,
    2 ** 53 - 1,
    0.5,
    1e300,
    Infinity,
    NaN,
  ]) {
    expect(smallInteger(value)).toBe(value);
  }
});
