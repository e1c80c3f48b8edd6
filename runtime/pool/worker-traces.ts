/**
 * What a worker that died leaves on disk: temporary files in its folder, and, of a range of several events that it had
 * not finished, files of single events that are at the aggregation point already. None of them is ever recorded.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Failure } from '../../core/dispatcher-api.ts';
import { formatEventRangeID } from '../../core/ids.ts';
import { SHARD_RANGES } from '../../core/limits.ts';
import type { RangeToken } from '../../core/messages.ts';
import { TEMPORARY_SUFFIX } from '../worker/event-file.ts';
import { failureOfSuspect } from '../worker/failures.ts';
import { logTailOf, WORKER_LOG_NAME } from '../worker/worker-log.ts';

export interface WorkerTraces {
  /** the worker's own folder */
  readonly folder: string;
  readonly aggregationFolder: string;
  readonly streams: readonly string[];
  readonly taskID: number;
  readonly jobID: number;
  /** what it executed when it died */
  readonly culprit: { readonly token: RangeToken; readonly copy: boolean } | undefined;
}

/** Never throws: what cannot be removed is in nobody's way. */
export function removeTraces(traces: WorkerTraces): void {
  try {
    for (const name of readdirSync(traces.folder)) {
      if (name.endsWith(TEMPORARY_SUFFIX)) rmSync(join(traces.folder, name), { force: true });
    }
    for (const path of eventFiles(traces)) rmSync(join(traces.aggregationFolder, path), { force: true });
  } catch {
    // The folder is gone, or the disk is.
  }
}

/** How ranges that a session held fail when it dies of `failure`: with the last lines that they left in its log. */
export function failureWithLog(
  failure: Failure,
  { folder, taskID, jobID }: Pick<WorkerTraces, 'folder' | 'taskID' | 'jobID'>,
): (token: RangeToken) => Failure {
  return ({ fileIndex, startEvent, attemptNr, suspect }) => {
    const id = formatEventRangeID({ taskID, jobID, fileID: fileIndex + 1, startEvent, attemptNr });
    const logTail = logTailOf(join(folder, WORKER_LOG_NAME), id);
    return { ...(suspect ? failureOfSuspect(failure) : failure), logTail };
  };
}

/** Paths that the range's events may have files at. */
function* eventFiles({ streams, taskID, jobID, culprit }: WorkerTraces): IterableIterator<string> {
  if (culprit === undefined) return;
  const { token, copy } = culprit;
  const { rangeIndex, fileIndex, attemptNr } = token;
  for (let startEvent = token.startEvent; startEvent < token.lastEvent; startEvent += 1) {
    const id = formatEventRangeID({ taskID, jobID, fileID: fileIndex + 1, startEvent, attemptNr });
    for (const stream of streams) {
      yield `${Math.floor(rangeIndex / SHARD_RANGES)}/${stream}.${id}${copy ? '.copy' : ''}`;
    }
  }
}
