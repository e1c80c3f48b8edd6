/** A task as users and runtimes see it. */
import type { CountsPerState } from '../core/states.ts';
import type { Task } from './task.ts';
import { eventsByState, type TaskRecord, type TaskTotals } from './task-record.ts';

export interface TaskSummary extends TaskRecord {
  readonly fileCount: number;
  readonly rangeCount: number;
  readonly eventCount: number;
  readonly outputCount: number;
  /** number of ranges in each state */
  readonly ranges: CountsPerState;
  /** number of events in each state */
  readonly events: CountsPerState;
  readonly totals: Readonly<TaskTotals>;
  /** files of finished ranges that wait to be merged */
  readonly unmergedFileCount: number;
  /** ranges waiting to be handed out once more */
  readonly returnedCount: number;
}

export function summarise(task: Task): TaskSummary {
  const { table } = task;
  return {
    ...task.record,
    fileCount: table.plan.fileCount,
    rangeCount: table.plan.rangeCount,
    eventCount: table.plan.eventCount,
    outputCount: table.plan.outputCount,
    ranges: table.counts(),
    events: eventsByState(table.eventCounts(), table.totals.failedEvents),
    totals: { ...table.totals },
    unmergedFileCount: task.outputLog.fileCount,
    returnedCount: table.returned.total,
  };
}
