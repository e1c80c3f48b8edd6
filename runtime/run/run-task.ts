/**
 * The task of a run in the event table: submitted once, recognised at every later start, and extended while inputs are
 * still being read.
 *
 * The task is *open* while files may join it; once none is awaited it is sealed. A start that ends before leaves it open,
 * and the next one goes on adding.
 */
import { basename } from 'node:path';
import type { TaskFile } from '../../core/dispatcher-api.ts';
import type { Dispatcher } from '../../dispatcher/dispatcher.ts';
import type { InputReading } from '../inputs/input-reading.ts';
import { type InputSet, noUsableInput, type UsableInput } from '../inputs/input-set.ts';
import type { ResolvedRunOptions } from '../options/options.ts';
import { inputMismatch, type LoadedPayload } from '../payload-loading/describe-payload.ts';
import type { RunIdentity } from './run-identity.ts';
import { chooseFiles, shapeLateFiles, shapeTask, type TaskShape } from './task-shape.ts';

/** `files` and `inputs` grow while inputs are read. */
export interface RunTask extends TaskShape {
  readonly taskID: number;
  /** as the event table keeps it */
  readonly identity: RunIdentity;
  /** the table knew it from an earlier start */
  readonly resumed: boolean;
}

interface Growing extends RunTask {
  readonly files: TaskFile[];
  readonly inputs: UsableInput[];
}

/**
 * Submits the task of this run, or finds it, as soon as there is enough to begin with: all local files, all files that
 * the table knows, and one event.
 *
 * @throws RUN_DIFFERS, PAYLOAD_CHANGED, CONFIG_INVALID; what is wrong with a file of the run that cannot be used any more;
 *   what `InputReading.more` throws; SOURCE_UNREACHABLE when what it takes to begin is gone
 */
export async function openTask(
  dispatcher: Dispatcher,
  options: ResolvedRunOptions,
  payload: LoadedPayload,
  reading: InputReading,
): Promise<RunTask> {
  const [known] = dispatcher.listTasks();
  const before = known === undefined ? [] : await filesOf(dispatcher, known.taskID);
  reading.refuseWhere((record) => inputMismatch(payload, record));
  const { isLast, ...inputs } = await readEnough(reading, options, before, known?.sealed === true);
  const { identity, payloadChanged, ...shape } = shapeTask(
    { options, payload, inputs },
    known === undefined ? undefined : { record: known, files: before },
  );
  if (known !== undefined && payloadChanged) await dispatcher.acceptPayloadChange(known.taskID, payload.identity);
  const taskID = known?.taskID ?? (await submit(dispatcher, options, payload, identity));
  await addFiles(dispatcher, taskID, shape.files.slice(before.length), isLast);
  const kept = (known?.record as RunIdentity | undefined) ?? identity;
  const task: Growing = {
    ...shape,
    files: [...shape.files],
    inputs: [...shape.inputs],
    taskID,
    identity: kept,
    resumed: known !== undefined,
  };
  return task;
}

/**
 * Appends the files that have become usable since, and seals the task when no more will.
 *
 * @returns whether any file joined
 * @throws RUN_DIFFERS, CONFIG_INVALID, INPUT_DUPLICATE
 */
export async function extendTask(
  dispatcher: Dispatcher,
  options: ResolvedRunOptions,
  task: RunTask,
  reading: InputReading,
): Promise<boolean> {
  const { files, inputs } = shapeLateFiles(options, task, reading.take());
  const isLast = isAllKnown(reading);
  // First: the pilot may lease ranges of a file as soon as the table has it.
  (task as Growing).files.push(...files);
  (task as Growing).inputs.push(...inputs);
  await addFiles(dispatcher, task.taskID, files, isLast);
  return files.length > 0;
}

/** Nothing is awaited, and nothing is missing that may come back. */
function isAllKnown(reading: InputReading): boolean {
  return reading.isComplete && reading.gone === undefined;
}

/**
 * @param isSealed a run whose inputs were all known waits for all: they are known, and quickly found to be the same
 */
async function readEnough(
  reading: InputReading,
  options: ResolvedRunOptions,
  before: readonly TaskFile[],
  isSealed: boolean,
): Promise<InputSet & { readonly isLast: boolean }> {
  const inputs: UsableInput[] = [];
  const missing = new Set(before.map(({ guid }) => guid));
  const isEnough = (): boolean => missing.size === 0 && chooseFiles(options, inputs, 0).files.length > 0;
  do {
    await reading.more();
    if (!reading.isComplete && (reading.awaitsLocal || isSealed)) continue;
    for (const input of reading.take()) {
      inputs.push(input);
      missing.delete(input.record.guid);
    }
  } while (!reading.isComplete && !isEnough());
  if (reading.gone !== undefined && !isEnough()) throw reading.gone;
  if (inputs.length === 0) throw noUsableInput(reading.refused);
  inputs.sort((one, other) => one.rank - other.rank);
  return { inputs, refused: reading.refused, late: reading.late, isLast: isAllKnown(reading) };
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

/** Appends files that the table does not have yet. @param isLast no more will come */
async function addFiles(
  dispatcher: Dispatcher,
  taskID: number,
  files: readonly TaskFile[],
  isLast: boolean,
): Promise<void> {
  if (dispatcher.getTask(taskID).sealed) {
    if (files.length === 0) return;
    await dispatcher.unsealTask(taskID);
  }
  if (files.length > 0) await dispatcher.addFiles(taskID, files);
  if (isLast) await dispatcher.sealTask(taskID);
}
