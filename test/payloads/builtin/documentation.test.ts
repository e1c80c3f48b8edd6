/** Keeps the tables of docs/payloads.md true: every option of every built-in payload, with its default. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ZodType } from 'zod';
import { moduleUrl } from '../../../core/own-files.ts';
import { BUILTIN_PAYLOADS } from '../../../payloads/builtin/builtin-payloads.ts';
import type { PayloadDefinition } from '../../../payloads/payload.ts';

const text = readFileSync(join(import.meta.dirname, '../../../docs/payloads.md'), 'utf8');

/** Option -> default, as the table of a payload's section says; several options may share a row. */
function documentedDefaults(name: string): Map<string, string> {
  const section = text.split(/^### /m).find((part) => part.startsWith(`${name}\n`)) ?? '';
  const table = section.split(/^\| option +\| default +\| meaning +\|\n/m)[1]?.split('\n\n')[0] ?? '';
  const defaults = new Map<string, string>();
  for (const row of table.split('\n').slice(1)) {
    const [, options = '', values = ''] = row.split(/(?<!\\)\|/).map((cell) => cell.trim());
    const names = [...options.matchAll(/`([^`]+)`/g)].map(([, option = '']) => option);
    const shown = [...values.matchAll(/`([^`]+)`/g)].map(([, value = '']) => value);
    for (const [index, option] of names.entries()) defaults.set(option, shown[index] ?? '');
  }
  return defaults;
}

/** Streams are shown as they are given on a command line: `OUT:ndjson`. */
function shown(value: unknown): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return String(value);
  return Object.entries(value)
    .map((entry) => entry.join(':'))
    .join(',');
}

describe.each(BUILTIN_PAYLOADS.map((payload) => [payload.name, payload] as const))('docs of %s', (name, payload) => {
  it('name its options and their defaults', async () => {
    const { default: definition } = (await import(moduleUrl(payload.path).href)) as { default: PayloadDefinition };
    const schema = (await (definition.options as () => Promise<ZodType>)()) as ZodType & {
      readonly shape: Readonly<Record<string, unknown>>;
    };
    const documented = documentedDefaults(name);
    expect([...documented.keys()]).toEqual(Object.keys(schema.shape));
    const required = 'cmd' in schema.shape ? { cmd: 'true' } : {};
    const defaults = schema.parse(required) as Readonly<Record<string, unknown>>;
    for (const [option, value] of Object.entries(defaults)) {
      const expected = option in required ? '' : shown(value);
      expect([option, documented.get(option)]).toEqual([option, expected]);
    }
  });

  it('list it', () => {
    expect(text).toMatch(new RegExp(`^\\| \`${name}\` +\\|`, 'm'));
  });
});
