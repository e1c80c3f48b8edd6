/**
 * Options of a run: one schema gives type, validation, defaults, JSON Schema and descriptions. Layers (configuration
 * file, environment, flags, or a library call) are resolved once into {@link ResolvedRunOptions}, which is frozen; the
 * parts of a run get resolved values and have no defaults of their own.
 *
 * Imports zod: nothing that `--help`, `--version` or `status` need may import this file.
 */
import { isAbsolute, relative, resolve } from 'node:path';
import * as z from 'zod';
import { GranuleError, isGranuleError } from '../core/errors.ts';
import { type EventSelection, parseEventSelection } from '../core/event-selection.ts';
import {
  CACHE_BYTES_DEFAULT,
  FAILURES_MAX_DEFAULT,
  LOSSES_MAX_DEFAULT,
  OUTPUT_BYTES_MAX_DEFAULT,
  PREFETCH_BYTES_DEFAULT,
  REMOTE_PATIENCE_MS,
  WORKERS_MAX,
} from '../core/limits.ts';
import { LOG_LEVELS } from '../core/log.ts';
import type { SequenceRule } from '../core/messages.ts';
import { suggestNames } from '../core/nearest-name.ts';
import { tryByteSize, tryDurationMs } from '../core/quantities.ts';
import { FAILURES_MAX, LOSSES_MAX } from '../dispatcher/range-word.ts';
import { coreCount } from './cpu-quota.ts';
import { OPTION_KEYS, OPTION_TABLE, type OptionKey } from './option-table.ts';
import type { SourceRunOptions } from './remote/source-options.ts';

/** The longest execution of one event. */
export type TimeoutRule =
  | { readonly kind: 'off' }
  | { readonly kind: 'fixed'; readonly timeoutMs: number }
  /** times the median length, known after the first `EVENTS_FOR_MEDIAN` events */
  | { readonly kind: 'median-multiple'; readonly factor: number };

/** When a payload is held to be simply broken. */
export type HaltRule =
  | { readonly kind: 'off' }
  /** the first `executionCount` executions all fail */
  | { readonly kind: 'first'; readonly executionCount: number }
  /** so many events failed for good */
  | { readonly kind: 'events'; readonly eventCount: number }
  /** this part (0..1) of the events processed failed for good; looked at once 20 were processed */
  | { readonly kind: 'fraction'; readonly fraction: number };

const wholeNumber = (first: number, last: number) =>
  z.union([z.number(), z.string()]).transform((given, context) => {
    const value = typeof given === 'number' ? given : /^\s*\d+\s*$/.test(given) ? Number(given) : Number.NaN;
    if (Number.isSafeInteger(value) && value >= first && value <= last) return value;
    const upTo = last === Number.MAX_SAFE_INTEGER ? `of at least ${first}` : `from ${first} to ${last}`;
    context.addIssue(`${show(given)} is not a whole number ${upTo}`);
    return z.NEVER;
  });

const count = wholeNumber(1, Number.MAX_SAFE_INTEGER);

/** Text (or a number) that `parse` understands. */
function parsed<Value>(parse: (text: string) => Value | undefined, expected: string) {
  return z.union([z.string(), z.number()]).transform((given, context): Value => {
    const value = parse(String(given).trim());
    if (value !== undefined) return value;
    context.addIssue(`${show(given)} is not ${expected}`);
    return z.NEVER;
  });
}

const duration = parsed((text) => positive(tryDurationMs(text)), 'a time such as 90s, 55m or 1h30m');
const byteSize = parsed((text) => positive(tryByteSize(text)), 'a size such as 64M or 10G');

const onOff = z.union([z.boolean(), z.string()]).transform((given, context) => {
  if (typeof given === 'boolean') return given;
  if (['on', 'true', 'yes', '1'].includes(given.toLowerCase())) return true;
  if (['off', 'false', 'no', '0'].includes(given.toLowerCase())) return false;
  context.addIssue(`${show(given)} is neither on nor off`);
  return z.NEVER;
});

function oneOf<const Names extends readonly string[]>(names: Names) {
  return parsed((text): Names[number] | undefined => names.find((name) => name === text), `one of ${names.join(', ')}`);
}

function show(given: unknown): string {
  return typeof given === 'string' ? `"${given}"` : JSON.stringify(given);
}

function positive(value: number | undefined): number | undefined {
  return value !== undefined && value > 0 ? value : undefined;
}

