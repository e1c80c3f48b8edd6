/** A stretch of an output as it is offered to the merge. */
import type { MergeItem, MergeJob } from '../core/dispatcher-api.ts';
import type { OutputLog } from './output-log.ts';
import type { OutputState } from './output-state.ts';
import type { RangeTable } from './range-table.ts';
import { isFinished, isTerminal } from './range-word.ts';

/** Terminal ranges that follow each other. */
export interface TerminalSpan {
  readonly first: number;
  /** exclusive; not above `first` when there are none */
  readonly end: number;
  /** the output ends here */
  readonly last: boolean;
}

/** Those from `first` on. What was found terminal is noted in `output.scannedTo` and not looked at again. */
export function terminalSpan(
  table: RangeTable,
  output: OutputState,
  first: number,
  { rangeCountMax, sealed }: { readonly rangeCountMax: number; readonly sealed: boolean },
): TerminalSpan {
  const { endRange } = table.plan.outputSpan(output.outputIndex);
  const scanEnd = Math.min(endRange, first + rangeCountMax);
  while (output.scannedTo < scanEnd && isTerminal(table.wordAt(output.scannedTo))) output.scannedTo += 1;
  const end = Math.min(output.scannedTo, scanEnd);
  return { first, end, last: end === endRange && (sealed || !table.plan.mayGrow(output.outputIndex)) };
}

/** A terminal range: its outputs, or that there are none. */
export function mergeItem(table: RangeTable, outputLog: OutputLog, rangeIndex: number): MergeItem {
  const { fileIndex, startEvent, lastEvent } = table.plan.locate(rangeIndex);
  return isFinished(table.wordAt(rangeIndex))
    ? { kind: 'finished', rangeIndex, fileIndex, startEvent, lastEvent, outputs: outputLog.get(rangeIndex) }
    : { kind: 'missing', rangeIndex, fileIndex, startEvent, lastEvent };
}

/** @param last the output ends with these items */
export function mergeJob(table: RangeTable, output: OutputState, items: readonly MergeItem[], last: boolean): MergeJob {
  const { firstRange, endRange } = table.plan.outputSpan(output.outputIndex);
  return {
    taskID: table.taskID,
    outputIndex: output.outputIndex,
    firstRange,
    rangeCount: endRange - firstRange,
    items,
    progress: output.progress,
    last,
  };
}

export function finishedOf(items: readonly MergeItem[]): ReadonlySet<number> {
  const finished = new Set<number>();
  for (const item of items) if (item.kind === 'finished') finished.add(item.rangeIndex);
  return finished;
}
