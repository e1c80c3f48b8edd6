import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadScenario, scenarioNames } from '../../../bench/scenario-list.ts';
import { granule } from './program.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-cli-bench-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const TINY_FILES = ['--option', 'smallFiles=20', '--option', 'largeFiles=4'];
const TINY_MERGE = ['--repeats', '1', ...TINY_FILES];

describe('granule bench', () => {
  it('lists every scenario with its options', async () => {
    const { code, stdout } = await granule(['bench']);
    expect(code).toBe(0);
    for (const name of scenarioNames()) expect(stdout).toMatch(new RegExp(`^${name}: `, 'm'));
    const lines = (await granule(['bench', '--json'])).stdout.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).name)).toEqual(scenarioNames());
  });

  it('has examples in its help whose scenarios and options there are', async () => {
    const { stdout } = await granule(['bench', '--help']);
    const examples = [...stdout.matchAll(/granule bench ([a-z-]+) (.*--option .*)$/gm)];
    expect(examples.length).toBeGreaterThan(0);
    for (const [, name = '', flags = ''] of examples) {
      const known = Object.keys((await loadScenario(name)).options);
      for (const [, option] of flags.matchAll(/--option (\w+)=/g)) expect(known).toContain(option);
    }
  });

  it('measures one, prints one object and writes result and report', async () => {
    const args = ['bench', 'merge', '--quick', ...TINY_MERGE, '--json', '--out', 'a.json'];
    const { code, stdout } = await granule(args, { cwd: folder });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 1,
      scenario: 'merge',
      command: expect.stringContaining('granule bench merge --quick --repeats 1'),
      fast: { ratioToAppend: expect.any(Number) },
      machine: { node: process.version },
    });
    expect(readFileSync(join(folder, 'a.html'), 'utf8')).toContain('<h2>merge</h2>');

    const compared = await granule(['bench', 'compare', 'a.json', 'a.json', '--json'], { cwd: folder });
    const { comparisons, warnings } = JSON.parse(compared.stdout);
    expect(warnings).toEqual([]);
    expect(comparisons.length).toBeGreaterThan(0);
    for (const comparison of comparisons) expect(comparison).toMatchObject({ ratio: 1, verdict: 'same' });
  });

  it('leaves nothing behind but what it was asked to write', async () => {
    const { code, stdout } = await granule(['bench', 'merge', ...TINY_MERGE, '--folder', folder], { cwd: folder });
    expect(code).toBe(0);
    expect(stdout).toContain('merge: 1 repeats in');
    expect(readdirSync(folder)).toEqual([]);
    expect(existsSync(join(folder, 'bench'))).toBe(false);
  });

  it('stops when it is told to, and says nothing of what it has not measured', async () => {
    const { code, stdout, stderr } = await granule(['bench', 'merge', '--json', '--repeats', '1000', ...TINY_FILES], {
      cwd: folder,
      withChild: (child) => void child.stderr?.once('data', () => child.kill('SIGTERM')),
    });
    expect({ code, stdout }).toEqual({ code: 75, stdout: '' });
    expect(stderr).toContain('stopped: 0 of 1 scenarios were measured');
  });

  it.each([
    [['bench', 'merg'], 'there is no benchmark "merg"', 'did you mean "merge"?'],
    [['bench', 'merge', 'merge'], 'one scenario at a time', ''],
    [['bench', 'merge', '--option', 'smallFiles'], '--option smallFiles: expected NAME=VALUE', ''],
    [['bench', 'merge', '--option', 'files=3'], 'the scenario has no option "files"', ''],
    [['bench', 'merge', '--small-file', '3'], 'the scenario has no option "smallFile"', 'did you mean "smallFiles"?'],
    [['bench', 'merge', '--small-files'], '--small-files needs a value', ''],
    [['bench', 'all', '--option', 'smallFiles=3'], '--option belongs to one scenario', ''],
    [['bench', 'merge', '--repeats', '0'], '--repeats: "0" is not a whole number', ''],
    [['bench', 'compare', 'a.json'], 'compare takes two result files; found 1', 'granule bench compare'],
    [['bench', 'compare', 'a.json', 'b.json'], 'a.json cannot be read as a result', ''],
  ])('refuses %j', async (args, message, remedy) => {
    const { code, stdout, stderr } = await granule(args, { cwd: folder });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toContain(remedy);
  });
});
