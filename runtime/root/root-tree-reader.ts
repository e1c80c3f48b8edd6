/**
 * Reads one ROOT file by jsroot, in the thread made for that: which trees it has, how their entries are grouped, and
 * what stands in them. Errors inside jsroot that do not come back by its promises end the thread.
 */
import { describeThrown, isGranuleError } from '../../core/errors.ts';
import type { RootTree } from '../../core/file-index.ts';
import { type EncodedEntries, RootEntryEncoder } from '../../payloads/formats/root-entry-encoder.ts';
import type { ByteSource } from '../remote/byte-source.ts';
import { chooseBranches } from './branch-choice.ts';
import { groupEntries } from './entry-groups.ts';
import type { Jsroot, RootBranch, RootFileObject, RootFolder, RootTreeObject } from './jsroot.ts';
import { findNumberBranches, type NumberBranches } from './number-branches.ts';
import { rootFailed } from './root-failure.ts';
import type { EntryNumbers, RootSelection } from './root-messages.ts';
import { SourceProxy } from './source-proxy.ts';

const TREE_CLASSES = new Set(['TTree', 'TNtuple', 'TNtupleD']);

/** A sign of life is given so often while numbers are read. */
const ENTRIES_PER_SIGN = 100_000;

export interface RootTreeReaderOptions {
  readonly jsroot: Jsroot;
  /** belongs to the reader from now on */
  readonly source: ByteSource;
  readonly lfn: string;
  /** called before, after, and from time to time during each read of bytes */
  readonly onRead: () => void;
}

export class RootTreeReader {
  readonly #options: RootTreeReaderOptions;
  readonly #proxy: SourceProxy;
  readonly #file: RootFileObject;
  readonly #abort: AbortController;
  readonly #trees = new Map<string, Promise<RootTreeObject>>();

  private constructor(
    options: RootTreeReaderOptions,
    opened: { readonly proxy: SourceProxy; readonly file: RootFileObject; readonly abort: AbortController },
  ) {
    this.#options = options;
    this.#proxy = opened.proxy;
    this.#file = opened.file;
    this.#abort = opened.abort;
  }

  /** @throws INPUT_ROOT_FAILED, and what the source throws */
  static async open(options: RootTreeReaderOptions): Promise<RootTreeReader> {
    const { jsroot, source, lfn, onRead } = options;
    const abort = new AbortController();
    try {
      const { sizeBytes } = await source.open(abort.signal);
      if (sizeBytes === undefined) throw rootFailed(`${source.place}: its server does not tell its length`);
      const proxy = new SourceProxy(source, sizeBytes, onRead, abort.signal);
      const argument = Object.assign(new jsroot.FileProxy(), proxy.methods());
      const file = await guarded(proxy, `${lfn} cannot be opened as a ROOT file`, () => jsroot.openFile(argument));
      return new RootTreeReader(options, { proxy, file, abort });
    } catch (error) {
      await source.close();
      throw error;
    }
  }

