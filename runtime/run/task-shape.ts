/**
 * What a run comes to before anything is processed: which events of which files, what the outputs are called, and
 * whether it is the one that the event table knows from an earlier start.
 */
import { basename } from 'node:path';
import { placeWithoutSecrets } from '../../core/address-secrets.ts';
import type { TaskFile } from '../../core/dispatcher-api.ts';
import { GranuleError } from '../../core/errors.ts';
import { clipSelection } from '../../core/event-selection.ts';
import { LATE_PLACES_LENGTH_MAX } from '../../core/limits.ts';
import type { TaskRecord } from '../../dispatcher/task-record.ts';
import type { InputSet, RefusedInput, UsableInput } from '../inputs/input-set.ts';
import { checkOutputFormats, type MergeStream, type OutputNaming } from '../merge/output-names.ts';
import type { ResolvedRunOptions } from '../options/options.ts';
import type { LoadedPayload } from '../payload-loading/describe-payload.ts';
import {
  checkLateInputs,
  checkSameInputs,
  checkSameRun,
  type GivenInput,
  IDENTITY_SCHEMA,
  inOrderOf,
  type RunIdentity,
} from './run-identity.ts';

export interface TaskShape {
  /** by fileIndex; those that the event table knows first */
  readonly files: readonly TaskFile[];
  readonly inputs: readonly UsableInput[];
  readonly streams: readonly MergeStream[];
  readonly naming: OutputNaming;
}

/** What the event table knows of a run. */
export interface KnownTask {
  readonly record: Pick<TaskRecord, 'record' | 'payloads' | 'sealed'>;
  readonly files: readonly TaskFile[];
}

/**
 * @param known undefined for a run that begins
 * @throws RUN_DIFFERS, PAYLOAD_CHANGED, CONFIG_INVALID, EVENT_NOT_FOUND; what is wrong with a file of the run that cannot
 *   be used any more
 */
export function shapeTask(
  asked: { readonly options: ResolvedRunOptions; readonly payload: LoadedPayload; readonly inputs: InputSet },
  known: KnownTask | undefined,
): TaskShape & { readonly identity: RunIdentity; readonly payloadChanged: boolean } {
  const { options, payload, inputs } = asked;
  const { outFolder } = options;
  const identity = identityOf(options, payload, inputs);
  if (known !== undefined) checkSameRun(known.record.record as RunIdentity, identity, outFolder);
  const payloadChanged = known !== undefined && checkPayload(known.record, payload, options);
  const before = known?.files ?? [];
  const chosen = chooseFiles(options, arrange(options, before, inputs.inputs), 0);
  if (chosen.files.length === 0) throw nothingChosen(inputs.inputs);
  const { files } = chosen;
  const streams = Object.entries(payload.outputs).map(([name, { format }]): MergeStream => ({ name, format }));
  const naming: OutputNaming =
    options.eventsPerOutput === null ? { kind: 'input-file' } : { kind: 'task', taskName: basename(outFolder) };
  checkOutputFormats(naming, streams, files);
  if (known !== undefined) {
    checkUsable(before, inputs.refused, outFolder);
    // A start that died before it had added its first files has made nothing of them.
    if (before.length > 0) {
      const { record, sealed } = known.record;
      checkSameInputs(before, givenOf(chosen.inputs), { identity: record as RunIdentity, outFolder, sealed });
    }
  }
  return { identity, payloadChanged, ...chosen, streams, naming };
}

function givenOf(inputs: readonly UsableInput[]): GivenInput[] {
  return inputs.map(({ place, record: { lfn, guid } }) => ({ lfn, guid, place }));
}

/**
 * Files that have become usable while the run is at work, as they join its task.
 *
 * @throws RUN_DIFFERS for a file that an earlier start would have known; CONFIG_INVALID
 */
export function shapeLateFiles(
  options: ResolvedRunOptions,
  task: TaskShape & { readonly identity: RunIdentity },
  inputs: readonly UsableInput[],
): ChosenFiles {
  const { identity, naming, streams } = task;
  const chosen = chooseFiles(options, inputs, task.files.length);
  checkLateInputs(givenOf(chosen.inputs), { identity, outFolder: options.outFolder });
  checkOutputFormats(naming, streams, [...task.files.slice(0, 1), ...chosen.files]);
  return chosen;
}

function identityOf(options: ResolvedRunOptions, payload: LoadedPayload, { refused, late }: InputSet): RunIdentity {
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
    latePlaces: bounded([...refused.map(({ place }) => placeWithoutSecrets(place)), ...late]),
  };
}

/** Whether the payload's code changed since the run began, which the options accept. Throws `PAYLOAD_CHANGED` otherwise. */
function checkPayload(
  known: Pick<TaskRecord, 'payloads'>,
  payload: LoadedPayload,
  options: Pick<ResolvedRunOptions, 'acceptPayloadChange' | 'outFolder'>,
): boolean {
  const inForce = known.payloads.at(-1);
  if (inForce === payload.identity) return false;
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
  return true;
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

export interface ChosenFiles {
  readonly files: readonly TaskFile[];
  /** of each of them */
  readonly inputs: readonly UsableInput[];
}

/** Files with at least one chosen event, as the files of a task from `firstIndex` on. */
export function chooseFiles(
  options: Pick<ResolvedRunOptions, 'events'>,
  inputs: readonly UsableInput[],
  firstIndex: number,
): ChosenFiles {
  const chosen: { files: TaskFile[]; inputs: UsableInput[] } = { files: [], inputs: [] };
  for (const input of inputs) {
    const { guid, lfn, format, eventCount } = input.record;
    const selection = options.events === null ? undefined : clipSelection(options.events, eventCount);
    if (selection?.length === 0) continue;
    const fileIndex = firstIndex + chosen.files.length;
    chosen.files.push({
      fileIndex,
      guid,
      lfn,
      format,
      eventCount,
      ...(selection === undefined ? {} : { selection }),
    });
    chosen.inputs.push(input);
  }
  return chosen;
}

function nothingChosen(inputs: readonly UsableInput[]): GranuleError {
  return new GranuleError('EVENT_NOT_FOUND', 'the selection of events (--events) names no event of any input', {
    remedy: `the inputs have ${inputs.map(({ record }) => `${record.eventCount} events (${record.lfn})`).join(', ')}`,
  });
}

/** Null when they are more than the record of a task has room for. */
function bounded(places: readonly string[]): readonly string[] | null {
  return places.reduce((length, place) => length + place.length, 0) > LATE_PLACES_LENGTH_MAX ? null : places;
}

function short(identity: string | undefined): string {
  return identity?.slice(0, 12) ?? 'unknown';
}
