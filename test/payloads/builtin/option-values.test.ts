import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { flagValue, numberListValue, numberValue } from '../../../payloads/builtin/option-values.ts';

describe('a number', () => {
  const schema = numberValue(z.int().min(0));

  it.each([
    ['12', 12],
    [' 1e3 ', 1000],
    [7, 7],
  ])('is taken from %o', (value, expected) => {
    expect(schema.parse(value)).toBe(expected);
  });

  it.each(['', ' ', 'twelve', '12 ms', '1.5', '-1', 'Infinity', 'NaN', null, true, [3]])(
    'is not taken from %o',
    (value) => {
      expect(schema.safeParse(value).success).toBe(false);
    },
  );

  it('is named in the message as it was given', () => {
    expect(schema.safeParse('12 ms').error?.issues[0]?.message).toBe('"12 ms" is not a number');
  });
});

describe('a list of numbers', () => {
  const schema = numberListValue(z.int());

  it.each([
    ['13,-13', [13, -13]],
    ['13', [13]],
    [13, [13]],
    [
      [1, 2],
      [1, 2],
    ],
  ])('is taken from %o', (value, expected) => {
    expect(schema.parse(value)).toEqual(expected);
  });

  it.each(['', '1,,2', '1;2', '1.5', [], {}])('is not taken from %o', (value) => {
    expect(schema.safeParse(value).success).toBe(false);
  });
});

describe('a flag', () => {
  it('is taken from a boolean or the usual words', () => {
    expect([true, 'true', 'yes', '1', 'on'].map((value) => flagValue().parse(value))).toEqual([
      true,
      true,
      true,
      true,
      true,
    ]);
    expect([false, 'false', 'no', '0', 'off'].map((value) => flagValue().parse(value))).toEqual(Array(5).fill(false));
    expect(flagValue().safeParse('perhaps').error?.issues[0]?.message).toBe('"perhaps" is neither true nor false');
    expect(flagValue().safeParse(1).success).toBe(false);
  });
});
