/**
 * What a run must know of a payload before it starts: its name, streams and checked options. Executes the payload's
 * code, so a user's module is described in a thread of its own, a built-in one where it is asked for.
 */
import { isAbsolute, relative } from 'node:path';
import type { ZodType } from 'zod';
import { GranuleError, isGranuleError } from '../../core/errors.ts';
import type { FormatName } from '../../core/file-index.ts';
import { declaredOutputs, type OutputDeclarations, type PayloadDefinition } from '../../payloads/payload.ts';
import { checkDefinition, checkOutputs, isSchema, showValue } from './check-definition.ts';
import { parsePayloadOptions } from './parse-options.ts';
import { describeUserError } from './user-error.ts';

export interface PayloadDescription {
  readonly name: string;
  readonly version: string | undefined;
  /** parsed by the payload's schema, defaults filled in */
  readonly options: unknown;
  readonly outputs: OutputDeclarations;
  /** formats of the events it can process; null for any */
  readonly inputFormats: readonly FormatName[] | null;
  readonly hasPrepare: boolean;
  readonly hasReport: boolean;
}

/** A payload that is ready to be imported by workers. */
export interface LoadedPayload extends PayloadDescription {
  /** the name of a built-in payload, or the absolute path of a module */
  readonly source: string;
  /** SHA-256, lower-case hexadecimal: of the bundle, or of granule's own code. Options are not in it. */
  readonly identity: string;
  /** what workers give to `importPayload` */
  readonly moduleUrl: string;
}

/** How messages name a payload: by its built-in name, or by its path, relative where it lies below the current folder. */
export function payloadWhere(source: string): string {
  if (!isAbsolute(source)) return `payload ${source}`;
  const fromHere = relative('.', source);
  return `payload ${fromHere.startsWith('..') ? source : fromHere}`;
}

/** Why the payload cannot process a file; undefined when it can. */
export function inputMismatch(
  { name, inputFormats }: Pick<PayloadDescription, 'name' | 'inputFormats'>,
  { lfn, format }: { readonly lfn: string; readonly format: FormatName },
): GranuleError | undefined {
  if (inputFormats?.includes(format) !== false) return undefined;
  const message = `${lfn} is ${format}, and payload ${name} processes ${inputFormats.join(', ')} only`;
  return new GranuleError('PAYLOAD_INPUT_MISMATCH', message, {
    details: { lfn, format, payload: name, inputFormats },
    remedy: 'leave the file out, or choose another payload',
  });
}

/**
 * @param module the namespace of the imported module
 * @param where how messages name the payload
 * @throws PAYLOAD_INVALID, PAYLOAD_OPTION_INVALID
 */
export async function describePayload(
  module: Record<string, unknown>,
  givenOptions: Readonly<Record<string, unknown>>,
  where: string,
): Promise<PayloadDescription> {
  const definition = checkDefinition(module, where);
  const schema = await loadSchema(definition, where);
  const options = await parsePayloadOptions(schema, givenOptions, where);
  refuseUncloneable(options, `${where}: the options, as its schema returns them,`, 'PAYLOAD_INVALID');
  const outputs = checkOutputs(
    callUser(() => declaredOutputs(definition, options), `${where}: outputs()`),
    where,
  );
  return {
    name: definition.name,
    version: definition.version,
    options,
    outputs,
    inputFormats: definition.inputFormats ?? null,
    hasPrepare: definition.prepare !== undefined,
    hasReport: definition.report !== undefined,
  };
}

async function loadSchema(definition: PayloadDefinition, where: string): Promise<ZodType | undefined> {
  const { options } = definition;
  if (typeof options !== 'function') return options;
  let schema: ZodType;
  try {
    schema = await options();
  } catch (error) {
    throw describeUserError(error, `${where}: options() failed`, 'PAYLOAD_INVALID');
  }
  if (isSchema(schema)) return schema;
  throw new GranuleError(
    'PAYLOAD_INVALID',
    `${where}: options() must give a zod schema, but gives ${showValue(schema)}`,
  );
}

function callUser<Result>(call: () => Result, what: string): Result {
  try {
    return call();
  } catch (error) {
    if (isGranuleError(error)) throw error;
    throw describeUserError(error, `${what} failed`, 'PAYLOAD_INVALID');
  }
}

/**
 * Options and what `prepare` returns go to other threads by structured clone.
 *
 * @param what subject of the message
 * @throws `code` with the place of the value that cannot be copied
 */
export function refuseUncloneable(value: unknown, what: string, code: 'PAYLOAD_INVALID' | 'PAYLOAD_INIT_FAILED'): void {
  try {
    structuredClone(value);
  } catch {
    const found = findUncloneable(value, '', new Set());
    const place = found === undefined ? '' : ` (${found})`;
    throw new GranuleError(code, `${what} cannot be copied to the workers${place}`, {
      remedy: 'use plain values, arrays, maps, typed arrays and SharedArrayBuffers; no functions, no symbols',
    });
  }
}

/** Path and kind of the first member that structured clone refuses. */
function findUncloneable(value: unknown, path: string, seen: Set<unknown>): string | undefined {
  if (typeof value === 'function' || typeof value === 'symbol') return `${path || 'it'} is a ${typeof value}`;
  if (typeof value !== 'object' || value === null || seen.has(value)) return undefined;
  seen.add(value);
  if (ArrayBuffer.isView(value)) return undefined;
  const members = value instanceof Map || value instanceof Set ? [...value.entries()] : Object.entries(value);
  for (const [key, member] of members) {
    const found = findUncloneable(member, path === '' ? String(key) : `${path}.${String(key)}`, seen);
    if (found !== undefined) return found;
  }
  return undefined;
}
