import { describe, expect, it } from 'vitest';
import { medianByRank } from '../../bench/cores-idle-results.ts';

describe('busy fractions of workers', () => {
  it('are compared from the busiest to the idlest, whichever workers these were', () => {
    expect(medianByRank([[0.5, 0.9]])).toEqual([0.9, 0.5]);
    const runs = [
      [0.9, 0.1],
      [0.2, 0.8],
      [0.3, 0.7],
    ];
    expect(medianByRank(runs)).toEqual([0.8, 0.2]);
  });
});
