/**
 * The task of a run in the event table: submitted once, recognised at every later start.
 */
import { basename } from 'node:path';
import type { TaskFile } from '../core/dispatcher-api.ts';
import { GranuleError } from '../core/errors.ts';
import { clipSelection } from '../core/event-selection.ts';
import { REFUSED_PLACES_LENGTH_MAX } from '../core/limits.ts';
import type { Dispatcher } from '../dispatcher/dispatcher.ts';
import type { TaskSummary } from '../dispatcher/task-summary.ts';
import type { InputSet, RefusedInput, UsableInput } from './input-set.ts';
import { checkOutputFormats, type MergeStream, type OutputNaming } from './merge/output-names.ts';
import type { ResolvedRunOptions } from './options.ts';
import type { LoadedPayload } from './payload-loading/describe-payload.ts';
import { checkSameInputs, checkSameRun, IDENTITY_SCHEMA, inOrderOf, type RunIdentity } from './run-identity.ts';

export interface RunTask {
  readonly taskID: number;
  /** by fileIndex */
  readonly files: readonly TaskFile[];
  readonly inputs: readonly UsableInput[];
  readonly streams: readonly MergeStream[];
  readonly naming: OutputNaming;
  /** the table knew it from an earlier start */
  readonly resumed: boolean;
}

export function identityOf(
  options: ResolvedRunOptions,
  payload: LoadedPayload,
  refused: readonly RefusedInput[],
): RunIdentity {
  return {
    schema: IDENTITY_SCHEMA,
    payload: payload.name,
    payloadOptions: payload.options,
    outputs: payload.outputs,
    seed: options.seed,
    selection: options.events,
    tree: options.tree,
    branches: options.branches,
    eventsPerRange: options.eventsPerRange,
    eventsPerOutput: options.eventsPerOutput,
    refusedPlaces: bounded(refused.map(({ place }) => place)),
  };
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
  { inputs, refused }: InputSet,
): Promise<RunTask> {
  const identity = identityOf(options, payload, refused);
  const [known] = dispatcher.listTasks();
  if (known !== undefined) await checkKnown(dispatcher, known, { options, payload, identity });
  const before = known === undefined ? [] : await filesOf(dispatcher, known.taskID);
  const chosen = chosenFiles(options, arrange(options, before, inputs));
  const files = chosen.map(({ file }) => file);
  const streams = Object.entries(payload.outputs).map(([name, { format }]): MergeStream => ({ name, format }));
  const naming: OutputNaming =
    options.eventsPerOutput === null ? { kind: 'input-file' } : { kind: 'task', taskName: basename(options.outFolder) };
  checkOutputFormats(naming, streams, files);
  if (known !== undefined) {
    checkUsable(before, refused, options.outFolder);
    const given = chosen.map(({ file: { lfn, guid }, input: { place } }) => ({ lfn, guid, place }));
    // A start that died while it added files has left those that come after.
    const compared = known.sealed ? given : given.slice(0, before.length);
    checkSameInputs(before, compared, { identity: known.record as RunIdentity, outFolder: options.outFolder });
  }
  const taskID = known?.taskID ?? (await submit(dispatcher, options, payload, identity));
  await addFiles(dispatcher, taskID, files.slice(before.length));
  return { taskID, files, inputs: chosen.map(({ input }) => input), streams, naming, resumed: known !== undefined };
}

async function checkKnown(
  dispatcher: Dispatcher,
  known: TaskSummary,
  now: { readonly options: ResolvedRunOptions; readonly payload: LoadedPayload; readonly identity: RunIdentity },
): Promise<void> {
  const { options, payload, identity } = now;
  checkSameRun(known.record as RunIdentity, identity, options.outFolder);
  const inForce = known.payloads.at(-1);
  if (inForce === payload.identity) return;
  if (!options.acceptPayloadChange) {
    throw new GranuleError(
      'PAYLOAD_CHANGED',
      `the code of payload ${payload.name} changed since the run in ${options.outFolder} began (${short(inForce)} then, ${short(payload.identity)} now)`,
      {
        details: { before: inForce ?? '', now: payload.identity },
        remedy:
          'give --accept-payload-change to make the events that are left with the new code (the manifest tells which were made by which), or --fresh to begin anew',
      },
    );
  }
  await dispatcher.acceptPayloadChange(known.taskID, payload.identity);
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

/** The order of files matters where outputs are cut across them; else that of the table holds. */
function arrange(
  options: ResolvedRunOptions,
  before: readonly TaskFile[],
  inputs: readonly UsableInput[],
): readonly UsableInput[] {
  if (options.eventsPerOutput !== null) return inputs;
  const named = inputs.map((input) => ({ lfn: input.record.lfn, guid: input.record.guid, input }));
  return inOrderOf(before, named).map(({ input }) => input);
}

/** A file of the run that was refused this time says more than that it is not among the inputs. */
function checkUsable(before: readonly TaskFile[], refused: readonly RefusedInput[], outFolder: string): void {
  for (const { place, error } of refused) {
    if (!before.some(({ lfn }) => lfn === basename(place))) continue;
    throw new GranuleError(error.code, `${error.message}; the run in ${outFolder} has events of it`, {
      details: error.details,
      remedy: 'restore the file, or begin a new run with another --out (or --fresh to throw this one away)',
      cause: error,
    });
  }
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

/** Files with at least one chosen event. */
function chosenFiles(
  options: ResolvedRunOptions,
  inputs: readonly UsableInput[],
): { readonly file: TaskFile; readonly input: UsableInput }[] {
  const chosen: { file: TaskFile; input: UsableInput }[] = [];
  for (const input of inputs) {
    const { guid, lfn, format, eventCount } = input.record;
    const selection = options.events === null ? undefined : clipSelection(options.events, eventCount);
    if (selection?.length === 0) continue;
    const fileIndex = chosen.length;
    const file: TaskFile = {
      fileIndex,
      guid,
      lfn,
      format,
      eventCount,
      ...(selection === undefined ? {} : { selection }),
    };
    chosen.push({ file, input });
  }
  if (chosen.length === 0) {
    throw new GranuleError('EVENT_NOT_FOUND', 'the selection of events (--events) names no event of any input', {
      remedy: `the inputs have ${inputs.map(({ record }) => `${record.eventCount} events (${record.lfn})`).join(', ')}`,
    });
  }
  return chosen;
}

/** The first ones, which the record of a task has room for. */
function bounded(places: readonly string[]): readonly string[] {
  let room = REFUSED_PLACES_LENGTH_MAX;
  return places.filter((place) => {
    room -= place.length;
    return room >= 0;
  });
}

function short(identity: string | undefined): string {
  return identity?.slice(0, 12) ?? 'unknown';
}
