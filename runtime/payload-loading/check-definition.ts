/** Checks that what a module exports is a payload: every field, with messages that say what was found. */
import { inspect } from 'node:util';
import { GranuleError } from '../../core/errors.ts';
import { FORMAT_NAMES } from '../../core/file-index.ts';
import { SHOWN_VALUE_CHARS_MAX } from '../../core/limits.ts';
import { suggestNames } from '../../core/nearest-name.ts';
import { OUTPUT_FORMAT_NAMES } from '../../payloads/formats/event-format.ts';
import type { OutputDeclarations, PayloadDefinition } from '../../payloads/payload.ts';

const HOOKS = [
  'prepare',
  'initialize',
  'finalize',
  'report',
  'beginInputFile',
  'endInputFile',
  'nextEventRange',
  'beginRun',
  'endRun',
  'beginEvent',
  'endEvent',
] as const;
const FIELDS = ['name', 'version', 'inputFormats', 'outputs', 'options', 'execute', ...HOOKS] as const;

const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const STREAM_PATTERN = /^[A-Z][A-Z0-9_]{0,63}$/;
const OUTPUT_FORMATS: readonly string[] = [...OUTPUT_FORMAT_NAMES, 'as-input'];

const CONTRACT_REMEDY =
  'export default definePayload({ name, outputs, execute(event, context) { … } }) from granule/payload';

/** A value found, on one line. */
export function showValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = inspect(value, {
    depth: 1,
    breakLength: Number.POSITIVE_INFINITY,
    maxStringLength: SHOWN_VALUE_CHARS_MAX,
  });
  return text.length > SHOWN_VALUE_CHARS_MAX ? `${text.slice(0, SHOWN_VALUE_CHARS_MAX)}…` : text;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * @param module the module's namespace
 * @param where how messages name it: its path, or the name of a built-in payload
 * @throws PAYLOAD_INVALID
 */
export function checkDefinition(module: Record<string, unknown>, where: string): PayloadDefinition {
  const refuse = (message: string, remedy: string = CONTRACT_REMEDY): never => {
    throw new GranuleError('PAYLOAD_INVALID', `${where}: ${message}`, { remedy });
  };
  if (!('default' in module)) {
    const named = Object.keys(module);
    refuse(`has no default export${named.length === 0 ? '' : `; it exports ${named.join(', ')}`}`);
  }
  const found = module['default'];
  if (!isRecord(found)) return refuse(`its default export is not a payload but ${showValue(found)}`);

  for (const field of Object.keys(found)) {
    if ((FIELDS as readonly string[]).includes(field)) continue;
    refuse(`"${field}" is no field of a payload`, suggestNames(field, FIELDS) ?? `fields: ${FIELDS.join(', ')}`);
  }
  const { name, version, options, execute, outputs } = found;
  if (typeof name !== 'string' || !NAME_PATTERN.test(name)) {
    refuse(`"name" must be 1 to 64 letters, digits, "-", "_" or ".", but is ${showValue(name)}`);
  }
  if (version !== undefined && typeof version !== 'string') {
    refuse(`"version" must be a string, but is ${showValue(version)}`);
  }
  checkInputFormats(found['inputFormats'], refuse);
  if (typeof execute !== 'function') refuse(`"execute" must be a function, but is ${showValue(execute)}`);
  for (const hook of HOOKS) {
    const value = found[hook];
    if (value !== undefined && typeof value !== 'function') {
      refuse(`"${hook}" must be a function, but is ${showValue(value)}`);
    }
  }
  if (options !== undefined && typeof options !== 'function' && !isSchema(options)) {
    refuse(
      `"options" must be a zod schema or a function that loads one, but is ${showValue(options)}`,
      "options: z.object({ … }) with import { z } from 'zod'",
    );
  }
  if (!isRecord(outputs) && typeof outputs !== 'function') {
    refuse(
      `"outputs" must be an object of streams, but is ${showValue(outputs)}`,
      "outputs: { HITS: { format: 'gev' } }",
    );
  }
  return found as unknown as PayloadDefinition;
}

function checkInputFormats(formats: unknown, refuse: (message: string, remedy?: string) => never): void {
  if (formats === undefined) return;
  const remedy = `one or more of ${FORMAT_NAMES.join(', ')}; leave it out for any`;
  if (!Array.isArray(formats) || formats.length === 0) {
    refuse(`"inputFormats" must be a list of formats, but is ${showValue(formats)}`, remedy);
  }
  for (const format of formats as unknown[]) {
    if ((FORMAT_NAMES as readonly unknown[]).includes(format)) continue;
    const near = typeof format === 'string' ? suggestNames(format, FORMAT_NAMES) : undefined;
    refuse(`"inputFormats" names ${showValue(format)}, which is no format of events`, near ?? remedy);
  }
}

/** What parses options: zod's own types. Duck-typed, since a payload may bring its own copy of zod. */
export function isSchema(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'safeParseAsync' in value;
}

/**
 * Checks stream names and formats, once the options are known.
 *
 * @throws PAYLOAD_INVALID
 */
export function checkOutputs(outputs: unknown, where: string): OutputDeclarations {
  const refuse = (message: string, remedy: string): never => {
    throw new GranuleError('PAYLOAD_INVALID', `${where}: ${message}`, { remedy });
  };
  if (!isRecord(outputs)) {
    return refuse(
      `"outputs" must be an object of streams, but is ${showValue(outputs)}`,
      "{ HITS: { format: 'gev' } }",
    );
  }
  for (const [stream, declaration] of Object.entries(outputs)) {
    if (!STREAM_PATTERN.test(stream)) {
      refuse(
        `stream names are an upper-case letter, then upper-case letters, digits and "_"; found "${stream}"`,
        `call it ${
          stream
            .toUpperCase()
            .replace(/[^A-Z0-9]+/g, '_')
            .replace(/^[^A-Z]+/, '') || 'OUT'
        }`,
      );
    }
    const { format, eventType } = isRecord(declaration) ? declaration : {};
    if (eventType !== undefined && (typeof eventType !== 'string' || eventType === '')) {
      refuse(
        `the eventType of stream ${stream} must be a word, but is ${showValue(eventType)}`,
        "eventType: 'simulation'",
      );
    }
    if (typeof format === 'string' && OUTPUT_FORMATS.includes(format)) continue;
    refuse(
      `stream ${stream} needs a format, but has ${showValue(isRecord(declaration) ? format : declaration)}`,
      (typeof format === 'string' ? suggestNames(format, OUTPUT_FORMATS) : undefined) ??
        `{ ${stream}: { format: … } } with one of ${OUTPUT_FORMATS.join(', ')}`,
    );
  }
  return outputs as OutputDeclarations;
}
