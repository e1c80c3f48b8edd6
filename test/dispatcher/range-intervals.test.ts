import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contains, IntervalBuilder, without } from '../../dispatcher/range-intervals.ts';

const members = fc.uniqueArray(fc.nat(60)).map((values) => values.sort((one, other) => one - other));

function build(values: readonly number[]) {
  const builder = new IntervalBuilder();
  for (const value of values) builder.add(value);
  return builder.build();
}

describe('range intervals', () => {
  it('hold what was put in, less what was taken out', () => {
    fc.assert(
      fc.property(members, fc.array(fc.nat(60)), (values, removed) => {
        let intervals = build(values);
        for (const value of removed) intervals = without(intervals, value);
        const left = new Set(values.filter((value) => !removed.includes(value)));
        for (let value = 0; value <= 61; value += 1) expect(contains(intervals, value)).toBe(left.has(value));
      }),
    );
  });

  it('take two numbers for a stretch of any length', () => {
    expect(build(Array.from({ length: 1000 }, (_, place) => place + 5))).toEqual([5, 1005]);
  });
});
