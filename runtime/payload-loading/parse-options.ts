/**
 * Checks the options of a payload against its own schema. Options come from the command line as text and from a
 * configuration file as values; a text is taken as a number, flag, list or object only where the schema wants one.
 */
import type { ZodType } from 'zod';
import { GranuleError } from '../../core/errors.ts';
import { suggestNames } from '../../core/nearest-name.ts';
import { showValue } from './check-definition.ts';

type Values = Record<string, unknown>;
type Issue = { readonly code: string; readonly path: readonly PropertyKey[]; readonly message: string };

/** Issues that another type of the value may cure. */
const TYPE_ISSUES: readonly string[] = ['invalid_type', 'invalid_value', 'invalid_union'];

/**
 * @param schema undefined for a payload without options
 * @param where how messages name the payload
 * @throws PAYLOAD_OPTION_INVALID with details `{ option }`
 */
export async function parsePayloadOptions(
  schema: ZodType | undefined,
  given: Readonly<Values>,
  where: string,
): Promise<unknown> {
  const known = schema === undefined ? [] : knownOptions(schema);
  refuseUnknown(given, known, where);
  if (schema === undefined) return {};

  const first = await schema.safeParseAsync({ ...given });
  if (first.success) return first.data;
  const converted = convertTexts(given, first.error.issues);
  const second = await schema.safeParseAsync({ ...converted });
  if (second.success) return second.data;
  throw refusal(second.error.issues, given, known, where);
}

/** Names of the options; undefined when the schema takes any. */
function knownOptions(schema: ZodType): readonly string[] | undefined {
  let inner: unknown = schema;
  while (isObject(inner)) {
    const definition: unknown = inner['def'];
    if (!isObject(definition)) return undefined;
    if (isObject(definition['shape'])) {
      const { shape, catchall } = definition;
      const open = isObject(catchall) && isObject(catchall['def']) && catchall['def']['type'] !== 'never';
      return open ? undefined : Object.keys(shape as object);
    }
    // Wrappers: optional, default, readonly keep their schema as innerType; pipe and transform begin with `in`.
    inner = definition['innerType'] ?? definition['in'];
  }
  return undefined;
}

function isObject(value: unknown): value is Values {
  return typeof value === 'object' && value !== null;
}

function refuseUnknown(given: Readonly<Values>, known: readonly string[] | undefined, where: string): void {
  if (known === undefined) return;
  const unknown = Object.keys(given).find((option) => !known.includes(option));
  if (unknown === undefined) return;
  if (known.length === 0) {
    throw new GranuleError('PAYLOAD_OPTION_INVALID', `${where} takes no options; found "${unknown}"`, {
      details: { option: unknown },
      remedy: `leave --option ${unknown}=… out`,
    });
  }
  throw new GranuleError('PAYLOAD_OPTION_INVALID', `${where} has no option "${unknown}"`, {
    details: { option: unknown },
    remedy: suggestNames(unknown, known) ?? `it takes ${known.join(', ')}`,
  });
}

/** The texts that the schema refused for their type, as the JSON values they spell. */
function convertTexts(given: Readonly<Values>, issues: readonly Issue[]): Values {
  const converted: Values = { ...given };
  for (const { code, path } of issues) {
    const option = String(path[0]);
    const text = given[option];
    if (path.length !== 1 || typeof text !== 'string' || !TYPE_ISSUES.includes(code)) continue;
    converted[option] = valueSpelled(text);
  }
  return converted;
}

/** The number or JSON value that a text spells, else the text, of which the schema then says what it wants instead. */
function valueSpelled(text: string): unknown {
  const number = Number(text);
  if (text.trim() !== '' && !Number.isNaN(number)) return number;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function refusal(
  issues: readonly Issue[],
  given: Readonly<Values>,
  known: readonly string[] | undefined,
  where: string,
): GranuleError {
  const lines = issues.map(({ path, message }) => {
    const option = String(path[0] ?? '');
    if (option === '') return message;
    const name = path.map(String).join('.');
    return option in given
      ? `option "${name}": ${message}; found ${showValue(given[option])}`
      : `option "${name}" is missing: ${message}`;
  });
  const first = issues[0]?.path[0];
  return new GranuleError('PAYLOAD_OPTION_INVALID', `${where}: ${lines.join('\n')}`, {
    details: first === undefined ? {} : { option: String(first) },
    ...(known === undefined ? {} : { remedy: `give it as --option NAME=VALUE; options are ${known.join(', ')}` }),
  });
}
