/** Which tree of a ROOT file holds its events. */
import { GranuleError } from '../../core/errors.ts';
import type { FileRecord, RootTree, RootTrees } from '../../core/file-index.ts';
import { suggestNames } from '../../core/nearest-name.ts';

/**
 * The record of a file with its tree chosen and its events counted. Records of other formats stay as they are.
 *
 * @param wanted name of the tree, with its folders; null for the only one
 * @throws INPUT_TREE_UNKNOWN when there is no such tree, or several and none is named; INPUT_EMPTY without trees or entries
 */
export function chooseTree(record: FileRecord, wanted: string | null): FileRecord {
  if (record.trees === undefined) return record;
  const { all } = record.trees;
  const [first] = all;
  if (first === undefined) {
    throw new GranuleError('INPUT_EMPTY', `${record.lfn} is a ROOT file without a tree (TTree), so it holds no event`);
  }
  const tree = wanted === null && all.length === 1 ? first : all.find(({ name }) => name === wanted);
  if (tree === undefined) throw unclear(record.lfn, all, wanted);
  if (tree.entryCount === 0) throw new GranuleError('INPUT_EMPTY', `${record.lfn}: tree ${tree.name} has no entry`);
  return withTree(record, record.trees, tree);
}

/** What an index keeps: the tree is chosen where there is no choice. @param numbered see `RootTrees` */
export function recordWithTrees(record: FileRecord, all: readonly RootTree[], numbered?: string): FileRecord {
  const trees = { all, ...(numbered === undefined ? {} : { numbered }) };
  return withTree(record, trees, all.length === 1 ? all[0] : undefined);
}

function withTree(record: FileRecord, trees: Omit<RootTrees, 'chosen'>, tree: RootTree | undefined): FileRecord {
  return { ...record, eventCount: tree?.entryCount ?? 0, trees: { ...trees, chosen: tree?.name ?? null } };
}

function unclear(lfn: string, all: readonly RootTree[], wanted: string | null): GranuleError {
  const names = all.map(({ name }) => name);
  const listed = all.map(({ name, entryCount }) => `${name} (${entryCount} entries)`).join(', ');
  const reason = wanted === null ? 'has several trees and none is named' : `has no tree ${wanted}`;
  const near = wanted === null ? undefined : suggestNames(wanted, names);
  return new GranuleError('INPUT_TREE_UNKNOWN', `${lfn} ${reason}: ${listed}`, {
    details: { trees: names },
    remedy: near ?? `name the tree: --tree ${names[0]}`,
  });
}
