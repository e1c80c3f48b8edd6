import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  clipSelection,
  countSelected,
  formatEventSelection,
  normaliseSelection,
  parseEventSelection,
} from '../../core/event-selection.ts';

const selections = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 20 })), { minLength: 1, maxLength: 8 })
  .map((pairs) => pairs.map(([first, more]) => [first, first + more] as const));

function positionsOf(intervals: readonly (readonly [number, number])[]): Set<number> {
  return new Set(intervals.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i)));
}

describe('a selection of events', () => {
  it('is sorted, joined and may be open at its end', () => {
    expect(parseEventSelection('205, 50-100,1-60, 300-')).toEqual([
      [1, 100],
      [205, 205],
      [300, Number.MAX_SAFE_INTEGER],
    ]);
  });

  it.each(['', '0', '0-3', '5-2', 'a', '1-2-3', '1,,2', '-5', '1.5'])(
    'refuses "%s" and says how to write one',
    (text) => {
      expect(() => parseEventSelection(text)).toThrow(
        expect.objectContaining({ code: 'USAGE', remedy: expect.stringContaining('1-100,205,300-') }),
      );
    },
  );

  it('chooses the same positions however it is written', () => {
    fc.assert(
      fc.property(selections, fc.integer({ min: 1, max: 90 }), (intervals, eventCount) => {
        const selection = normaliseSelection(intervals);
        expect(positionsOf(selection)).toEqual(positionsOf(intervals));
        expect(parseEventSelection(formatEventSelection(selection))).toEqual(selection);
        const clipped = clipSelection(selection, eventCount);
        const wanted = [...positionsOf(intervals)].filter((position) => position <= eventCount);
        expect(positionsOf(clipped)).toEqual(new Set(wanted));
        expect(countSelected(clipped)).toBe(wanted.length);
        for (const [index, [first]] of selection.entries()) {
          if (index > 0) expect(first).toBeGreaterThan((selection[index - 1]?.[1] ?? 0) + 1);
        }
      }),
    );
  });

  it('is empty for a file that has none of its positions', () => {
    expect(clipSelection(parseEventSelection('10-20'), 9)).toEqual([]);
  });
});
