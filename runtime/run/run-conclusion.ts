/** The end of a start of a run: the payload's last word, and what is written and told about the run. */
import { join } from 'node:path';
import { assert } from '../../core/assert.ts';
import type { Dispatcher } from '../../dispatcher/dispatcher.ts';
import { openTableReader } from '../../dispatcher/table-reader.ts';
import { writeRunCatalogue } from '../catalogue/run-catalogue.ts';
import { writeFileDurably } from '../durable-file.ts';
import type { InputReading } from '../inputs/input-reading.ts';
import type { PartialOutput } from '../merge/stretch-runner.ts';
import type { ResolvedRunOptions } from '../options/options.ts';
import type { LoadedPayload } from '../payload-loading/describe-payload.ts';
import type { PayloadCallBounds } from '../payload-loading/payload-call.ts';
import { reportPayload } from '../payload-loading/payload-hooks.ts';
import { countEvents, type EventCounts } from './event-counts.ts';
import type { DrainReason } from './run-events.ts';
import type { RunFolders } from './run-folders.ts';
import type { RunSurroundings } from './run-handle.ts';
import type { RunMeter } from './run-meter.ts';
import { reportRun } from './run-report.ts';
import type { RunEnding, RunSummary } from './run-summary.ts';
import type { RunTask } from './run-task.ts';

export interface ConcludedRun {
  readonly options: ResolvedRunOptions;
  readonly folders: RunFolders;
  readonly surroundings: RunSurroundings;
  readonly task: RunTask;
  readonly payload: LoadedPayload;
  readonly reading: InputReading;
  readonly partial: readonly PartialOutput[];
  readonly meter: RunMeter;
  /** events found finished when this start began */
  readonly recoveredEvents: number;
  /** while workers ran */
  readonly processingMs: number;
  /** speculative copies started */
  readonly copyCount: number;
  readonly drainReason: DrainReason | undefined;
  readonly reason: string | undefined;
}

/** The payload's `report`, once everything is merged. @throws PAYLOAD_REPORT_FAILED, or the reason of the signal */
export async function callReport(
  dispatcher: Dispatcher,
  taskID: number,
  payload: LoadedPayload,
  { folder, ...bounds }: PayloadCallBounds & { readonly folder: string },
): Promise<void> {
  const outputs: Record<string, string[]> = {};
  for (const { stream, path } of dispatcher.completedFiles(taskID)) {
    outputs[stream] ??= [];
    outputs[stream].push(join(folder, path));
  }
  for (const paths of Object.values(outputs)) paths.sort();
  const eventCount = countEvents(dispatcher.getTask(taskID).events);
  await reportPayload(payload, { folder, eventCount, outputs }, bounds);
}

/**
 * Writes catalogue, manifest and report, from the event table and after the dispatcher has closed it, so that they say what is
 * durable.
 *
 * @throws OUTPUT_FAILED
 */
export function concludeRun(run: ConcludedRun): RunSummary {
  const { options, folders, surroundings, task } = run;
  const { refused, gone } = run.reading;
  writeRunCatalogue(folders, task.inputs);
  const reader = openTableReader(folders.store);
  try {
    const status = reader.tasks().find(({ record }) => record.taskID === task.taskID);
    assert(status !== undefined, 'the event table has the task of the run');
    const counts = countEvents(status.events);
    const summary = reportRun(reader, {
      options,
      task,
      payload: run.payload,
      refused,
      partial: run.partial,
      command: surroundings.command,
      meter: run.meter,
      recoveredEvents: run.recoveredEvents,
      copyCount: run.copyCount,
      ending: endingOf(counts, run.reading, run.drainReason),
      reason: run.reason ?? gone?.message,
      wallMs: Date.now() - surroundings.startedAtMs,
      processingMs: run.processingMs,
    });
    writeFileDurably(folders.report, [JSON.stringify(summary, null, 2), '\n']);
    return summary;
  } finally {
    void reader.close();
  }
}

function endingOf(
  { total, finished, failed }: EventCounts,
  { refused, gone, isComplete }: InputReading,
  drainReason: DrainReason | undefined,
): RunEnding {
  if (total === finished + failed && isComplete && gone === undefined) {
    return failed + refused.length > 0 ? 'failed-events' : 'complete';
  }
  switch (drainReason ?? (gone === undefined ? undefined : 'source-gone')) {
    case undefined:
    case 'limit-reached':
      return 'limited';
    case 'halted':
      return 'halted';
    case 'interrupted':
      return 'interrupted';
    default:
      return 'drained';
  }
}