function trySequenceRule(text: string): SequenceRule | undefined {
  if (text === 'EndEvent' || text === 'NextEventRange' || text === 'EndInputFile') return { at: text };
  const match = /^(events|bytes):(.+)$/.exec(text);
  if (match?.[1] === 'bytes') {
    const sizeBytes = positive(tryByteSize(match[2] ?? ''));
    return sizeBytes === undefined ? undefined : { at: 'bytes', count: sizeBytes };
  }
  const eventCount = Number(match?.[2]);
  return Number.isSafeInteger(eventCount) && eventCount > 0 ? { at: 'events', count: eventCount } : undefined;
}

function tryTimeoutRule(text: string): TimeoutRule | undefined {
  if (text === 'off') return { kind: 'off' };
  const multiple = /^(\d+(?:\.\d+)?)(x|%)$/.exec(text);
  if (multiple !== null) {
    const factor = Number(multiple[1]) / (multiple[2] === '%' ? 100 : 1);
    return factor > 1 ? { kind: 'median-multiple', factor } : undefined;
  }
  const timeoutMs = positive(tryDurationMs(text));
  return timeoutMs === undefined ? undefined : { kind: 'fixed', timeoutMs };
}

function tryHaltRule(text: string): HaltRule | undefined {
  if (text === 'off') return { kind: 'off' };
  const match = /^(first|fail)=(\d+(?:\.\d+)?)(%?)$/.exec(text);
  const number = Number(match?.[2]);
  if (match === null || number <= 0) return undefined;
  if (match[3] === '%') {
    return match[1] === 'fail' && number <= 100 ? { kind: 'fraction', fraction: number / 100 } : undefined;
  }
  if (!Number.isSafeInteger(number)) return undefined;
  return match[1] === 'first' ? { kind: 'first', executionCount: number } : { kind: 'events', eventCount: number };
}

const selection = z.string().transform((text, context): EventSelection => {
  try {
    return parseEventSelection(text);
  } catch (error) {
    if (!isGranuleError(error)) throw error;
    context.addIssue(`${error.message}; ${error.remedy}`);
    return z.NEVER;
  }
});

const text = z.string().min(1, 'is empty');

/** Names separated by commas, or a list of them. */
const nameList = z.union([text.transform((list) => list.split(',')), z.array(text)]).transform((names, context) => {
  const trimmed = names.map((name) => name.trim());
  if (trimmed.every((name) => name !== '' && name !== '!')) return trimmed;
  context.addIssue('has an empty name in it');
  return z.NEVER;
});

/** By key of {@link OPTION_TABLE}, which holds the descriptions. Optional ones without default resolve to null. */
const RUN_OPTIONS_SHAPE = {
  input: z.union([text.transform((place) => [place]), z.array(text).min(1, 'names no input')]),
  events: z.union([z.number().transform(String).pipe(selection), selection]).optional(),
  tree: text.optional(),
  branches: nameList.default([]),
  payload: text,
  options: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]).transform(String)).default({}),
  seed: wholeNumber(0, Number.MAX_SAFE_INTEGER).default(1),
  limit: count.optional(),
  out: text,
  eventsPerRange: count.default(1),
  eventsPerOutput: count.optional(),
  mergeMode: oneOf(['fast', 'slow']).default('fast'),
  mergePartial: onOff.default(false),
  sequence: parsed(trySequenceRule, 'EndEvent, NextEventRange, EndInputFile, events:N or bytes:N').default({
    at: 'EndEvent',
  }),
  outputSizeMax: byteSize.default(OUTPUT_BYTES_MAX_DEFAULT),
  fresh: onOff.default(false),
  acceptPayloadChange: onOff.default(false),
  workers: wholeNumber(1, WORKERS_MAX).default(() => Math.min(coreCount(), WORKERS_MAX)),
  isolation: oneOf(['thread', 'process']).default('thread'),
  heapMaxMB: wholeNumber(16, 1_048_576).optional(),
  recycleAfterEvents: count.optional(),
  recycleAboveMB: wholeNumber(16, 1_048_576).optional(),
  order: oneOf(['file', 'longest-first']).default('file'),
  speculate: onOff.default(true),
  timeout: parsed(tryTimeoutRule, 'a time such as 60s, a multiple of the median such as 10x, or off').default({
    kind: 'fixed',
    timeoutMs: 3_600_000,
  }),
  failuresMax: wholeNumber(1, FAILURES_MAX).default(FAILURES_MAX_DEFAULT),
  lossesMax: wholeNumber(1, LOSSES_MAX).default(LOSSES_MAX_DEFAULT),
  halt: parsed(tryHaltRule, 'first=N, fail=N, fail=5% or off').default({ kind: 'first', executionCount: 50 }),
  walltime: duration.optional(),
  grace: duration.default(20_000),
  catalog: text.optional(),
  index: text.optional(),
  cache: text.optional(),
  cacheSize: byteSize.default(CACHE_BYTES_DEFAULT),
  prefetch: byteSize.default(PREFETCH_BYTES_DEFAULT),
  patience: duration.default(REMOTE_PATIENCE_MS),
  tlsCa: text.optional(),
  allowPlainHttp: onOff.default(false),
  logLevel: oneOf(LOG_LEVELS).default('info'),
} satisfies Record<OptionKey, z.ZodType>;

