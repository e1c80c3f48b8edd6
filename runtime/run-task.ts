/**
 * The task of a run in the event table: submitted once, recognised at every later start, recovered after a death.
 */
import { basename } from 'node:path';
import { assert } from '../core/assert.ts';
import type { TaskFile } from '../core/dispatcher-api.ts';
import { GranuleError } from '../core/errors.ts';
import { clipSelection } from '../core/event-selection.ts';
import type { Dispatcher } from '../dispatcher/dispatcher.ts';
import type { TaskSummary } from '../dispatcher/task-summary.ts';
import type { OutputFormat } from '../payloads/formats/event-format.ts';
import { outputFormat } from '../payloads/formats/registry.ts';
import { adoptOutputs } from './adoption.ts';
import { takeBoardFiles } from './board-file.ts';
import type { UsableInput } from './input-set.ts';
import { checkOutputFormats, type MergeStream, type OutputNaming, streamFormat } from './merge/output-names.ts';
import type { ResolvedRunOptions } from './options.ts';
import type { LoadedPayload } from './payload-loading/describe-payload.ts';
import type { RunFolders } from './run-folders.ts';
import { checkSameInputs, checkSameRun, IDENTITY_SCHEMA, type RunIdentity } from './run-identity.ts';

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

/** What an earlier start had left. Counts are of ranges and files. */
export interface Recovered {
  readonly returnedCount: number;
  readonly adoptedCount: number;
}

export function identityOf(options: ResolvedRunOptions, payload: LoadedPayload): RunIdentity {
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
  };
}

/**
 * Submits the task of this run, or finds it.
 *
 * @throws RUN_DIFFERS, PAYLOAD_CHANGED, CONFIG_INVALID
 */
export async function openTask(
  dispatcher: Dispatcher,
  options: ResolvedRunOptions,
  payload: LoadedPayload,
  inputs: readonly UsableInput[],
): Promise<RunTask> {
  const identity = identityOf(options, payload);
  const [known] = dispatcher.listTasks();
  if (known !== undefined) await checkKnown(dispatcher, known, { options, payload, identity });
  const files = chosenFiles(options, inputs);
  const streams = Object.entries(payload.outputs).map(([name, { format }]): MergeStream => ({ name, format }));
  const naming: OutputNaming =
    options.eventsPerOutput === null ? { kind: 'input-file' } : { kind: 'task', taskName: basename(options.outFolder) };
  checkOutputFormats(
    naming,
    streams,
    files.map(({ file }) => file),
  );
  const taskID = known?.taskID ?? (await submit(dispatcher, options, payload, identity));
  await addFiles(
    dispatcher,
    taskID,
    files.map(({ file }) => file),
    options.outFolder,
  );
  return {
    taskID,
    files: files.map(({ file }) => file),
    inputs: files.map(({ input }) => input),
    streams,
    naming,
    resumed: known !== undefined,
  };
}

/** Takes up what a dead start left: complete outputs are adopted, everything else it held is ready again. */
export async function recoverTask(
  dispatcher: Dispatcher,
  task: RunTask,
  folders: RunFolders,
  options: ResolvedRunOptions,
): Promise<Recovered> {
  const inExecution = takeBoardFiles(folders.workers);
  if (!dispatcher.recovery.afterDeath) return { returnedCount: 0, adoptedCount: 0 };
  const ranges = [...dispatcher.adoptable(task.taskID)];
  const { adopted } = await adoptOutputs({
    aggregationFolder: folders.aggregation,
    taskID: task.taskID,
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
    recordedFiles: dispatcher.unmergedFiles(task.taskID),
  });
  if (adopted.length > 0) {
    await dispatcher.adopt(
      task.taskID,
      adopted.map((range) => ({ kind: 'finished', ...range, wallMs: 0, cpuMs: 0 })),
    );
  }
  await dispatcher.releaseDead(task.taskID, inExecution);
  return { returnedCount: ranges.length - adopted.length, adoptedCount: adopted.length };
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

/** Adds the files the table does not have yet (all, for a new task) and says that there are no more. */
async function addFiles(
  dispatcher: Dispatcher,
  taskID: number,
  files: readonly TaskFile[],
  outFolder: string,
): Promise<void> {
  const before: TaskFile[] = [];
  for await (const file of dispatcher.files(taskID)) before.push(file);
  const { sealed } = dispatcher.getTask(taskID);
  checkSameInputs(before, sealed ? files : files.slice(0, before.length), outFolder);
  if (sealed) return;
  await dispatcher.addFiles(taskID, files.slice(before.length));
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

function short(identity: string | undefined): string {
  return identity?.slice(0, 12) ?? 'unknown';
}
