import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ROOT_GROUP_BYTES, ROOT_GROUP_BYTES_MAX } from '../../../core/limits.ts';
import { groupEntries, groupOf } from '../../../runtime/root/entry-groups.ts';

/** Starts of clusters, and of each branch's baskets: all clusters, and some of its own between. */
const tree = fc
  .record({
    clusters: fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 30 }),
    own: fc.array(fc.array(fc.nat({ max: 8000 }), { maxLength: 20 }), { minLength: 1, maxLength: 4 }),
    entryBytes: fc.integer({ min: 1, max: ROOT_GROUP_BYTES_MAX * 2 }),
  })
  .map(({ clusters, own, entryBytes }) => {
    const ends: number[] = [];
    for (const length of clusters) ends.push((ends.at(-1) ?? 0) + length);
    const entryCount = ends.at(-1) ?? 1;
    const common = [0, ...ends.slice(0, -1)];
    const baskets = own.map((extra) =>
      [...new Set([...common, ...extra.filter((entry) => entry < entryCount)])].sort((a, b) => a - b),
    );
    return { entryCount, baskets, common, entryBytes };
  });

function lengthsOf(starts: Float64Array, entryCount: number): number[] {
  return Array.from(starts, (start, index) => (starts[index + 1] ?? entryCount) - start);
}

describe('groups of entries', () => {
  it('cover the tree in order, and are never longer than what may be in memory', () => {
    fc.assert(
      fc.property(tree, ({ entryCount, baskets, entryBytes }) => {
        const starts = groupEntries(entryCount, baskets, entryBytes);
        const lengths = lengthsOf(starts, entryCount);
        expect(starts[0]).toBe(0);
        expect(lengths.every((length) => length > 0)).toBe(true);
        const most = Math.max(1, Math.floor(ROOT_GROUP_BYTES_MAX / entryBytes));
        expect(Math.max(...lengths)).toBeLessThanOrEqual(Math.max(most, Math.floor(ROOT_GROUP_BYTES / entryBytes)));
      }),
    );
  });

  it('begin where baskets of all branches begin, unless a cluster is too large', () => {
    fc.assert(
      fc.property(tree, ({ entryCount, baskets, entryBytes }) => {
        const most = Math.max(1, Math.floor(ROOT_GROUP_BYTES_MAX / entryBytes));
        fc.pre(entryCount <= most);
        for (const start of groupEntries(entryCount, baskets, entryBytes)) {
          expect(baskets.every((starts) => starts.includes(start))).toBe(true);
        }
      }),
    );
  });

  it('join small clusters, and cut a large one into equal parts', () => {
    const hundred = Array.from({ length: 10 }, (_, index) => index * 100);
    const entryBytes = ROOT_GROUP_BYTES / 350;
    expect([...groupEntries(1000, [hundred, hundred], entryBytes)]).toEqual([0, 300, 600, 900]);
    expect([...groupEntries(4200, [[0], [0, 7, 99]], entryBytes)]).toEqual([0, 1400, 2800]);
    expect([...groupEntries(5, [], 1)]).toEqual([0]);
  });

  it('are found by entry', () => {
    fc.assert(
      fc.property(tree, fc.nat(), ({ entryCount, baskets, entryBytes }, any) => {
        const starts = groupEntries(entryCount, baskets, entryBytes);
        const entry = any % entryCount;
        const group = groupOf(starts, entry);
        expect(starts[group]).toBeLessThanOrEqual(entry);
        expect(starts[group + 1] ?? entryCount).toBeGreaterThan(entry);
      }),
    );
  });
});
