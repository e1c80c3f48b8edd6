/** What an earlier start of a run has left, taken up before the first event of this one. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from '../../core/assert.ts';
import type { Dispatcher } from '../../dispatcher/dispatcher.ts';
import type { OutputFormat } from '../../payloads/formats/event-format.ts';
import { outputFormat } from '../../payloads/formats/registry.ts';
import { takeBoardFiles } from '../board/board-file.ts';
import { type DamagedOutput, findDamagedOutputs } from '../merge/completed-check.ts';
import { sweepGrowingFolder } from '../merge/growing-sweep.ts';
import { streamFormat } from '../merge/output-names.ts';
import type { ResolvedRunOptions } from '../options/options.ts';
import { removeHalfBundles } from '../payload-loading/half-bundles.ts';
import { TEMPORARY_SUFFIX } from '../worker/event-file.ts';
import { countEvents } from './event-counts.ts';
import type { NodeEvents } from './run-events.ts';
import { lastReport, type RunFolders } from './run-folders.ts';
import type { RunTask } from './run-task.ts';
import { removeUnrecorded } from './unmerged-folder.ts';

/** Counts are of ranges and files. */
interface Recovered {
  readonly returnedCount: number;
  readonly adoptedCount: number;
  /** complete outputs whose files were removed or altered: their events are made again */
  readonly damaged: readonly DamagedOutput[];
}

export interface RecoveryParts {
  readonly folders: RunFolders;
  readonly options: ResolvedRunOptions;
  readonly events: NodeEvents;
}

/**
 * Takes up what is left, and tells of the task and of that.
 *
 * @returns events that need not be made any more
 * @throws STORE_FAILED
 */
export async function recoverRun(dispatcher: Dispatcher, task: RunTask, parts: RecoveryParts): Promise<number> {
  const { events } = parts;
  const startedMs = performance.now();
  const { taskID, resumed } = task;
  const { fileCount, eventCount, rangeCount } = dispatcher.getTask(taskID);
  events.emit('task:submitted', { taskID, fileCount, eventCount, rangeCount, resumed });
  const { returnedCount, adoptedCount, damaged } = await recoverTask(dispatcher, task, parts);
  const eventsFinished = countEvents(dispatcher.getTask(taskID).events).finished;
  if (!resumed) return eventsFinished;
  for (const { path, problem } of damaged) events.emit('output:damaged', { path, message: problem });
  events.emit('run:recovered', {
    eventsFinished,
    rangesReturned: returnedCount,
    filesAdopted: adoptedCount,
    outputsDamaged: damaged.length,
    wallMs: performance.now() - startedMs,
  });
  return eventsFinished;
}

/**
 * Outputs that somebody removed or altered are made again. After a death, complete outputs of single events are adopted,
 * everything else it held is ready again, and files that nobody will ask for are removed.
 */
async function recoverTask(
  dispatcher: Dispatcher,
  task: RunTask,
  { folders, options }: RecoveryParts,
): Promise<Recovered> {
  const { taskID } = task;
  const inExecution = takeBoardFiles(folders.workers);
  const completed = (): ReturnType<Dispatcher['completedFiles']> => dispatcher.completedFiles(taskID);
  const damaged = await findDamagedOutputs(
    folders,
    completed(),
    options.verifyOutputs ? 'all' : await lastReport(folders),
  );
  for (const { outputIndex, problem } of damaged) {
    await dispatcher.resetOutput({ taskID, outputIndex, message: problem });
  }
  sweepGrowingFolder(folders, completed);
  await removeHalfBundles(folders.bundles);
  if (!dispatcher.recovery.afterDeath) return { returnedCount: 0, adoptedCount: 0, damaged };
  const { adoptOutputs } = await import('./adoption.ts');
  const ranges = [...dispatcher.adoptable(taskID)];
  const { adopted } = await adoptOutputs({
    aggregationFolder: folders.aggregation,
    taskID,
    streams: task.streams.map((stream) => ({
      name: stream.name,
      formatOf: (fileIndex: number): OutputFormat => {
        const file = task.files[fileIndex];
        assert(file !== undefined, 'a range belongs to a file of its task');
        return outputFormat(streamFormat(stream, file.format));
      },
    })),
    sequence: options.sequence,
    sameBoot: dispatcher.recovery.sameBoot,
    ranges: options.eventsPerRange === 1 ? ranges : [],
    recordedFiles: dispatcher.unmergedFiles(taskID),
  });
  if (adopted.length > 0) {
    await dispatcher.adopt(
      taskID,
      adopted.map((range) => ({ kind: 'finished', ...range, wallMs: 0, cpuMs: 0 })),
    );
  }
  await removeHalfWritten(folders.workers);
  await dispatcher.releaseDead(taskID, inExecution);
  return { returnedCount: ranges.length - adopted.length, adoptedCount: adopted.length, damaged };
}

/**
 * What a complete run leaves when some of its starts ended early. A merger removes a file that several ranges share when it
 * has taken all of them itself, and does not know which ones an earlier start took. Nobody may write there any more.
 */
export async function removeRemains(
  dispatcher: Dispatcher,
  { taskID }: Pick<RunTask, 'taskID'>,
  folders: Pick<RunFolders, 'workers' | 'aggregation'>,
): Promise<void> {
  takeBoardFiles(folders.workers);
  await removeUnrecorded(folders.aggregation, dispatcher.unmergedFiles(taskID));
}

/** Event files that dead workers had not completed: each has a name that nobody will use again. */
async function removeHalfWritten(workersFolder: string): Promise<void> {
  for (const worker of await readdir(workersFolder, { withFileTypes: true })) {
    if (!worker.isDirectory()) continue;
    const folder = join(workersFolder, worker.name);
    const names = (await readdir(folder)).filter((name) => name.endsWith(TEMPORARY_SUFFIX));
    await Promise.all(names.map((name) => rm(join(folder, name), { force: true })));
  }
}
