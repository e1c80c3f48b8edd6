/** Which branches of a tree state the run and event number of its entries, by the names that experiments give them. */
import type { RootBranch } from './jsroot.ts';

export interface NumberBranches {
  readonly run: RootBranch;
  readonly eventNumber: RootBranch;
}

/** `run` and `event` of CMS's NanoAOD, `runNumber` and `eventNumber` of ATLAS and LHCb, and the like. */
const RUN_NAME = /^(?:run|run_?(?:number|nr|no))$/i;
const EVENT_NAME = /^(?:event|evt|(?:event|evt)_?(?:number|nr|no))$/i;

/** Undefined unless there is one scalar branch for each. */
export function findNumberBranches(branches: readonly RootBranch[]): NumberBranches | undefined {
  const [run, ...otherRuns] = branches.filter(({ fName }) => RUN_NAME.test(fName)).filter(isScalar);
  const [eventNumber, ...otherEvents] = branches.filter(({ fName }) => EVENT_NAME.test(fName)).filter(isScalar);
  if (run === undefined || eventNumber === undefined || otherRuns.length + otherEvents.length > 0) return undefined;
  return { run, eventNumber };
}

/** One value an entry: not split, of one leaf, without a length of its own. */
function isScalar({ fBranches, fLeaves }: RootBranch): boolean {
  const [leaf, ...others] = fLeaves?.arr ?? [];
  if (fBranches.arr.length > 0 || leaf === undefined || others.length > 0) return false;
  return (leaf.fLeafCount ?? null) === null && (leaf.fLen ?? 1) === 1;
}
