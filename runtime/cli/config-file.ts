/** The configuration file: YAML with the keys of the option table. Errors name line and column. */
import { readFile } from 'node:fs/promises';
import { dirname, relative } from 'node:path';
import { type Document, isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { describeThrown, GranuleError } from '../../core/errors.ts';
import type { OptionLayer } from '../options/options.ts';

/**
 * @param path absolute
 * @throws CONFIG_INVALID for a file that is missing, no YAML or no mapping
 */
export async function readConfigFile(path: string, currentFolder: string): Promise<OptionLayer> {
  const name = relative(currentFolder, path) || path;
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw new GranuleError('CONFIG_INVALID', `configuration file ${name}: ${error.message}`, { cause: error });
  });
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
