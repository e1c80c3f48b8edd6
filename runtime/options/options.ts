/**
 * Options of a run: layers (configuration file, environment, flags, or a library call) are resolved once into
 * {@link ResolvedRunOptions}, which is frozen; the parts of a run get resolved values and have no defaults of their own.
 *
 * Imports zod: nothing that `--help`, `--version` or `status` need may import this file.
 */
import { isAbsolute, relative, resolve } from 'node:path';
import type * as z from 'zod';
import { GranuleError } from '../../core/errors.ts';
import type { EventSelection } from '../../core/event-selection.ts';
import type { LOG_LEVELS } from '../../core/log.ts';
import type { SequenceRule } from '../../core/messages.ts';
import { suggestNames } from '../../core/nearest-name.ts';
import type { SourceRunOptions } from '../remote/source-options.ts';
import type { HaltRule, TimeoutRule } from './option-rules.ts';
import { RUN_OPTIONS_SCHEMA, type RunOptions, SOURCE_OPTIONS_SCHEMA } from './option-schema.ts';
import { OPTION_KEYS, OPTION_TABLE, type OptionKey, type OptionText } from './option-table.ts';

/** Options with everything present; deeply frozen. Null: not given, and there is no default. */
export interface ResolvedRunOptions {
  /** places as given, relative to the current folder or absolute; see `runtime/inputs/inputs.ts` */
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
  readonly verifyOutputs: boolean;
  readonly acceptPayloadChange: boolean;
  readonly workerCount: number;
  readonly isolation: 'thread' | 'process';
  readonly heapMaxMB: number;
  readonly recycleAfterEvents: number | null;
  readonly recycleAboveMB: number | null;
  readonly order: 'file' | 'longest-first';
  readonly speculate: boolean;
  readonly timeout: TimeoutRule;
  /** longest `prepare`, `initialize`, `finalize` or `report` of the payload */
  readonly hookTimeoutMs: number;
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

/** All problems at once: whoever corrects a file does not want to be told of them one by one. */
function refuse(issues: readonly z.core.$ZodIssue[], layerOf: ReadonlyMap<string, OptionLayer>): GranuleError {
  const problems = issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => unknownOption(key, layerOf.get(key)))
      : [wrongOption(issue, layerOf)],
  );
  const [first] = problems;
  if (first !== undefined && problems.length === 1) return first;
  const lines = problems.map(({ message, remedy }) => `\n- ${message}${remedy === undefined ? '' : `\n  ${remedy}`}`);
  const keys = problems.map(({ details }) => String(details['key']));
  const code = problems.every((problem) => problem.code === 'USAGE') ? 'USAGE' : 'CONFIG_INVALID';
  return new GranuleError(code, `${problems.length} options are wrong or missing:${lines.join('')}`, {
    details: { keys },
  });
}

function unknownOption(key: string, layer: OptionLayer | undefined): GranuleError {
  return new GranuleError('CONFIG_INVALID', `${layer?.placeOf(key) ?? key}: there is no such option`, {
    details: { key },
    remedy: suggestNames(key, OPTION_KEYS) ?? `options are ${OPTION_KEYS.join(', ')}`,
  });
}

function wrongOption(issue: z.core.$ZodIssue, layerOf: ReadonlyMap<string, OptionLayer>): GranuleError {
  const key = String(issue.path[0] ?? '') as OptionKey;
  const { flag, help, default: otherwise }: OptionText = OPTION_TABLE[key];
  const place = layerOf.get(key)?.placeOf(key);
  if (place === undefined) return new GranuleError('USAGE', `${flag} is missing (${help})`, { details: { key } });
  return new GranuleError('CONFIG_INVALID', `${place}: ${issueText(issue)}`, {
    details: { key },
    remedy: `${key}: ${help}${otherwise === undefined ? '' : ` (default: ${otherwise})`}`,
  });
}

/** The most telling line of an issue: of a union, the alternative whose own check failed. */
function issueText(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'invalid_union') return issue.message;
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
    verifyOutputs: options.verifyOutputs,
    acceptPayloadChange: options.acceptPayloadChange,
    workerCount: options.workers,
    isolation: options.isolation,
    heapMaxMB: options.heapMaxMB,
    recycleAfterEvents: options.recycleAfterEvents ?? null,
    recycleAboveMB: options.recycleAboveMB ?? null,
    order: options.order,
    speculate: options.speculate,
    timeout: options.timeout,
    hookTimeoutMs: options.hookTimeout,
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
