/**
 * Which entries of a tree are unpacked together. Baskets are the unit of compression: each branch has its own, and a
 * *cluster* ends where all of them end. Groups are runs of whole clusters, so that no basket is unpacked twice; only a
 * cluster too large for memory is cut, and trees whose baskets never end together.
 */
import { ROOT_GROUP_BYTES, ROOT_GROUP_BYTES_MAX } from '../../core/limits.ts';

/**
 * The first entry of each group, 0-based and rising; the last group ends with the tree.
 *
 * @param entryCount entries of the tree, at least one
 * @param basketStarts of each branch that is read: the first entry of each basket, rising from 0
 * @param entryBytes mean length of an entry in memory
 */
export function groupEntries(
  entryCount: number,
  basketStarts: readonly (readonly number[])[],
  entryBytes: number,
): Float64Array<ArrayBuffer> {
  const wanted = Math.max(1, Math.floor(ROOT_GROUP_BYTES / entryBytes));
  const most = Math.max(1, Math.floor(ROOT_GROUP_BYTES_MAX / entryBytes));
  const clusters = [...commonStarts(basketStarts, entryCount), entryCount];
  const starts: number[] = [0];
  let start = 0;
  for (let index = 1; index < clusters.length; index += 1) {
    const end = clusters[index] ?? entryCount;
    const next = clusters[index + 1] ?? entryCount;
    // Whole clusters up to the wanted length; one that is longer than allowed is cut into equal parts.
    if (next - start <= wanted && end < entryCount) continue;
    const partCount = Math.ceil((end - start) / most);
    for (let part = 1; part < partCount; part += 1) starts.push(start + Math.floor((part * (end - start)) / partCount));
    if (end < entryCount) starts.push(end);
    start = end;
  }
  return Float64Array.from(starts);
}

/** Entries at which a basket of every branch begins. */
function commonStarts(basketStarts: readonly (readonly number[])[], entryCount: number): number[] {
  const [first = [0], ...others] = basketStarts;
  let common = first.filter((entry) => entry < entryCount);
  for (const starts of others) {
    const known = new Set(starts);
    common = common.filter((entry) => known.has(entry));
  }
  return common[0] === 0 ? common : [0, ...common];
}

/** Index of the group an entry lies in. */
export function groupOf(starts: Float64Array, entry: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((starts[middle] ?? 0) <= entry) low = middle;
    else high = middle - 1;
  }
  return low;
}
