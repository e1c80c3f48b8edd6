/**
 * The schema of a run's options: one rule a key, which gives type, validation, defaults, JSON Schema and descriptions.
 *
 * Imports zod: nothing that `--help`, `--version` or `status` need may import this file.
 */
import * as z from 'zod';
import { isGranuleError } from '../../core/errors.ts';
import { type EventSelection, parseEventSelection } from '../../core/event-selection.ts';
import {
  CACHE_BYTES_DEFAULT,
  DURATION_MS_MAX,
  FAILURES_MAX_DEFAULT,
  HEAP_MB_DEFAULT,
  HOOK_TIMEOUT_MS_DEFAULT,
  LOSSES_MAX_DEFAULT,
  OUTPUT_BYTES_MAX_DEFAULT,
  PREFETCH_BYTES_DEFAULT,
  REMOTE_PATIENCE_MS,
  WORKERS_MAX,
} from '../../core/limits.ts';
import { LOG_LEVELS } from '../../core/log.ts';
import { formatDuration, tryByteSize, tryDurationMs } from '../../core/quantities.ts';
import { FAILURES_MAX, LOSSES_MAX } from '../../dispatcher/range-word.ts';
import { coreCount } from './cpu-quota.ts';
import { positive, tryHaltRule, trySequenceRule, tryTimeoutRule } from './option-rules.ts';
import { OPTION_KEYS, OPTION_TABLE, type OptionKey } from './option-table.ts';

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

const duration = parsed((text) => positive(tryDurationMs(text)), 'a time such as 90s, 55m or 1h30m').refine(
  (durationMs) => durationMs <= DURATION_MS_MAX,
  `a time of at most ${formatDuration(DURATION_MS_MAX)} is wanted: no timer takes a longer one`,
);
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
  verifyOutputs: onOff.default(false),
  acceptPayloadChange: onOff.default(false),
  workers: wholeNumber(1, WORKERS_MAX).default(() => Math.min(coreCount(), WORKERS_MAX)),
  isolation: oneOf(['thread', 'process']).default('thread'),
  heapMaxMB: wholeNumber(16, 1_048_576).default(HEAP_MB_DEFAULT),
  recycleAfterEvents: count.optional(),
  recycleAboveMB: wholeNumber(16, 1_048_576).optional(),
  order: oneOf(['file', 'longest-first']).default('file'),
  speculate: onOff.default(true),
  timeout: parsed(tryTimeoutRule, 'a time such as 60s, a multiple of the median such as 10x, or off').default({
    kind: 'fixed',
    timeoutMs: 3_600_000,
  }),
  hookTimeout: duration.default(HOOK_TIMEOUT_MS_DEFAULT),
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
export const SOURCE_OPTIONS_SCHEMA = z.object({
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

/** For editors that complete configuration files. */
export function runOptionsJsonSchema(): object {
  return z.toJSONSchema(RUN_OPTIONS_SCHEMA, { io: 'input' });
}