  /** Trees in all folders, in the order of the file; of several versions of one, the newest. */
  async listTrees(): Promise<RootTree[]> {
    const trees: RootTree[] = [];
    for (const name of await this.#treeNames(this.#file, '')) {
      trees.push({ name, entryCount: (await this.#tree(name)).fEntries });
    }
    return trees;
  }

  /**
   * Run and event numbers of the one tree that states both, in scalar branches with one of the usual names; undefined
   * when there is none, or several, or when numbers are no safe integers. @throws INPUT_ROOT_FAILED
   */
  async readNumbers(trees: readonly RootTree[]): Promise<EntryNumbers | undefined> {
    const candidates: { readonly name: string; readonly tree: RootTreeObject; readonly pair: NumberBranches }[] = [];
    for (const { name, entryCount } of trees) {
      if (entryCount === 0) continue;
      const tree = await this.#tree(name);
      const pair = findNumberBranches(tree.fBranches.arr);
      if (pair !== undefined) candidates.push({ name, tree, pair });
    }
    const [only] = candidates;
    if (only === undefined || candidates.length > 1) return undefined;
    const what = `${this.#options.lfn}: run and event numbers of tree ${only.name} cannot be read`;
    const numbers = await guarded(this.#proxy, what, () => this.#readPairs(only.tree, only.pair));
    return numbers === undefined ? undefined : { tree: only.name, ...numbers };
  }

  async #readPairs(tree: RootTreeObject, { run, eventNumber }: NumberBranches) {
    const { jsroot, onRead } = this.#options;
    const runs = new Float64Array(tree.fEntries);
    const eventNumbers = new Float64Array(tree.fEntries);
    const selector = new jsroot.TSelector();
    selector.addBranch(run, 'run');
    selector.addBranch(eventNumber, 'eventNumber');
    let areIntegers = true;
    let count = 0;
    selector.Process = (entry) => {
      // Wide integers may come as such.
      runs[entry] = Number(selector.tgtobj['run']);
      eventNumbers[entry] = Number(selector.tgtobj['eventNumber']);
      areIntegers &&= Number.isSafeInteger(runs[entry]) && Number.isSafeInteger(eventNumbers[entry]);
      count += 1;
      if (count % ENTRIES_PER_SIGN === 0) onRead();
    };
    await jsroot.treeProcess(tree, selector, { firstentry: 0, numentries: tree.fEntries });
    return areIntegers && count === tree.fEntries ? { runs, eventNumbers } : undefined;
  }

  /** First entry of each group. @throws INPUT_TREE_UNKNOWN, INPUT_ROOT_FAILED */
  async groups(selection: RootSelection): Promise<Float64Array<ArrayBuffer>> {
    const what = `${this.#options.lfn}: tree ${selection.tree} cannot be opened`;
    return await guarded(this.#proxy, what, async () => {
      const { tree, branches } = await this.#select(selection);
      const all = [...withParts(branches)];
      const valueBytes = all.reduce((sum, { fTotBytes }) => sum + fTotBytes, 0);
      const { nameBytes } = new RootEntryEncoder(branches.map(({ fName }) => fName));
      const starts = all.map(basketStarts).filter((list) => list.length > 0);
      return groupEntries(tree.fEntries, starts, nameBytes + valueBytes / tree.fEntries);
    });
  }

  /** The entries `[firstEntry, endEntry)`. @throws INPUT_TREE_UNKNOWN, INPUT_ROOT_FAILED */
  async read(selection: RootSelection, firstEntry: number, endEntry: number): Promise<EncodedEntries> {
    const what = `${this.#options.lfn}: entries ${firstEntry} to ${endEntry - 1} of tree ${selection.tree} cannot be read`;
    return await guarded(this.#proxy, what, () => this.#readEntries(selection, firstEntry, endEntry));
  }

  async #readEntries(selection: RootSelection, firstEntry: number, endEntry: number): Promise<EncodedEntries> {
    const { tree, branches } = await this.#select(selection);
    const { jsroot } = this.#options;
    const encoder = new RootEntryEncoder(branches.map(({ fName }) => fName));
    const selector = new jsroot.TSelector();
    for (const branch of countersFirst(branches)) selector.addBranch(branch, branch.fName);
    let next = firstEntry;
    let problem: unknown;
    // What is thrown from here would not come back by jsroot's promise.
    selector.Process = (entry) => {
      if (problem !== undefined) return;
      try {
        if (entry !== next) throw new Error(`entry ${entry} comes where ${next} is due`);
        encoder.add(selector.tgtobj);
        next += 1;
      } catch (error) {
        problem = error;
      }
    };
    await jsroot.treeProcess(tree, selector, { firstentry: firstEntry, numentries: endEntry - firstEntry });
    if (problem !== undefined) throw problem;
    if (next === endEntry) return encoder.take();
    throw new Error(`nothing comes from entry ${next} on: a basket is damaged or missing`);
  }

  async close(): Promise<void> {
    this.#abort.abort();
    this.#file.delete();
    await this.#options.source.close();
  }

  async #treeNames(folder: RootFolder, path: string): Promise<Set<string>> {
    const names = new Set<string>();
    for (const { fName, fClassName } of folder.fKeys) {
      const name = `${path}${fName}`;
      if (TREE_CLASSES.has(fClassName)) names.add(name);
      if (!fClassName.startsWith('TDirectory')) continue;
      const inner = await this.#readObject<RootFolder>(name);
      for (const found of await this.#treeNames(inner, `${name}/`)) names.add(found);
    }
    return names;
  }

  #tree(name: string): Promise<RootTreeObject> {
    const known = this.#trees.get(name) ?? this.#readTree(name);
    this.#trees.set(name, known);
    return known;
  }

  async #readTree(name: string): Promise<RootTreeObject> {
    const tree = await this.#readObject<RootTreeObject>(name);
    // What jsroot makes of damaged class descriptions may be anything.
    if (Number.isSafeInteger(tree.fEntries) && tree.fEntries >= 0 && Array.isArray(tree.fBranches?.arr)) return tree;
    throw rootFailed(`${this.#options.lfn}: what stands for tree ${name} is no tree`);
  }

  #readObject<Kind>(name: string): Promise<Kind> {
    const what = `${this.#options.lfn}: ${name} cannot be read`;
    return guarded(this.#proxy, what, () => this.#file.readObject(name) as Promise<Kind>);
  }

  async #select(selection: RootSelection): Promise<{ tree: RootTreeObject; branches: readonly RootBranch[] }> {
    const tree = await this.#tree(selection.tree);
    const where = `${this.#options.lfn}, tree ${selection.tree}`;
    return { tree, branches: chooseBranches(tree.fBranches.arr, selection.branches, where) };
  }
}

/** An error of the source is what jsroot's own error is about. */
async function guarded<Result>(proxy: SourceProxy, what: string, work: () => Promise<Result>): Promise<Result> {
  proxy.takeError();
  try {
    return await work();
  } catch (error) {
    const cause = proxy.takeError() ?? error;
    if (isGranuleError(cause)) throw cause;
    throw rootFailed(`${what}: ${describeThrown(cause).message}`, cause);
  }
}

function* withParts(branches: readonly RootBranch[]): Generator<RootBranch> {
  for (const branch of branches) {
    yield branch;
    yield* withParts(branch.fBranches.arr);
  }
}

/** First entries of the baskets, those in the tree itself included; none for a branch that is only the sum of its parts. */
function basketStarts({ fWriteBasket, fBasketEntry, fBaskets }: RootBranch): number[] {
  const starts: number[] = [];
  for (let basket = 0; basket < fWriteBasket || fBaskets.arr[basket]; basket += 1) {
    starts.push(fBasketEntry[basket] ?? 0);
  }
  return starts;
}

/** jsroot adds the branch that holds the length of another by itself, and then cannot add it once more. */
function countersFirst(branches: readonly RootBranch[]): RootBranch[] {
  const counters = new Set<string | undefined>();
  for (const { fBranchCount, fLeaves } of withParts(branches)) {
    counters.add(fBranchCount?.fName);
    for (const leaf of fLeaves?.arr ?? []) counters.add(leaf.fLeafCount?.fName);
  }
  const isCounter = ({ fName }: RootBranch): boolean => counters.has(fName);
  return [...branches.filter(isCounter), ...branches.filter((branch) => !isCounter(branch))];
}
