import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PlannedFile, RangePlan } from '../../dispatcher/range-plan.ts';

const selection = (eventCount: number): fc.Arbitrary<readonly (readonly [number, number])[]> =>
  fc.uniqueArray(fc.integer({ min: 1, max: Math.max(1, eventCount) }), { maxLength: 8 }).map((positions) => {
    const sorted = positions.filter((position) => position <= eventCount).sort((one, other) => one - other);
    const pairs: [number, number][] = [];
    for (let place = 0; place + 1 < sorted.length; place += 2) {
      pairs.push([sorted[place] as number, sorted[place + 1] as number]);
    }
    return pairs;
  });

const file: fc.Arbitrary<PlannedFile> = fc.nat(30).chain((eventCount) =>
  fc.oneof(
    fc.constant({ eventCount }),
    selection(eventCount).map((chosen) => ({ eventCount, selection: chosen })),
  ),
);

/** All chosen events in order: what the ranges must cover. */
function chosenEvents(files: readonly PlannedFile[]): string[] {
  return files.flatMap(({ eventCount, selection: chosen }, fileIndex) =>
    (chosen ?? (eventCount > 0 ? [[1, eventCount] as const] : [])).flatMap(([first, last]) =>
      Array.from({ length: last - first + 1 }, (_, place) => `${fileIndex}:${first + place}`),
    ),
  );
}

describe('a range plan', () => {
  it('covers every chosen event once, in order, in ranges of at most the size asked for', () => {
    fc.assert(
      fc.property(fc.array(file, { maxLength: 6 }), fc.integer({ min: 1, max: 7 }), (files, eventsPerRange) => {
        const plan = new RangePlan(eventsPerRange);
        for (const added of files) plan.add(added);
        const covered: string[] = [];
        for (let rangeIndex = 0; rangeIndex < plan.rangeCount; rangeIndex += 1) {
          const { fileIndex, startEvent, lastEvent } = plan.locate(rangeIndex);
          expect(lastEvent - startEvent + 1).toBe(plan.eventCountOf(rangeIndex));
          expect(plan.eventCountOf(rangeIndex)).toBeLessThanOrEqual(eventsPerRange);
          for (let position = startEvent; position <= lastEvent; position += 1) {
            covered.push(`${fileIndex}:${position}`);
            expect(plan.rangeAt(fileIndex, position)).toBe(rangeIndex);
          }
          const { firstRange, endRange } = plan.outputSpan(plan.outputOf(rangeIndex));
          expect(rangeIndex >= firstRange && rangeIndex < endRange).toBe(true);
        }
        expect(covered).toEqual(chosenEvents(files));
        expect(plan.eventCount).toBe(covered.length);
      }),
    );
  });

  it('knows no range for events that are not chosen', () => {
    const plan = new RangePlan(1);
    plan.add({ eventCount: 10, selection: [[3, 4]] });
    expect([0, 1, 2, 3, 4, 5, 11].map((position) => plan.rangeAt(0, position))).toEqual([
      undefined,
      undefined,
      undefined,
      0,
      1,
      undefined,
      undefined,
    ]);
    expect(plan.rangeAt(1, 1)).toBeUndefined();
  });

  it('cuts outputs by events across files, and says which can still grow', () => {
    const plan = new RangePlan(2, 5);
    plan.add({ eventCount: 4 });
    plan.add({ eventCount: 5 });
    expect(plan.rangeCount).toBe(5);
    expect(plan.outputCount).toBe(2);
    expect(plan.outputSpan(0)).toEqual({ firstRange: 0, endRange: 3 });
    expect(plan.outputSpan(1)).toEqual({ firstRange: 3, endRange: 5 });
    expect([plan.mayGrow(0), plan.mayGrow(1)]).toEqual([false, true]);
  });

  it('holds 10^8 ranges of 10^4 files in next to nothing', () => {
    const plan = new RangePlan(1);
    for (let added = 0; added < 10_000; added += 1) plan.add({ eventCount: 10_000 });
    expect(plan.rangeCount).toBe(100_000_000);
    expect(plan.locate(99_999_999)).toEqual({ fileIndex: 9999, startEvent: 10_000, lastEvent: 10_000 });
  });
});
