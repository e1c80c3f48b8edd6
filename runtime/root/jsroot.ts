/**
 * The door to jsroot, an optional peer: found beside granule or beside the user's current folder, loaded in the thread
 * that reads ROOT files and nowhere else. Its types are empty, so what is used of it is declared here.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { GranuleError } from '../../core/errors.ts';

/** A basket that lies in the tree itself: the last one of a file that was closed early. */
export interface EmbeddedBasket {
  readonly fNevBuf: number;
}

export interface RootLeaf {
  /** the leaf that holds the length of this one */
  readonly fLeafCount?: { readonly fName: string } | null;
  /** values an entry, for one of fixed length */
  readonly fLen?: number;
}

/** TBranch and its descendants. */
export interface RootBranch {
  readonly fName: string;
  readonly fLeaves?: { readonly arr: readonly RootLeaf[] };
  /** the branch that holds the lengths of this one */
  readonly fBranchCount?: RootBranch | null;
  readonly fEntries: number;
  /** uncompressed */
  readonly fTotBytes: number;
  /** baskets in the file; those embedded in the tree come behind */
  readonly fWriteBasket: number;
  readonly fBasketEntry: ArrayLike<number>;
  readonly fBaskets: { readonly arr: readonly (EmbeddedBasket | null | undefined)[] };
  readonly fBranches: { readonly arr: readonly RootBranch[] };
}

export interface RootTreeObject {
  readonly fEntries: number;
  readonly fBranches: { readonly arr: readonly RootBranch[] };
}

export interface RootKey {
  readonly fName: string;
  readonly fClassName: string;
  /** version of an object of this name: the highest is the newest */
  readonly fCycle: number;
}

/** TFile or TDirectory. */
export interface RootFolder {
  readonly fKeys: readonly RootKey[];
}

export interface RootFileObject extends RootFolder {
  readObject(name: string): Promise<unknown>;
  delete(): void;
}

/** TSelector: `tgtobj` holds the values of the entry that `Process` is called for, and is used again for the next. */
export interface RootSelector {
  readonly tgtobj: Readonly<Record<string, unknown>>;
  addBranch(branch: RootBranch, name: string): number;
  Process: (entry: number) => void;
  Terminate: (complete: boolean) => void;
}

/** How jsroot is given the bytes of a file. */
export interface RootFileProxy {
  openFile(): Promise<boolean>;
  getFileName(): string;
  getFileSize(): number;
  /** @param places offset and length, alternating */
  readBuffers(places: readonly number[]): Promise<DataView[]>;
}

export interface Jsroot {
  readonly FileProxy: new () => object;
  readonly TSelector: new () => RootSelector;
  openFile(proxy: RootFileProxy): Promise<RootFileObject>;
  treeProcess(
    tree: RootTreeObject,
    selector: RootSelector,
    range: { readonly firstentry: number; readonly numentries: number },
  ): Promise<unknown>;
}

/** @throws INPUT_READER_MISSING */
export async function loadJsroot(): Promise<Jsroot> {
  for (const origin of [import.meta.url, join(process.cwd(), 'package.json')]) {
    const io = tryResolve(origin, 'jsroot/io');
    const tree = tryResolve(origin, 'jsroot/tree');
    if (io === undefined || tree === undefined) continue;
    return { ...(await import(io)), ...(await import(tree)) } as Jsroot;
  }
  throw new GranuleError('INPUT_READER_MISSING', 'to read ROOT files, the optional package jsroot must be installed', {
    remedy: 'install it beside granule or in the current folder: npm install --ignore-scripts jsroot',
  });
}

function tryResolve(origin: string, name: string): string | undefined {
  try {
    return pathToFileURL(createRequire(origin).resolve(name)).href;
  } catch {
    // Not here: the next folder may have it.
    return undefined;
  }
}
