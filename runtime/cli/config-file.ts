/** The configuration file: YAML with the keys of the option table. Errors name line and column. */
import { createReadStream } from 'node:fs';
import { dirname, relative } from 'node:path';
import { type Document, isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { describeThrown, GranuleError } from '../../core/errors.ts';
import { CONFIG_BYTES_MAX } from '../../core/limits.ts';
import type { OptionLayer } from '../options/options.ts';

/**
 * @param path absolute
 * @throws CONFIG_INVALID for a file that is missing, no YAML or no mapping
 */
export async function readConfigFile(path: string, currentFolder: string): Promise<OptionLayer> {
  const name = relative(currentFolder, path) || path;
  const text = await readText(path, name);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}`;
  };
  const [error] = document.errors;
  if (error !== undefined) {
    throw new GranuleError('CONFIG_INVALID', `${at(error.pos[0])}: ${error.message}`, { cause: error });
  }
  if (document.contents === null) return { values: {}, placeOf: () => name, baseFolder: dirname(path) };
  if (!isMap(document.contents)) {
    throw new GranuleError(
      'CONFIG_INVALID',
      `${at(document.contents.range?.[0] ?? 0)}: expected options, "key: value"`,
    );
  }
  const places = new Map<string, string>();
  for (const { key } of document.contents.items) {
    if (isScalar(key)) places.set(String(key.value), at(key.range?.[0] ?? 0));
  }
  return {
    values: valuesOf(document, name),
    placeOf: (key) => `${places.get(key) ?? name}: ${key}`,
    baseFolder: dirname(path),
  };
}

/** Throws CONFIG_INVALID for a file that cannot be read or never seems to end. */
async function readText(path: string, name: string): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of createReadStream(path, { end: CONFIG_BYTES_MAX })) chunks.push(chunk as Buffer);
  } catch (cause) {
    const { message } = describeThrown(cause);
    throw new GranuleError('CONFIG_INVALID', `configuration file ${name}: ${message}`, { cause });
  }
  const bytes = Buffer.concat(chunks);
  if (bytes.length > CONFIG_BYTES_MAX) {
    throw new GranuleError('CONFIG_INVALID', `configuration file ${name}: is larger than ${CONFIG_BYTES_MAX} bytes`, {
      remedy: 'give many inputs as a list in a file of its own: input: "@FILE"',
    });
  }
  return bytes.toString('utf8');
}

/** Throws CONFIG_INVALID for aliases of nothing, and for those that stand for more than anybody has written. */
function valuesOf(document: Document, name: string): Record<string, unknown> {
  try {
    return document.toJS() as Record<string, unknown>;
  } catch (cause) {
    const { message } = describeThrown(cause);
    throw new GranuleError('CONFIG_INVALID', `${name}: its aliases cannot be resolved: ${message}`, {
      remedy: 'write the values out',
      cause,
    });
  }
}
