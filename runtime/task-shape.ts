/**
 * What a run comes to before anything is processed: which events of which files, what the outputs are called, and
 * whether it is the one that the event table knows from an earlier start.
 */
import { basename } from 'node:path';
import type { TaskFile } from '../core/dispatcher-api.ts';
import { GranuleError } from '../core/errors.ts';
import { clipSelection } from '../core/event-selection.ts';
import { REFUSED_PLACES_LENGTH_MAX } from '../core/limits.ts';
import type { TaskRecord } from '../dispatcher/task-record.ts';
import type { InputSet, RefusedInput, UsableInput } from './input-set.ts';
import { checkOutputFormats, type MergeStream, type OutputNaming } from './merge/output-names.ts';
import type { ResolvedRunOptions } from './options.ts';
import type { LoadedPayload } from './payload-loading/describe-payload.ts';
import { checkSameInputs, checkSameRun, IDENTITY_SCHEMA, inOrderOf, type RunIdentity } from './run-identity.ts';

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
  const identity = identityOf(options, payload, inputs.refused);
  if (known !== undefined) checkSameRun(known.record.record as RunIdentity, identity, outFolder);
  const payloadChanged = known !== undefined && checkPayload(known.record, payload, options);
  const before = known?.files ?? [];
  const chosen = chosenFiles(options, arrange(options, before, inputs.inputs));
  const files = chosen.map(({ file }) => file);
  const streams = Object.entries(payload.outputs).map(([name, { format }]): MergeStream => ({ name, format }));
  const naming: OutputNaming =
    options.eventsPerOutput === null ? { kind: 'input-file' } : { kind: 'task', taskName: basename(outFolder) };
  checkOutputFormats(naming, streams, files);
  if (known !== undefined) {
    checkUsable(before, inputs.refused, outFolder);
    const given = chosen.map(({ file: { lfn, guid }, input: { place } }) => ({ lfn, guid, place }));
    // A start that died while it added files has left those that come after.
    const compared = known.record.sealed ? given : given.slice(0, before.length);
    checkSameInputs(before, compared, { identity: known.record.record as RunIdentity, outFolder });
  }
  return { identity, payloadChanged, files, inputs: chosen.map(({ input }) => input), streams, naming };
}

function identityOf(
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
