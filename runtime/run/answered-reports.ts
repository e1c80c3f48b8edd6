/** What a run tells of reports once the dispatcher has answered them: how many events are finished, and which failed. */
import { assert } from '../../core/assert.ts';
import type { UpdateOutcome } from '../../core/dispatcher-api.ts';
import type { RangeReport } from '../../core/messages.ts';
import type { FlowInput } from '../flow-input.ts';

type Told = Pick<FlowInput, 'events' | 'meter' | 'task' | 'dispatcher'>;

/** @returns ranges among them that will be tried again */
export function tellAnswered(told: Told, reports: readonly RangeReport[], outcomes: readonly UpdateOutcome[]): number {
  const { events, meter } = told;
  const before = meter.finishedEvents;
  meter.note(reports, outcomes);
  if (meter.finishedEvents > before) events.emit('events:finished', { eventCount: meter.finishedEvents - before });
  let retryCount = 0;
  let index = -1;
  for (const report of reports) {
    index += 1;
    if (outcomes[index] !== 'accepted' || (report.kind === 'finished' && report.failedEvents === null)) continue;
    if (report.kind === 'failed' && !meter.isFatal(report)) retryCount += 1;
    tellFailures(told, report);
  }
  return retryCount;
}

/** One event of the run for each event that failed by itself, or one for the whole range. */
function tellFailures({ events, meter, task, dispatcher }: Told, report: RangeReport): void {
  const [range] = dispatcher.describeRanges(task.taskID, report.rangeIndex, 1);
  assert(range !== undefined, 'a report names a range of the task');
  const lfn = task.files[range.fileIndex]?.lfn ?? '';
  const { attemptNr } = report;
  for (const { position, failure } of report.failedEvents ?? []) {
    const { cause, message } = failure;
    events.emit('event:failed', { lfn, position, eventCount: 1, attemptNr, cause, message, fatal: true });
  }
  if (report.kind !== 'failed' || report.failedEvents !== null) return;
  const { cause, message } = report.failure;
  events.emit('event:failed', {
    lfn,
    position: report.failure.position ?? range.startEvent,
    eventCount: report.eventCount,
    attemptNr,
    cause,
    message,
    fatal: meter.isFatal(report),
  });
}
