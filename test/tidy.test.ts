/** The house rules that a program can check: who imports whom, single doors for vendor libraries, leftovers. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = new URL('..', import.meta.url).pathname;
const FOLDERS = ['core', 'payloads', 'dispatcher', 'runtime', 'bench'].filter((folder) =>
  existsSync(join(ROOT, folder)),
);

interface SourceFile {
  readonly path: string;
  readonly text: string;
  /** paths of our own files, relative to the root */
  readonly own: readonly string[];
  /** package names */
  readonly vendor: readonly string[];
}

function readSources(): SourceFile[] {
  const files: SourceFile[] = [];
  for (const folder of FOLDERS) {
    for (const entry of readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
      const path = relative(ROOT, join(entry.parentPath, entry.name));
      if (path.includes('node_modules') || path.includes('/templates/')) continue;
      const text = readFileSync(join(ROOT, path), 'utf8');
      const specifiers = [...text.matchAll(/(?:^|\n)\s*(?:import|export)\b[^'";]*?\bfrom\s+'([^']+)'/g)]
        .concat([...text.matchAll(/\bimport\('([^']+)'\)/g)])
        .concat([...text.matchAll(/(?:^|\n)import\s+'([^']+)'/g)])
        .map((match) => match[1] ?? '');
      files.push({
        path,
        text,
        own: specifiers
          .filter((specifier) => specifier.startsWith('.'))
          .map((specifier) => normalize(join(dirname(path), specifier))),
        vendor: specifiers.filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:')),
      });
    }
  }
  return files;
}

const sources = readSources();

function folderOf(path: string): string {
  return path.startsWith('runtime/cli/') ? 'runtime/cli' : (path.split('/')[0] ?? '');
}

const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: ['core'],
  payloads: ['core', 'payloads'],
  dispatcher: ['core', 'dispatcher'],
  runtime: ['core', 'payloads', 'dispatcher', 'runtime'],
  'runtime/cli': ['core', 'payloads', 'dispatcher', 'runtime', 'runtime/cli', 'bench'],
  bench: ['core', 'payloads', 'dispatcher', 'runtime', 'bench'],
};

describe('imports', () => {
  it('follow the table of folders', () => {
    const wrong = sources.flatMap((file) =>
      file.own
        .filter((target) => !MAY_IMPORT[folderOf(file.path)]?.includes(folderOf(target)))
        .map((target) => `${file.path} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  it('form no cycle, type imports counted', () => {
    const graph = new Map(sources.map((file) => [file.path, file.own]));
    const state = new Map<string, 'open' | 'done'>();
    const cycles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (state.get(path) === 'done') return;
      if (state.get(path) === 'open') {
        cycles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
        return;
      }
      state.set(path, 'open');
      for (const target of graph.get(path) ?? []) visit(target, [...trail, path]);
      state.set(path, 'done');
    };
    for (const file of sources) visit(file.path, []);
    expect(cycles).toEqual([]);
  });

  it('reach vendor libraries through one door each', () => {
    const doors: Readonly<Record<string, RegExp>> = {
      zeromq: /^runtime\/channel\/channel[^/]*\.ts$/,
      lmdb: /^core\/store\.ts$/,
      '@node-rs/crc32': /^runtime\/merge\/crc32\.ts$/,
      piscina: /^(runtime\/pool\/thread-host\.ts|bench\/.*)$/,
      fastify: /\/http\//,
    };
    const wrong = sources.flatMap((file) =>
      file.vendor
        .filter((name) => doors[name] !== undefined && !doors[name].test(file.path))
        .map((name) => `${file.path} imports ${name}`),
    );
    expect(wrong).toEqual([]);
  });
});

describe('sources', () => {
  it('have no drawer files', () => {
    expect(
      sources.map((file) => file.path).filter((path) => /\/(utils?|helpers?|common|types|misc)\.ts$/.test(path)),
    ).toEqual([]);
  });

  it('read the environment and exit in the command line and in thread or child entries only', () => {
    const wrong = sources
      .filter((file) => !/^(runtime\/cli|bench)\/|\.(thread|child)\.ts$/.test(file.path))
      .filter((file) => /\bprocess\.(env|exit\()/.test(file.text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')))
      .map((file) => file.path);
    expect(wrong).toEqual([]);
  });

  it('hold no leftovers', () => {
    const wrong = sources
      .filter((file) => /\b(FIXME|XXX|TODO)\b|@ts-ignore|@ts-expect-error|\bas any\b/.test(file.text))
      .map((file) => file.path);
    expect(wrong).toEqual([]);
  });

  it('export only values that another file names', () => {
    const tests = readdirSync(join(ROOT, 'test'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'));
    const filesThatName = new Map<string, number>();
    for (const text of [...sources.map((file) => file.text), ...tests]) {
      for (const word of new Set(text.match(/\w+/g))) filesThatName.set(word, (filesThatName.get(word) ?? 0) + 1);
    }
    const unused = sources.flatMap((file) =>
      [...file.text.matchAll(/^export (?:async )?(?:function\*?|class|const) (\w+)/gm)]
        .map((match) => match[1] ?? '')
        .filter((name) => filesThatName.get(name) === 1)
        .map((name) => `${file.path} exports ${name}`),
    );
    expect(unused).toEqual([]);
  });

  it('start with a sentence on what they are', () => {
    expect(sources.filter((file) => !/^(#!.*\n)?\/\*\*/.test(file.text)).map((file) => file.path)).toEqual([]);
  });
});

describe('tests', () => {
  it('are never left focused', () => {
    const focused = readdirSync(join(ROOT, 'test'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts') && entry.name !== 'tidy.test.ts')
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => /\b(it|describe|test)\.only\(/.test(readFileSync(path, 'utf8')));
    expect(focused).toEqual([]);
  });
});
