/** What README shows is run as it stands there, with the built program in the place of npx. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { PROGRAM, PROJECT } from './program.ts';

const folder = mkdtempSync(join(tmpdir(), 'granule-readme-'));
afterAll(() => rmSync(folder, { recursive: true }));

const readme = readFileSync(join(PROJECT, 'README.md'), 'utf8');
const blocks = [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language, text = '']) => ({
  language,
  text,
}));

/** Setting up and the tests are what CI does before it comes here. */
function commands(): readonly string[] {
  return blocks
    .filter(({ language }) => language === 'sh')
    .flatMap(({ text }) => text.trimEnd().split('\n'))
    .map((line) => line.replace(/\s+#.*$/, '').replace('npm ci && ', ''))
    .filter((line) => line !== 'npm test');
}

describe('README', () => {
  it('shows a payload that is complete', () => {
    const shown = blocks.find(({ language }) => language === 'ts');
    const name = /^\/\/ (\S+\.ts)$/m.exec(shown?.text ?? '')?.[1];
    expect(name).toBeDefined();
    writeFileSync(join(folder, name ?? ''), shown?.text ?? '');
  });

  it.each(commands())('shows a command that works: %s', async (command) => {
    const [program, name, ...args] = command.split(/\s+/);
    expect([program, name]).toEqual(['npx', 'granule']);
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, ...args], { cwd: folder });
    expect(stdout).not.toBe('');
  });
});
