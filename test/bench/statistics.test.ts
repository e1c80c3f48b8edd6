import { describe, expect, it } from 'vitest';
import { interleave, median, ratios, summarise } from '../../bench/statistics.ts';

describe('statistics of repeats', () => {
  it('take the middle value, or the mean of the two middle ones', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([])).toBeNaN();
  });

  it('give the spread as the distance of the extremes in medians', () => {
    expect(summarise([9, 10, 12])).toEqual({ median: 10, min: 9, max: 12, spread: 0.3 });
    expect(summarise([7]).spread).toBe(0);
    expect(summarise([0, 0]).spread).toBe(0);
  });

  it('divide within rounds, so that what slows a whole round cancels', () => {
    expect(ratios([10, 5, 20], [20, 10, 40])).toEqual([0.5, 0.5, 0.5]);
  });
});

describe('interleaving', () => {
  it('measures every variant once a round and turns the order', async () => {
    const order: string[] = [];
    const measured = await interleave(['a', 'b', 'c'], 3, async (variant, round) => {
      order.push(variant);
      return round;
    });
    expect(order.join('')).toBe('abcbcacab');
    expect(measured).toEqual({ a: [0, 1, 2], b: [0, 1, 2], c: [0, 1, 2] });
  });
});
