import { describe, expect, it } from 'vitest';
import { joinTimelines, steadyRate } from '../../bench/steady-rate.ts';

describe('steady rates', () => {
  it('leave the warm-up out', () => {
    // 25 events in the first second, then 75 in half a second.
    const timeline = [
      [1000, 25],
      [1250, 60],
      [1500, 100],
    ] as const;
    expect(steadyRate(timeline, 0)).toBe(150);
  });

  it('count from the start when everything came at once', () => {
    expect(steadyRate([[2000, 50]], 1000)).toBe(50);
    expect(steadyRate([], 0)).toBeNaN();
  });

  it('join timelines of threads that ran side by side', () => {
    const first = [
      [1, 10],
      [3, 20],
    ] as const;
    expect(joinTimelines([first, [[2, 5]]])).toEqual([
      [1, 10],
      [2, 15],
      [3, 25],
    ]);
  });
});
