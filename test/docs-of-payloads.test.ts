/** What the pages on payloads show is true: modules load, lines of the protocol are understood. */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { silentLogger } from '../core/log.ts';
import { COPROCESS_PROTOCOL, parseCoprocessLine } from '../payloads/children/coprocess-protocol.ts';
import { OUTPUT_FORMAT_NAMES } from '../payloads/formats/event-format.ts';
import { loadPayload } from '../runtime/payload-loading/load-payload.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const page = (name: string): string => readFileSync(join(ROOT, 'docs', name), 'utf8');
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

it('the payloads of writing-a-payload.md and the examples type-check', () => {
  const checked = join(folder, 'types');
  cpSync(join(ROOT, 'examples/lookup-table'), checked, { recursive: true });
  for (const [name, code] of modules) writeFileSync(join(checked, `${name}.ts`), code);
  writeFileSync(join(checked, 'package.json'), '{"type":"module"}');
  const paths = {
    'granule/*': [join(ROOT, 'dist/payloads/*.d.ts')],
    zod: [join(ROOT, 'node_modules/zod/index.d.ts')],
  };
  const typeRoots = [join(ROOT, 'node_modules/@types')];
  const compilerOptions = { paths, typeRoots, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true };
  const base = join(ROOT, 'templates/ts/tsconfig.json');
  writeFileSync(join(checked, 'tsconfig.json'), JSON.stringify({ extends: base, compilerOptions, include: ['*.ts'] }));
  const { stdout, status } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', checked], { encoding: 'utf8' });
  expect({ stdout, status }).toEqual({ stdout: '', status: 0 });
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
