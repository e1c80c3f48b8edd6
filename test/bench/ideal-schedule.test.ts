import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  correlatedHints,
  correlation,
  groupLengths,
  longestFirst,
  lowerBound,
  pullSchedule,
} from '../../bench/ideal-schedule.ts';
import { lostWork } from '../../bench/lost-work.ts';
import { createRandom } from '../../core/random.ts';

const lengthsOf = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 60 });
const workersOf = fc.integer({ min: 1, max: 9 });

function heavyTailed(count: number): number[] {
  const random = createRandom(7);
  return Array.from({ length: count }, () => Math.min(1500, 10 / (1 - random.uniform()) ** (1 / 1.5)));
}

describe('the ideal pull schedule', () => {
  it('gives each unit to the worker that is free first', () => {
    const { makespan, placements } = pullSchedule([3, 1, 1, 4], 2);
    expect(placements).toEqual([
      { worker: 0, unit: 0, start: 0, end: 3 },
      { worker: 1, unit: 1, start: 0, end: 1 },
      { worker: 1, unit: 2, start: 1, end: 2 },
      { worker: 1, unit: 3, start: 2, end: 6 },
    ]);
    expect(makespan).toBe(6);
  });

  it('stays within the bounds of list scheduling, and longest first within those of LPT', () => {
    fc.assert(
      fc.property(lengthsOf, workersOf, (lengths, workerCount) => {
        const bound = lowerBound(lengths, workerCount);
        const total = lengths.reduce((sum, length) => sum + length, 0);
        const longest = Math.max(...lengths);
        const { makespan, placements } = pullSchedule(lengths, workerCount);
        expect(makespan).toBeGreaterThanOrEqual(bound);
        expect(makespan).toBeLessThanOrEqual(total / workerCount + longest * (1 - 1 / workerCount) + 1e-9);
        const sorted = longestFirst(lengths).map((unit) => lengths[unit] ?? 0);
        expect(pullSchedule(sorted, workerCount).makespan).toBeLessThanOrEqual((4 / 3) * optimum(lengths, workerCount));
        for (const { start, end, unit } of placements) expect(end - start).toBe(lengths[unit]);
      }),
    );
  });

  it('leaves no worker free while a unit waits', () => {
    fc.assert(
      fc.property(lengthsOf, workersOf, (lengths, workerCount) => {
        const { placements } = pullSchedule(lengths, workerCount);
        for (const { start } of placements) {
          const busy = placements.filter((other) => other.start < start && other.end >= start).length;
          if (start > 0) expect(busy).toBe(workerCount);
        }
      }),
    );
  });
});

/** LPT is within 4/3 of the optimum; the optimum is at least the bound and at least any two of the m+1 longest. */
function optimum(lengths: readonly number[], workerCount: number): number {
  const sorted = [...lengths].sort((left, right) => right - left);
  const pair = (sorted[workerCount - 1] ?? 0) + (sorted[workerCount] ?? 0);
  const atLeast = Math.max(lowerBound(lengths, workerCount), sorted[workerCount] === undefined ? 0 : pair);
  // Where the bound is not the optimum, LPT's own result is the only upper bound at hand.
  return Math.max(atLeast, (3 / 4) * pullSchedule(sorted, workerCount).makespan);
}

describe('groups of units', () => {
  it('sum consecutive lengths, the last group what is left', () => {
    expect(groupLengths([1, 2, 3, 4, 5], 2)).toEqual([3, 7, 5]);
  });
});

describe('size hints', () => {
  it('are the lengths when they are perfect', () => {
    expect(correlatedHints([3, 1, 2], 1, 5)).toEqual([3, 1, 2]);
  });

  it('have the correlation asked for and the same law', () => {
    const lengths = heavyTailed(4000);
    const hints = correlatedHints(lengths, 0.7, 5);
    expect(Math.abs(correlation(lengths, hints) - 0.7)).toBeLessThan(0.05);
    expect([...hints].sort()).toEqual([...lengths].sort());
  });

  it('put longest first near the bound for a heavy tail, where file order is far from it', () => {
    const lengths = heavyTailed(4000);
    const bound = lowerBound(lengths, 64);
    const ordered = longestFirst(lengths).map((unit) => lengths[unit] ?? 0);
    expect(pullSchedule(ordered, 64).makespan / bound).toBeLessThan(1.02);
    expect(pullSchedule(lengths, 64).makespan / bound).toBeGreaterThan(1.05);
  });
});

describe('work lost by a kill', () => {
  it('is half of a unit on average and all of it at worst, for one worker and one unit', () => {
    expect(lostWork([{ start: 0, end: 10 }], 10)).toEqual({ expected: 0.5, worst: 1 });
  });

  it('agrees with looking at many moments', () => {
    fc.assert(
      fc.property(lengthsOf, workersOf, (lengths, workerCount) => {
        const { makespan, placements } = pullSchedule(lengths, workerCount);
        const total = lengths.reduce((sum, length) => sum + length, 0);
        const lossAt = (time: number): number =>
          placements.reduce((sum, { start, end }) => sum + (start < time && time <= end ? time - start : 0), 0) / total;
        const moments = Array.from({ length: makespan }, (_, index) => index + 0.5);
        const expected = moments.reduce((sum, moment) => sum + lossAt(moment), 0) / makespan;
        const lost = lostWork(placements, makespan);
        expect(lost.expected).toBeCloseTo(expected, 6);
        const ends = placements.map(({ end }) => lossAt(end));
        expect(lost.worst).toBeCloseTo(Math.max(...ends), 9);
      }),
      { numRuns: 50 },
    );
  });
});