/** The schema with its descriptions; for JSON Schema (`z.toJSONSchema(..., { io: 'input' })`) and for tests. */
export const RUN_OPTIONS_SCHEMA = z.strictObject(describeAll(RUN_OPTIONS_SHAPE));

/** Options of a run that other commands have, too; of those of a run alone nothing is said. */
const SOURCE_OPTIONS_SCHEMA = z.object({
  cache: RUN_OPTIONS_SHAPE.cache,
  cacheSize: RUN_OPTIONS_SHAPE.cacheSize,
  patience: RUN_OPTIONS_SHAPE.patience,
  tlsCa: RUN_OPTIONS_SHAPE.tlsCa,
  allowPlainHttp: RUN_OPTIONS_SHAPE.allowPlainHttp,
});

function describeAll<Shape extends Record<OptionKey, z.ZodType>>(shape: Shape): Shape {
  return Object.fromEntries(
    OPTION_KEYS.map((key) => [key, shape[key].describe(OPTION_TABLE[key].help)]),
  ) as unknown as Shape;
}

/** What a configuration file or a library call may hold. */
export type RunOptions = z.input<typeof RUN_OPTIONS_SCHEMA>;

/** Options with everything present; deeply frozen. Null: not given, and there is no default. */
export interface ResolvedRunOptions {
  /** places as given, relative to the current folder or absolute; see `runtime/inputs.ts` */
  readonly inputs: readonly string[];
  /** positions chosen in every file; null for all */
  readonly events: EventSelection | null;
  /** of ROOT files: the tree whose entries are the events; null for the only one */
  readonly tree: string | null;
  /** of ROOT trees: names and patterns of the branches to read; empty for all */
  readonly branches: readonly string[];
  /** name of a built-in payload, or an absolute path */
  readonly payload: string;
  /** as given: the payload's own schema checks them */
  readonly payloadOptions: Readonly<Record<string, string>>;
  readonly seed: number;
  /** events this start may process; null for no limit */
  readonly limitEvents: number | null;
  /** absolute */
  readonly outFolder: string;
  readonly eventsPerRange: number;
  /** null: one merged file per input file and stream */
  readonly eventsPerOutput: number | null;
  readonly mergeMode: 'fast' | 'slow';
  readonly mergePartial: boolean;
  readonly sequence: SequenceRule;
  readonly outputBytesMax: number;
  readonly fresh: boolean;
  readonly acceptPayloadChange: boolean;
  readonly workerCount: number;
  readonly isolation: 'thread' | 'process';
  readonly heapMaxMB: number | null;
  readonly recycleAfterEvents: number | null;
  readonly recycleAboveMB: number | null;
  readonly order: 'file' | 'longest-first';
  readonly speculate: boolean;
  readonly timeout: TimeoutRule;
  readonly failuresMax: number;
  readonly lossesMax: number;
  readonly halt: HaltRule;
  /** from the start of the command; null for none */
  readonly walltimeMs: number | null;
  /** what a drain may take */
  readonly graceMs: number;
  /** absolute paths */
  readonly catalogPath: string | null;
  /** event index shared between runs; null: the run keeps its own */
  readonly indexFolder: string | null;
  readonly cacheFolder: string | null;
  readonly cacheBytesMax: number;
  readonly prefetchBytesMax: number;
  readonly patienceMs: number;
  readonly tlsCaPath: string | null;
  readonly allowPlainHttp: boolean;
  readonly logLevel: (typeof LOG_LEVELS)[number];
}

