/**
 * What makes two starts the same run: inputs, selection, payload, options, seed and how events are cut into ranges and
 * outputs. Kept in the event table with the task; a start that differs is refused, naming what differs.
 *
 * Not part of it: `-n`, the number of workers, time-outs, limits and places: they change how a run goes, not what it
 * makes. The payload's *code* is compared apart, since fixing a bug in it is an allowed change.
 */

import { placeWithoutSecrets } from '../../core/address-secrets.ts';
import { GranuleError } from '../../core/errors.ts';
import { type EventSelection, formatEventSelection } from '../../core/event-selection.ts';
import type { OutputDeclarations } from '../../payloads/payload.ts';

/** Grows when a key changes its meaning. */
export const IDENTITY_SCHEMA = 1;

export interface RunIdentity {
  readonly schema: typeof IDENTITY_SCHEMA;
  readonly payload: string;
  readonly payloadOptions: unknown;
  readonly outputs: OutputDeclarations;
  readonly seed: number;
  readonly selection: EventSelection | null;
  /** of ROOT files; null for the only one */
  readonly tree: string | null;
  /** of ROOT trees; empty for all */
  readonly branches: readonly string[];
  readonly eventsPerRange: number;
  readonly eventsPerOutput: number | null;
  /**
   * places, without secrets, of inputs that were still being read when the run began, or could not be used: they may join it; null when they
   * are too many to be listed, and any file may. No difference by themselves.
   */
  readonly latePlaces: readonly string[] | null;
}

/** An input as the run knows it. */
export interface InputIdentity {
  readonly lfn: string;
  readonly guid: string;
}

/** An input of this start. */
export interface GivenInput extends InputIdentity {
  readonly place: string;
}

interface Difference {
  readonly what: string;
  readonly change: string;
}

/** @throws RUN_DIFFERS naming every difference and the ways out */
export function checkSameRun(before: RunIdentity, now: RunIdentity, outFolder: string): void {
  refuse(differences(before, now), outFolder);
}

/**
 * The inputs of a resumed run, compared when they are known. Files that were being read when the run began, or could not
 * be used, may come after the others; where outputs are cut across files, only while not all are known, since the last
 * output may be complete then.
 *
 * @param before the run's files, in their order
 * @param now this start's files, those of the run first and in the run's order if order does not matter
 * @throws RUN_DIFFERS
 */
export function checkSameInputs(
  before: readonly InputIdentity[],
  now: readonly GivenInput[],
  run: { readonly identity: RunIdentity; readonly outFolder: string; readonly sealed: boolean },
): void {
  const { identity, outFolder, sealed } = run;
  const beforeKeys = new Set(before.map(keyOf));
  const nowKeys = new Set(now.map(keyOf));
  const gone = before.filter((file) => !nowKeys.has(keyOf(file)));
  const added = now.filter((file) => !beforeKeys.has(keyOf(file)));
  const strange = strangers(added, identity);
  const found: Difference[] = [];
  if (gone.length > 0) found.push({ what: 'input', change: `without ${listed(gone)}` });
  if (strange.length > 0) found.push({ what: 'input', change: `with ${listed(strange)}` });
  if (strange.length < added.length && identity.eventsPerOutput !== null) {
    const known = sealed ? now : now.slice(0, before.length);
    const unfit = added.filter((file) => !strange.includes(file) && known.includes(file));
    const change = `with ${listed(unfit)}, unusable when the run began, and outputs are cut across files`;
    if (unfit.length > 0) found.push({ what: 'input', change });
  }
  const reordered = before.findIndex((file, index) => file.guid !== now[index]?.guid);
  if (found.length === 0 && reordered >= 0) {
    const name = (file: InputIdentity | undefined): string => `${file?.lfn} as file ${reordered + 1}`;
    found.push({ what: 'order of inputs', change: `was ${name(before[reordered])}, is ${name(now[reordered])}` });
  }
  refuse(found, outFolder);
}

/**
 * Files that join a run while it works.
 *
 * @throws RUN_DIFFERS
 */
export function checkLateInputs(
  added: readonly GivenInput[],
  run: { readonly identity: RunIdentity; readonly outFolder: string },
): void {
  const strange = strangers(added, run.identity);
  if (strange.length > 0) refuse([{ what: 'input', change: `with ${listed(strange)}` }], run.outFolder);
}

function strangers(added: readonly GivenInput[], { latePlaces }: RunIdentity): readonly GivenInput[] {
  if (latePlaces === null) return [];
  const late = new Set(latePlaces);
  return added.filter(({ place }) => !late.has(placeWithoutSecrets(place)));
}

/** The run's files first and in its order, then the others as given. */
export function inOrderOf<Input extends InputIdentity>(
  before: readonly InputIdentity[],
  now: readonly Input[],
): readonly Input[] {
  const places = new Map(before.map((file, index) => [keyOf(file), index]));
  const rank = (file: Input): number => places.get(keyOf(file)) ?? before.length;
  return now.toSorted((left, right) => rank(left) - rank(right));
}

function keyOf({ guid, lfn }: InputIdentity): string {
  return `${guid} ${lfn}`;
}

function differences(before: RunIdentity, now: RunIdentity): Difference[] {
  const found: Difference[] = [];
  const compare = (what: string, old: unknown, recent: unknown): void => {
    if (canonical(old) !== canonical(recent)) {
      found.push({ what, change: `was ${shown(old)}, is ${shown(recent)}` });
    }
  };
  compare('payload', before.payload, now.payload);
  // Another payload has other options and outputs: naming them would say nothing more.
  if (found.length > 0) return found;
  const names = new Set([
    ...Object.keys(asRecord(before.payloadOptions)),
    ...Object.keys(asRecord(now.payloadOptions)),
  ]);
  for (const name of names) {
    compare(`option ${name}`, asRecord(before.payloadOptions)[name], asRecord(now.payloadOptions)[name]);
  }
  compare('outputs of the payload', before.outputs, now.outputs);
  compare('seed', before.seed, now.seed);
  compare('selection of events', selected(before.selection), selected(now.selection));
  compare('tree', before.tree ?? 'the only one', now.tree ?? 'the only one');
  compare('branches', listOf(before.branches), listOf(now.branches));
  compare('events per range', before.eventsPerRange, now.eventsPerRange);
  compare('events per output', before.eventsPerOutput, now.eventsPerOutput);
  return found;
}

function listOf(branches: readonly string[]): string {
  return branches.length === 0 ? 'all' : branches.join(',');
}

function refuse(found: readonly Difference[], outFolder: string): void {
  if (found.length === 0) return;
  const lines = found.map(({ what, change }) => `${what}: ${change}`);
  throw new GranuleError('RUN_DIFFERS', `${outFolder} holds another run; ${lines.join('; ')}`, {
    details: { differs: found.map(({ what }) => what) },
    remedy: 'give another --out, or --fresh to throw the old run away and begin anew',
  });
}

function selected(selection: EventSelection | null): string {
  return selection === null ? 'all' : formatEventSelection(selection);
}

function listed(files: readonly InputIdentity[]): string {
  const names = files.slice(0, 3).map((file) => `${file.lfn} (${file.guid})`);
  return files.length > names.length ? `${names.join(', ')} and ${files.length - names.length} more` : names.join(', ');
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function shown(value: unknown): string {
  return value === undefined ? 'not set' : typeof value === 'string' ? value : JSON.stringify(value);
}

/** JSON with sorted keys: equal texts are equal values. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
