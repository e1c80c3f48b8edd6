/** How far a run is, in the numbers that progress lines and monitors show. */
import type { TaskSummary } from '../../dispatcher/task-summary.ts';
import type { Flow } from '../flow.ts';
import { countEvents } from './event-counts.ts';
import type { ProgressSnapshot } from './run-events.ts';
import type { RunMeter } from './run-meter.ts';

export interface ProgressFacts {
  readonly status: TaskSummary;
  readonly flow: Pick<Flow, 'isDraining' | 'busyCount'>;
  readonly meter: RunMeter;
  /** inputs that are still being read */
  readonly awaitedCount: number;
  readonly workerCount: number;
  /** since the run began */
  readonly elapsedMs: number;
}

export function progressOf({
  status,
  flow,
  meter,
  awaitedCount,
  workerCount,
  elapsedMs,
}: ProgressFacts): ProgressSnapshot {
  const { total, finished, failed } = countEvents(status.events);
  const isAllProcessed = finished + failed === total && awaitedCount === 0;
  return {
    phase: flow.isDraining ? 'draining' : isAllProcessed ? 'merging' : 'processing',
    inputsAwaited: awaitedCount,
    eventsTotal: total,
    eventsFinished: finished,
    eventsFailed: failed,
    eventsFinishedNow: meter.finishedEvents,
    eventsRetried: meter.retriedEvents,
    workersBusy: flow.busyCount,
    workerCount,
    unmergedFiles: status.unmergedFileCount,
    elapsedMs,
  };
}
