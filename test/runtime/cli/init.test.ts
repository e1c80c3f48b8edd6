/** `granule init`: each template is a project that runs as its README says, in a folder outside of this one. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../core/log.ts';
import { readConfigFile } from '../../../runtime/cli/config-file.ts';
import { resolveRunOptions } from '../../../runtime/options/options.ts';
import { loadPayload } from '../../../runtime/payload-loading/load-payload.ts';
import { granule, PROGRAM, PROJECT } from './program.ts';

let home: string;

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'granule-init-'));
  const program = join(home, 'bin', 'granule');
  mkdirSync(join(home, 'bin'));
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`);
  chmodSync(program, 0o755);
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;

/** Template, what it needs beside Node, and the files that its README promises. */
const TEMPLATES = [
  { template: 'ts', needs: [], results: ['events.hepmc3.SUMMARY.ndjson'], lines: 200 },
  { template: 'js', needs: [], results: ['events.hepmc3.KINDS.ndjson'], lines: 200 },
  { template: 'python', needs: ['python3'], results: ['events.hepmc3.SUMMARY.ndjson'], lines: 200 },
  { template: 'command', needs: ['awk'], results: ['events.hepmc3.SUMMARY.ndjson'], lines: 200 },
  {
    template: 'analysis',
    needs: [],
    results: ['sample.lhe.HISTOGRAMS.hist.ndjson', 'mass.svg', 'rapidity.svg'],
    lines: 2,
  },
] as const;

describe.each(TEMPLATES)('the template $template', ({ template, needs, results, lines }) => {
  let folder: string;
  let next: string[];

  beforeAll(async () => {
    folder = join(home, template);
    const { code, stdout, stderr } = await granule(['init', template, '--template', template, '--json'], { cwd: home });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const printed = JSON.parse(stdout) as { files: string[]; next: string[] };
    expect(readdirSync(folder).sort()).toEqual([...printed.files].sort());
    next = printed.next;
  });

  it('leaves no placeholder open and names the schema of its configuration', () => {
    for (const file of readdirSync(folder)) expect(readFileSync(join(folder, file), 'utf8')).not.toContain('{{');
    expect(readFileSync(join(folder, 'granule.yaml'), 'utf8')).toContain('$schema=./granule.schema.json');
    const schema = JSON.parse(readFileSync(join(folder, 'granule.schema.json'), 'utf8')) as { properties: object };
    expect(schema.properties).toHaveProperty('payload');
  });

  it('has a configuration whose payload loads with its options', async () => {
    const layer = await readConfigFile(join(folder, 'granule.yaml'), folder);
    const { payload, payloadOptions, outFolder } = resolveRunOptions([layer], folder);
    expect(outFolder).toBe(join(folder, 'out'));
    const bundleFolder = join(home, 'bundles');
    const request = { nameOrPath: payload, options: payloadOptions, bundleFolder, log: silentLogger };
    const loaded = await loadPayload(request);
    expect(Object.keys(loaded.outputs)).toHaveLength(1);
  });

  it.skipIf(!readdirSync(join(PROJECT, 'templates', template)).includes('tsconfig.json'))('type-checks', () => {
    const paths = {
      'granule/*': [join(PROJECT, 'dist/payloads/*.d.ts')],
      zod: [join(PROJECT, 'node_modules/zod/index.d.ts')],
    };
    const compilerOptions = { paths, typeRoots: [join(PROJECT, 'node_modules/@types')] };
    const config = join(folder, 'tsconfig.test.json');
    writeFileSync(config, JSON.stringify({ extends: './tsconfig.json', compilerOptions }));
    try {
      const compiler = join(PROJECT, 'node_modules/.bin/tsc');
      const { stdout, status } = spawnSync(compiler, ['-p', config], { encoding: 'utf8' });
      expect({ stdout, status }).toEqual({ stdout: '', status: 0 });
    } finally {
      rmSync(config);
    }
  });

  const missing = needs.filter((program) => !has(program));
  const reason = missing.map((program) => `there is no ${program}`).join(', ');
  it.skipIf(reason !== '')(`runs as printed${reason === '' ? '' : ` (skipped: ${reason})`}`, () => {
    expect(next[0]).toBe(`cd ${template}`);
    const environment = { ...process.env, PATH: `${join(home, 'bin')}:${process.env['PATH']}` };
    execFileSync('/bin/sh', ['-ec', next.join('\n')], { cwd: home, env: environment, stdio: 'pipe' });
    for (const name of results) expect(readdirSync(join(folder, 'out'))).toContain(name);
    const merged = readFileSync(join(folder, 'out', results[0]), 'utf8');
    expect(merged.trimEnd().split('\n')).toHaveLength(lines);
    if (template === 'analysis') expect(readFileSync(join(folder, 'out/mass.svg'), 'utf8')).toContain('entries 2000');
  });
});

it.each([
  ['a package file, on that', 'file:../granule.tgz', (root: string) => `file:${join(root, 'granule.tgz')}`],
  ['a registry, on its version', 'https://registry.example/granule.tgz', () => /^\^\d+\.\d+\.\d+$/],
])('a project of a granule that was installed from %s', (_, resolved, expected) => {
  const root = mkdtempSync(join(home, 'installed-'));
  const modules = join(root, 'project', 'node_modules');
  for (const name of ['dist', 'templates', 'package.json']) {
    cpSync(join(PROJECT, name), join(modules, 'granule', name), { recursive: true });
  }
  writeFileSync(join(root, 'granule.tgz'), '');
  const packages = { 'node_modules/granule': { resolved } };
  writeFileSync(join(modules, '.package-lock.json'), JSON.stringify({ packages }));
  const program = join(modules, 'granule/dist/runtime/cli/granule.js');
  execFileSync(process.execPath, [program, 'init', 'mine'], { cwd: root, stdio: 'pipe' });
  const { devDependencies } = JSON.parse(readFileSync(join(root, 'mine/package.json'), 'utf8'));
  const wanted = expected(root);
  if (typeof wanted === 'string') expect(devDependencies.granule).toBe(wanted);
  else expect(devDependencies.granule).toMatch(wanted);
});

it('refuses to overwrite anything, and then writes nothing', async () => {
  const folder = mkdtempSync(join(home, 'used-'));
  writeFileSync(join(folder, 'README.md'), 'mine');
  const { code, stderr } = await granule(['init'], { cwd: folder });
  expect(code).toBe(2);
  expect(stderr).toContain('holds README.md already; nothing was written');
  expect(readdirSync(folder)).toEqual(['README.md']);
  expect(readFileSync(join(folder, 'README.md'), 'utf8')).toBe('mine');
});

it('names its own argument where the folder is a file', async () => {
  writeFileSync(join(home, 'file'), '');
  const { code, stderr } = await granule(['init', 'file'], { cwd: home });
  expect(code).toBe(2);
  expect(stderr).toContain('choose another folder (granule init FOLDER)');
  expect(stderr).not.toContain('--out');
});

it('suggests a template for a misspelt one', async () => {
  const { code, stderr } = await granule(['init', 'x', '--template', 'phyton'], { cwd: home });
  expect(code).toBe(2);
  expect(stderr).toContain('did you mean "python"?');
});