/** Options from one origin. */
export interface OptionLayer {
  /** by key of the option table; unknown keys are refused */
  readonly values: Readonly<Record<string, unknown>>;
  /** how an error names a key of this layer: `--workers`, `GRANULE_WORKERS`, `granule.yaml:3:10 workers` */
  placeOf(key: string): string;
  /** relative paths of this layer start here: the folder of the configuration file, or the current one; absolute */
  readonly baseFolder: string;
}

/** Keys whose values are paths, and so depend on where they were written. */
const PATH_KEYS: readonly string[] = ['input', 'out', 'catalog', 'index', 'cache', 'tlsCa', 'payload'];

/**
 * Later layers win key by key; `options` (of the payload) are joined name by name.
 *
 * @param currentFolder absolute; inputs stay relative to it, so that messages name them as they were typed
 * @throws CONFIG_INVALID naming the place of the first wrong value; USAGE when input, payload or out is missing
 */
export function resolveRunOptions(layers: readonly OptionLayer[], currentFolder: string): ResolvedRunOptions {
  const { given, layerOf } = joinLayers(layers, currentFolder);
  const result = RUN_OPTIONS_SCHEMA.safeParse(given);
  if (!result.success) throw refuse(result.error.issues, layerOf);
  return deepFreeze(resolved(result.data));
}

/**
 * The options that are given, as written, and where; those that are not come from a default. Input, payload and out
 * may be missing here.
 *
 * @throws CONFIG_INVALID as {@link resolveRunOptions}
 */
export function explainOptions(
  layers: readonly OptionLayer[],
): ReadonlyMap<string, { readonly value: unknown; readonly place: string }> {
  const { given, layerOf } = joinLayers(layers, '/');
  const result = RUN_OPTIONS_SCHEMA.partial({ input: true, payload: true, out: true }).safeParse(given);
  if (!result.success) throw refuse(result.error.issues, layerOf);
  return new Map(
    [...layerOf].map(([key, layer]) => [key, { value: layer.values[key], place: layer.placeOf(key) }] as const),
  );
}

/** Of a command that reads remote data and is no run. @throws CONFIG_INVALID as {@link resolveRunOptions} */
export function resolveSourceOptions(layers: readonly OptionLayer[], currentFolder: string): SourceRunOptions {
  const { given, layerOf } = joinLayers(layers, currentFolder);
  const result = SOURCE_OPTIONS_SCHEMA.safeParse(given);
  if (!result.success) throw refuse(result.error.issues, layerOf);
  const { cache, cacheSize, patience, tlsCa, allowPlainHttp } = result.data;
  return {
    cacheFolder: cache ?? null,
    cacheBytesMax: cacheSize,
    patienceMs: patience,
    tlsCaPath: tlsCa ?? null,
    allowPlainHttp,
  };
}

/** For editors that complete configuration files. */
export function runOptionsJsonSchema(): object {
  return z.toJSONSchema(RUN_OPTIONS_SCHEMA, { io: 'input' });
}

interface JoinedLayers {
  readonly given: Readonly<Record<string, unknown>>;
  /** the layer whose value holds */
  readonly layerOf: ReadonlyMap<string, OptionLayer>;
}

function joinLayers(layers: readonly OptionLayer[], currentFolder: string): JoinedLayers {
  const given: Record<string, unknown> = {};
  const layerOf = new Map<string, OptionLayer>();
  for (const layer of layers) {
    for (const [key, value] of Object.entries(layer.values)) {
      if (value === undefined) continue;
      const joined = key === 'options' && isRecord(value) && isRecord(given[key]) ? { ...given[key], ...value } : value;
      const folders = { baseFolder: layer.baseFolder, currentFolder };
      given[key] = PATH_KEYS.includes(key) ? fromBase(key, joined, folders) : joined;
      layerOf.set(key, layer);
    }
  }
  return { given, layerOf };
}

