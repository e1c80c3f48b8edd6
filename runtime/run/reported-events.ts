/**
 * Lists of events that the manifest and the summary name, read range by range from the event table: which an output lacks,
 * which payload made which, and which failed.
 */
import type { Failure, TaskFile } from '../../core/dispatcher-api.ts';
import { MANIFEST_RANGES_SCANNED_MAX } from '../../core/limits.ts';
import type { FailureCause, RangeState } from '../../core/states.ts';
import { contains, type RangeIntervals } from '../../dispatcher/range-intervals.ts';
import type { OutputReport, RangeReport, TableReader } from '../../dispatcher/table-reader.ts';
import { COMMITTED, MISSING } from './event-counts.ts';
import { type EventList, EventListBuilder, type ManifestFailedEvent } from './manifest.ts';
import type { RunSummary } from './run-summary.ts';
import type { RunTask } from './run-task.ts';

/** Ranges read from the table at once. */
const PAGE = 1000;

/**
 * Outputs with the events that are not in them. The table is read once for all: there may be as many outputs as files.
 *
 * @param outputs in their order
 */
export function* withMissing(
  reader: TableReader,
  task: RunTask,
  outputs: readonly OutputReport[],
): IterableIterator<{ readonly output: OutputReport; readonly missing: EventList }> {
  const ranges = rangesIn(reader, task.taskID, MISSING, outputs[0]?.firstRange ?? 0);
  let next = ranges.next();
  for (const output of outputs) {
    const list = new EventListBuilder();
    while (!next.done && next.value.rangeIndex < output.endRange) {
      if (next.value.rangeIndex >= output.firstRange) addMissing(list, task.files, next.value);
      next = ranges.next();
    }
    yield { output, missing: list.build() };
  }
}

/** Committed events by epoch; the last list is of those in none of the epochs that are over. */
export function madeBy(reader: TableReader, task: RunTask, epochs: readonly RangeIntervals[]): EventList[] {
  const lists = [...epochs.map(() => new EventListBuilder()), new EventListBuilder()];
  let scannedCount = 0;
  for (const range of rangesIn(reader, task.taskID, COMMITTED, 0)) {
    scannedCount += 1;
    if (scannedCount > MANIFEST_RANGES_SCANNED_MAX) {
      return lists.map((list) => ({ ...list.build(), complete: false }));
    }
    const epoch = epochs.findIndex((ranges) => contains(ranges, range.rangeIndex));
    const list = lists[epoch < 0 ? lists.length - 1 : epoch];
    if (list !== undefined) addMade(list, task.files, range);
  }
  return lists.map((list) => list.build());
}

/** Events that failed for good, with the reason of their last attempt; in the order of ranges. */
export function* failedEvents(reader: TableReader, task: RunTask): IterableIterator<ManifestFailedEvent> {
  for (const range of rangesIn(reader, task.taskID, ['fatal'], 0)) {
    const file = task.files[range.fileIndex];
    for (const { position, failure } of eventFailures(range)) {
      yield {
        lfn: file?.lfn ?? '',
        guid: file?.guid ?? '',
        position,
        cause: failure?.cause ?? 'worker-died',
        message: failure?.message ?? '',
        attempts: range.attemptNr,
      };
    }
  }
}

/** Events of a range that failed for good: those that failed by themselves, or all of a range that failed as a whole. */
function* eventFailures(range: RangeReport): IterableIterator<{ position: number; failure: Failure | undefined }> {
  if (range.failedEvents !== undefined) {
    yield* range.failedEvents;
    return;
  }
  for (let position = range.startEvent; position <= range.lastEvent; position += 1) {
    yield { position, failure: range.failure };
  }
}

/** The same by cause, most frequent first. */
export function groupFailures(reader: TableReader, task: RunTask): RunSummary['failures'] {
  const groups = new Map<FailureCause, { events: number; example: string; message: string }>();
  for (const range of rangesIn(reader, task.taskID, ['fatal'], 0)) {
    const lfn = task.files[range.fileIndex]?.lfn;
    for (const { position, failure } of eventFailures(range)) {
      const cause = failure?.cause ?? 'worker-died';
      const example = `${lfn}:${failure?.position ?? position}`;
      const group = groups.get(cause) ?? { events: 0, example, message: failure?.message ?? '' };
      group.events += 1;
      groups.set(cause, group);
    }
  }
  return [...groups].map(([cause, group]) => ({ cause, ...group })).sort((a, b) => b.events - a.events);
}

function* rangesIn(
  reader: TableReader,
  taskID: number,
  states: readonly RangeState[],
  firstRange: number,
): IterableIterator<RangeReport> {
  let fromRange: number | undefined = firstRange;
  while (fromRange !== undefined) {
    const page: ReturnType<TableReader['events']> = reader.events({ taskID, states, fromRange, limit: PAGE });
    yield* page.ranges;
    fromRange = page.next;
  }
}

function addMissing(list: EventListBuilder, files: readonly TaskFile[], range: RangeReport): void {
  if (range.failedEvents === undefined) addEvents(list, files, range, range.startEvent, range.lastEvent);
  else for (const { position } of range.failedEvents) addEvents(list, files, range, position, position);
}

/** The events of a finished range, without those that failed by themselves. */
function addMade(list: EventListBuilder, files: readonly TaskFile[], range: RangeReport): void {
  let from = range.startEvent;
  for (const { position } of range.failedEvents ?? []) {
    if (position > from) addEvents(list, files, range, from, position - 1);
    from = position + 1;
  }
  if (from <= range.lastEvent) addEvents(list, files, range, from, range.lastEvent);
}

function addEvents(
  list: EventListBuilder,
  files: readonly TaskFile[],
  { fileIndex }: RangeReport,
  firstEvent: number,
  lastEvent: number,
): void {
  const file = files[fileIndex];
  if (file !== undefined) list.add(file, firstEvent, lastEvent);
}
