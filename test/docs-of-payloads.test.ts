/** What the pages on payloads show is true: modules load, lines of the protocol are understood. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { silentLogger } from '../core/log.ts';
import { COPROCESS_PROTOCOL, parseCoprocessLine } from '../payloads/children/coprocess-protocol.ts';
import { OUTPUT_FORMAT_NAMES } from '../payloads/formats/event-format.ts';
import { loadPayload } from '../runtime/payload-loading/load-payload.ts';

const page = (name: string): string => readFileSync(fileURLToPath(new URL(`../docs/${name}`, import.meta.url)), 'utf8');
const blocks = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, code = '']) => code);

const folder = mkdtempSync(join(tmpdir(), 'granule-docs-'));
afterAll(() => rmSync(folder, { recursive: true }));

const modules = blocks(page('writing-a-payload.md'), 'ts').map((code): [string, string] => [
  /name: '([^']+)'/.exec(code)?.[1] ?? '',
  code,
]);

it.each(modules)('the payload %s of writing-a-payload.md loads', async (name, code) => {
  const path = join(folder, `${name}.ts`);
  writeFileSync(path, code);
  const payload = await loadPayload({ nameOrPath: path, options: {}, bundleFolder: folder, log: silentLogger });
  expect(payload.name).toBe(name);
});

it('writing-a-payload.md lists every output format', () => {
  for (const format of OUTPUT_FORMAT_NAMES) expect(page('writing-a-payload.md')).toContain(`\`${format}\``);
});

it('every line of coprocess-protocol.md is JSON, and those of a co-process are understood', () => {
  const lines = blocks(page('coprocess-protocol.md'), 'json').flatMap((block) => block.trim().split('\n'));
  const messages = lines.map((line) => ({ line, kind: (JSON.parse(line) as { kind: string }).kind }));
  expect(messages.map(({ kind }) => kind)).toEqual([
    'hello',
    'event',
    'runHeader',
    'end',
    'ready',
    'done',
    'failed',
    'done',
    'log',
  ]);
  for (const { line } of messages.slice(4)) expect(parseCoprocessLine(line)).toEqual(JSON.parse(line));
  expect(page('coprocess-protocol.md')).toContain(`This is version ${COPROCESS_PROTOCOL}.`);
});
