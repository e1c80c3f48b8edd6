/**
 * What makes two starts the same run: inputs, selection, payload, options, seed and how events are cut into ranges and
 * outputs. Kept in the event table with the task; a start that differs is refused, naming what differs.
 *
 * Not part of it: `-n`, the number of workers, time-outs, limits and places: they change how a run goes, not what it
 * makes. The payload's *code* is compared apart, since fixing a bug in it is an allowed change.
 */

import { GranuleError } from '../core/errors.ts';
import { type EventSelection, formatEventSelection } from '../core/event-selection.ts';
import type { OutputDeclarations } from '../payloads/payload.ts';

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
}

/** An input as the run knows it. */
export interface InputIdentity {
  readonly lfn: string;
  readonly guid: string;
}

interface Difference {
  readonly what: string;
  readonly before: string;
  readonly now: string;
}

/** @throws RUN_DIFFERS naming every difference and the ways out */
export function checkSameRun(before: RunIdentity, now: RunIdentity, outFolder: string): void {
  refuse(differences(before, now), outFolder);
}

/**
 * The inputs of a resumed run, compared when they are known.
 *
 * @throws RUN_DIFFERS
 */
export function checkSameInputs(
  before: readonly InputIdentity[],
  now: readonly InputIdentity[],
  outFolder: string,
): void {
  const gone = before.filter((file) => !now.some((other) => other.guid === file.guid && other.lfn === file.lfn));
  const added = now.filter((file) => !before.some((other) => other.guid === file.guid && other.lfn === file.lfn));
  if (gone.length > 0 || added.length > 0) {
    refuse([{ what: 'input', before: listed(gone, 'without these'), now: listed(added, 'without others') }], outFolder);
  }
  const reordered = before.findIndex((file, index) => file.guid !== now[index]?.guid);
  if (reordered >= 0) {
    const name = (file: InputIdentity | undefined): string => `${file?.lfn} as file ${reordered + 1}`;
    refuse([{ what: 'order of inputs', before: name(before[reordered]), now: name(now[reordered]) }], outFolder);
  }
}

function differences(before: RunIdentity, now: RunIdentity): Difference[] {
  const found: Difference[] = [];
  const compare = (what: string, old: unknown, recent: unknown): void => {
    if (canonical(old) !== canonical(recent)) found.push({ what, before: shown(old), now: shown(recent) });
  };
  compare('payload', before.payload, now.payload);
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
  const lines = found.map(({ what, before, now }) => `${what}: was ${before}, is ${now}`);
  throw new GranuleError('RUN_DIFFERS', `${outFolder} holds another run; ${lines.join('; ')}`, {
    details: { differs: found.map(({ what }) => what) },
    remedy: 'give another --out, or --fresh to throw the old run away and begin anew',
  });
}

function selected(selection: EventSelection | null): string {
  return selection === null ? 'all' : formatEventSelection(selection);
}

function listed(files: readonly InputIdentity[], none: string): string {
  if (files.length === 0) return none;
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
