/**
 * Which branches of a tree are read: names and patterns of the option `branches`. A branch that is chosen comes whole, with
 * what it is split into; a part of a split branch is chosen by its full name, `muons.pt`.
 */
import { GranuleError } from '../../core/errors.ts';
import { suggestNames } from '../../core/nearest-name.ts';
import type { RootBranch } from './jsroot.ts';

/**
 * The chosen branches in the order of the tree.
 *
 * @param patterns names, `*` standing for any characters and `?` for one; `!` before one leaves out what it matches. With
 *   nothing but exclusions, and without any pattern, all other branches are chosen
 * @param where file and tree, for messages
 * @throws INPUT_TREE_UNKNOWN for a pattern that matches nothing, or when nothing is left
 */
export function chooseBranches(
  branches: readonly RootBranch[],
  patterns: readonly string[],
  where: string,
): readonly RootBranch[] {
  const excluding = patterns.filter((pattern) => pattern.startsWith('!')).map((pattern) => pattern.slice(1));
  const including = patterns.filter((pattern) => !pattern.startsWith('!'));
  const names = [...namesIn(branches)];
  for (const pattern of [...including, ...excluding]) {
    if (!names.some((name) => toRegExp(pattern).test(name))) throw noSuchBranch(pattern, names, where);
  }
  const included = (including.length === 0 ? ['*'] : including).map(toRegExp);
  const excluded = excluding.map(toRegExp);
  const chosen = [...choose(branches, included, excluded)];
  if (chosen.length > 0) return chosen;
  throw new GranuleError('INPUT_TREE_UNKNOWN', `${where}: --branches ${patterns.join(',')} leaves no branch to read`);
}

function* choose(
  branches: readonly RootBranch[],
  included: readonly RegExp[],
  excluded: readonly RegExp[],
): Generator<RootBranch> {
  for (const branch of branches) {
    if (excluded.some((pattern) => pattern.test(branch.fName))) continue;
    const parts = branch.fBranches.arr;
    const loses = [...namesIn(parts)].some((name) => excluded.some((pattern) => pattern.test(name)));
    if (!loses && included.some((pattern) => pattern.test(branch.fName))) yield branch;
    else yield* choose(parts, included, excluded);
  }
}

function* namesIn(branches: readonly RootBranch[]): Generator<string> {
  for (const branch of branches) {
    yield branch.fName;
    yield* namesIn(branch.fBranches.arr);
  }
}

function toRegExp(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`);
}

function noSuchBranch(pattern: string, names: readonly string[], where: string): GranuleError {
  const some = names.slice(0, 10).join(', ');
  const listed = names.length > 10 ? `${some} and ${names.length - 10} more` : some;
  return new GranuleError('INPUT_TREE_UNKNOWN', `${where}: there is no branch ${pattern}`, {
    details: { pattern },
    remedy: suggestNames(pattern, names) ?? `branches are ${listed}`,
  });
}