/** The library's way: options of one call. */
export function resolveLibraryOptions(options: RunOptions, currentFolder: string): ResolvedRunOptions {
  const layer: OptionLayer = { values: options, placeOf: (key) => `option "${key}"`, baseFolder: currentFolder };
  return resolveRunOptions([layer], currentFolder);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface Folders {
  readonly baseFolder: string;
  readonly currentFolder: string;
}

/** URLs, stdin and names of built-in payloads are no paths. */
function fromBase(key: string, value: unknown, folders: Folders): unknown {
  if (Array.isArray(value)) return value.map((entry) => fromBase(key, entry, folders));
  if (typeof value !== 'string' || value === '') return value;
  if (key === 'payload') return /[/\\]|\.[cm]?[jt]s$/.test(value) ? resolve(folders.baseFolder, value) : value;
  if (key !== 'input') return resolve(folders.baseFolder, value);
  if (value === '-' || isAbsolute(value) || /^[a-z][a-z0-9+.-]*:\/\//i.test(value)) return value;
  if (value.startsWith('@')) return `@${fromBase('input', value.slice(1), folders)}`;
  return relative(folders.currentFolder, resolve(folders.baseFolder, value)) || '.';
}

function refuse(issues: readonly z.core.$ZodIssue[], layerOf: ReadonlyMap<string, OptionLayer>): GranuleError {
  const issue = issues[0];
  const key = issue?.code === 'unrecognized_keys' ? (issue.keys[0] ?? '') : String(issue?.path[0] ?? '');
  const place = layerOf.get(key)?.placeOf(key);
  if (issue?.code === 'unrecognized_keys') {
    const remedy = suggestNames(key, OPTION_KEYS) ?? `options are ${OPTION_KEYS.join(', ')}`;
    return new GranuleError('CONFIG_INVALID', `${place}: there is no such option`, { details: { key }, remedy });
  }
  if (place === undefined) {
    const { flag, help } = OPTION_TABLE[key as OptionKey];
    return new GranuleError('USAGE', `${flag} is missing (${help})`, { details: { key } });
  }
  return new GranuleError('CONFIG_INVALID', `${place}: ${issueText(issue)}`, {
    details: { key },
    remedy: `${key} is: ${OPTION_TABLE[key as OptionKey].help}`,
  });
}

/** The most telling line of an issue: of a union, the alternative whose own check failed. */
function issueText(issue: z.core.$ZodIssue | undefined): string {
  if (issue?.code !== 'invalid_union') return issue?.message ?? 'is wrong';
  const own = issue.errors.flat().find((inner) => inner.code === 'custom' || inner.code === 'too_small');
  return own?.message ?? `is neither ${issue.errors.flatMap(expectedTypes).join(' nor ')}`;
}

function expectedTypes(issues: readonly z.core.$ZodIssue[]): string[] {
  return issues.flatMap((inner) => (inner.code === 'invalid_type' ? [`a ${inner.expected}`] : []));
}

function resolved(options: z.output<typeof RUN_OPTIONS_SCHEMA>): ResolvedRunOptions {
  return {
    inputs: options.input,
    events: options.events ?? null,
    tree: options.tree ?? null,
    branches: options.branches,
    payload: options.payload,
    payloadOptions: options.options,
    seed: options.seed,
    limitEvents: options.limit ?? null,
    outFolder: options.out,
    eventsPerRange: options.eventsPerRange,
    eventsPerOutput: options.eventsPerOutput ?? null,
    mergeMode: options.mergeMode,
    mergePartial: options.mergePartial,
    sequence: options.sequence,
    outputBytesMax: options.outputSizeMax,
    fresh: options.fresh,
    acceptPayloadChange: options.acceptPayloadChange,
    workerCount: options.workers,
    isolation: options.isolation,
    heapMaxMB: options.heapMaxMB ?? null,
    recycleAfterEvents: options.recycleAfterEvents ?? null,
    recycleAboveMB: options.recycleAboveMB ?? null,
    order: options.order,
    speculate: options.speculate,
    timeout: options.timeout,
    failuresMax: options.failuresMax,
    lossesMax: options.lossesMax,
    halt: options.halt,
    walltimeMs: options.walltime ?? null,
    graceMs: options.grace,
    catalogPath: options.catalog ?? null,
    indexFolder: options.index ?? null,
    cacheFolder: options.cache ?? null,
    cacheBytesMax: options.cacheSize,
    prefetchBytesMax: options.prefetch,
    patienceMs: options.patience,
    tlsCaPath: options.tlsCa ?? null,
    allowPlainHttp: options.allowPlainHttp,
    logLevel: options.logLevel,
  };
}

function deepFreeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
