/** One range as users and programs see it: what its chunk says, in words. */
import { RANGES_PER_CHUNK } from '../core/limits.ts';
import type { RangeState } from '../core/states.ts';
import type { Chunk } from './chunk.ts';
import { lengthOfCode } from './execution-length.ts';
import type { RangePlan } from './range-plan.ts';
import type { RangeTable } from './range-table.ts';
import { attemptOf, failuresOf, isHeld, lossesOf, SUBMITTED, stateNameOf } from './range-word.ts';

export interface RangeDescription {
  readonly rangeIndex: number;
  readonly fileIndex: number;
  /** 1-based, both ends included */
  readonly startEvent: number;
  readonly lastEvent: number;
  readonly state: RangeState;
  /** hand-outs so far */
  readonly attemptNr: number;
  readonly failures: number;
  readonly losses: number;
  /** job that holds it */
  readonly jobID?: number;
  /** time in `execute` of its last execution, within 5 % */
  readonly wallMs?: number;
}

/** @param chunk undefined for one that nobody touched */
export function describeRange(plan: RangePlan, rangeIndex: number, chunk: Chunk | undefined): RangeDescription {
  const offset = rangeIndex % RANGES_PER_CHUNK;
  const word = chunk?.wordAt(offset) ?? SUBMITTED;
  const wallMs = lengthOfCode(chunk?.lengths[offset] ?? 0);
  return {
    rangeIndex,
    ...plan.locate(rangeIndex),
    state: stateNameOf(word),
    attemptNr: attemptOf(word),
    failures: failuresOf(word),
    losses: lossesOf(word),
    ...(chunk !== undefined && isHeld(word) ? { jobID: chunk.ownerAt(offset) } : {}),
    ...(wallMs === undefined ? {} : { wallMs }),
  };
}

/** As they stand in memory, up to `rangeCount` from `firstRange` on. */
export function* describeRanges(
  table: RangeTable,
  firstRange: number,
  rangeCount: number,
): IterableIterator<RangeDescription> {
  const end = Math.min(table.plan.rangeCount, firstRange + rangeCount);
  for (let rangeIndex = firstRange; rangeIndex < end; rangeIndex += 1) {
    yield describeRange(table.plan, rangeIndex, table.chunkOf(rangeIndex));
  }
}
