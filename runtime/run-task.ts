/**
 * The task of a run in the event table: submitted once, recognised at every later start.
 */
import { basename } from 'node:path';
import type { TaskFile } from '../core/dispatcher-api.ts';
import type { Dispatcher } from '../dispatcher/dispatcher.ts';
import type { InputSet } from './input-set.ts';
import type { ResolvedRunOptions } from './options.ts';
import type { LoadedPayload } from './payload-loading/describe-payload.ts';
import type { RunIdentity } from './run-identity.ts';
import { shapeTask, type TaskShape } from './task-shape.ts';

export interface RunTask extends TaskShape {
  readonly taskID: number;
  /** the table knew it from an earlier start */
  readonly resumed: boolean;
}

/**
 * Submits the task of this run, or finds it.
 *
 * @throws RUN_DIFFERS, PAYLOAD_CHANGED, CONFIG_INVALID; what is wrong with a file of the run that cannot be used any more
 */
export async function openTask(
  dispatcher: Dispatcher,
  options: ResolvedRunOptions,
  payload: LoadedPayload,
  inputs: InputSet,
): Promise<RunTask> {
  const [known] = dispatcher.listTasks();
  const before = known === undefined ? [] : await filesOf(dispatcher, known.taskID);
  const { identity, payloadChanged, ...shape } = shapeTask(
    { options, payload, inputs },
    known === undefined ? undefined : { record: known, files: before },
  );
  if (known !== undefined && payloadChanged) await dispatcher.acceptPayloadChange(known.taskID, payload.identity);
  const taskID = known?.taskID ?? (await submit(dispatcher, options, payload, identity));
  await addFiles(dispatcher, taskID, shape.files.slice(before.length));
  return { taskID, ...shape, resumed: known !== undefined };
}

function submit(
  dispatcher: Dispatcher,
  options: ResolvedRunOptions,
  payload: LoadedPayload,
  identity: RunIdentity,
): Promise<number> {
  return dispatcher.submitTask({
    name: basename(options.outFolder),
    record: identity,
    payload: payload.identity,
    eventsPerRange: options.eventsPerRange,
    ...(options.eventsPerOutput === null ? {} : { eventsPerOutput: options.eventsPerOutput }),
    failuresMax: options.failuresMax,
    lossesMax: options.lossesMax,
    order: options.order,
  });
}

async function filesOf(dispatcher: Dispatcher, taskID: number): Promise<TaskFile[]> {
  const files: TaskFile[] = [];
  for await (const file of dispatcher.files(taskID)) files.push(file);
  return files;
}

/** Appends files that the table does not have yet, all for a new task, and says that there are no more. */
async function addFiles(dispatcher: Dispatcher, taskID: number, files: readonly TaskFile[]): Promise<void> {
  if (dispatcher.getTask(taskID).sealed) {
    if (files.length === 0) return;
    await dispatcher.unsealTask(taskID);
  }
  await dispatcher.addFiles(taskID, files);
  await dispatcher.sealTask(taskID);
}
