/** Payload modules of a user: found, bundled, described in a thread, their options checked. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ErrorCode, GranuleError } from '../../../core/errors.ts';
import { silentLogger } from '../../../core/log.ts';
import { bundlePayload } from '../../../runtime/payload-loading/bundle-payload.ts';
import type { LoadedPayload } from '../../../runtime/payload-loading/describe-payload.ts';
import { importPayload } from '../../../runtime/payload-loading/import-payload.ts';
import { loadPayload } from '../../../runtime/payload-loading/load-payload.ts';
import { preparePayload, reportPayload } from '../../../runtime/payload-loading/payload-hooks.ts';

const NODE_MODULES = fileURLToPath(new URL('../../../node_modules', import.meta.url));
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-payload-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const load = (nameOrPath: string, options: Record<string, unknown> = {}): Promise<LoadedPayload> =>
  loadPayload({ nameOrPath, options, bundleFolder: join(folder, 'bundles'), log: silentLogger });

async function refusalOf(promise: Promise<unknown>, code: ErrorCode): Promise<GranuleError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof GranuleError)) throw new Error(`expected ${code}, got ${String(error)}`);
  expect(error.code).toBe(code);
  return error;
}

const payloadText = (fields: string, head = ''): string =>
  `import { definePayload } from 'granule/payload';\n${head}\nexport default definePayload({ name: 'mine', outputs: { OUT: { format: 'ndjson' } }, execute() {}, ${fields} });\n`;

describe('a built-in payload', () => {
  it('is found by its name and described without being bundled', async () => {
    const payload = await load('spin', { meanMs: '2.5' });
    expect(payload).toMatchObject({
      name: 'spin',
      source: 'spin',
      hasPrepare: true,
      outputs: { SPIN: { format: 'ndjson' } },
    });
    expect(payload.options).toMatchObject({ meanMs: 2.5, dist: 'constant' });
    expect(payload.identity).toMatch(/^[0-9a-f]{64}$/);
    expect((await importPayload(payload.moduleUrl)).name).toBe('spin');
  });

  it('that does not exist is answered with the nearest name and how to give a path', async () => {
    const error = await refusalOf(load('digset'), 'PAYLOAD_UNKNOWN');
    expect(error.remedy).toContain('"digest"');
    expect(error.remedy).toContain('./digset.ts');
  });
});

function stackOf(fail: () => unknown): string {
  try {
    fail();
  } catch (error) {
    return (error as Error).stack ?? '';
  }
  throw new Error('it did not fail');
}

describe('a module', () => {
  it('in TypeScript with its own imports is bundled, and its bundle imports nothing of the project', async () => {
    write('lib/double.ts', 'export const double = (x: number): number => 2 * x;\n');
    const path = write(
      'p.ts',
      payloadText(`version: String(double(21)) as string`, "import { double } from './lib/double.ts';"),
    );
    const payload = await load(path);
    expect(payload).toMatchObject({
      name: 'mine',
      version: '42',
      source: path,
      hasPrepare: false,
      hasReport: false,
      options: {},
    });
    const code = readFileSync(fileURLToPath(payload.moduleUrl), 'utf8');
    expect(code).not.toContain('double.ts');
    expect((await importPayload(payload.moduleUrl)).version).toBe('42');
  });

  it('has the same identity wherever the project lies, and another one when any file of it changes', async () => {
    const project = (at: string, factor: number) => {
      write(`${at}/src/lib.ts`, `export const here = import.meta.url;\nexport const factor = ${factor};\n`);
      return write(`${at}/src/p.ts`, payloadText(`version: here + factor`, "import { here, factor } from './lib.ts';"));
    };
    const [first, moved, changed] = [
      await load(project('a', 1)),
      await load(project('b/deeper', 1)),
      await load(project('c', 2)),
    ];
    expect(moved.identity).toBe(first.identity);
    expect(changed.identity).not.toBe(first.identity);
    expect(moved.version).toContain('/b/deeper/src/lib.ts');
  });

  it('finds files beside its sources by import.meta, __dirname and require', async () => {
    write('p/table.json', '{"answer":42}');
    write(
      'p/old.cjs',
      "const fs = require('fs'); module.exports = fs.readFileSync(__dirname + '/table.json', 'utf8').length;",
    );
    const head = `
      import { readFileSync } from 'node:fs';
      import { createRequire } from 'node:module';
      import length from './old.cjs';
      const require = createRequire(import.meta.url);
      const __dirname = import.meta.dirname;
      const text = readFileSync(new URL('./table.json', import.meta.url), 'utf8');
      const same = JSON.stringify(require('./table.json')) === text && readFileSync(__dirname + '/table.json', 'utf8') === text;`;
    const payload = await load(write('p/p.mjs', payloadText('version: JSON.stringify({ same, length })', head)));
    expect(payload.version).toBe('{"same":true,"length":13}');
  });

  it('uses zod of granule when its own project has none', async () => {
    const path = write('p.ts', payloadText('options: z.object({ effort: z.number() })', "import { z } from 'zod';"));
    expect((await load(path, { effort: '3' })).options).toEqual({ effort: 3 });
  });

  it('may import a package with native code, which stays outside of the bundle', async () => {
    symlinkSync(NODE_MODULES, join(folder, 'node_modules'));
    const path = write('p.ts', payloadText('version: typeof open', "import { open } from 'lmdb';"));
    const payload = await load(path);
    expect(payload.version).toBe('function');
  });

  it('names the places of its source although a module stays outside of the bundle', async () => {
    const text = [
      'export default { name: "x", outputs: {}, execute() {},',
      '  options: async () => (await import("zod")).z.object({}),',
      '  initialize() { const a = { why: "three" };',
      '    throw new Error(a.why); },',
      '};',
    ];
    const { code, sourceMap } = await bundlePayload(write('p.ts', text.join('\n')));
    const lines = code.split('\n');
    const line = lines.findIndex((built) => built.includes('throw'));
    expect(lines[line]).toContain('import("file://');
    const place = new SourceMap(JSON.parse(sourceMap)).findEntry(line, lines[line]?.indexOf('throw') ?? 0);
    expect(place).toMatchObject({ originalLine: 3, originalColumn: 4 });
  });

  it('that throws names the line of the source in its stack, not of the bundle', async () => {
    const path = write('p.ts', payloadText('initialize() {\n\n    throw new Error("three");\n  }'));
    const definition = await importPayload((await load(path)).moduleUrl);
    expect(stackOf(() => definition.initialize?.({} as never))).toContain(`${path}:5:11`);
  });
});

describe('a module that cannot be used', () => {
  it('for a syntax error is refused with file, line, column and the line', async () => {
    const path = write('p.ts', "const here = import.meta.url; const 'ä' = ;\n");
    const error = await refusalOf(load(path), 'PAYLOAD_INVALID');
    expect(error.message).toContain(`${path}:1:37: Expected identifier but found "'ä'"`);
    expect(error.message).toContain("const here = import.meta.url; const 'ä' = ;");
    expect(error.details).toMatchObject({ file: path, line: 1, column: 37 });
  });

  it('for a package that is not installed is refused with the command that installs it', async () => {
    const error = await refusalOf(load(write('p.ts', "import '@lab/calibration/tables';\n")), 'PAYLOAD_INVALID');
    expect(error.remedy).toContain('npm install @lab/calibration');
  });

  it('is refused with what it exports instead', async () => {
    const named = await refusalOf(load(write('a.ts', 'export const payload = 1;\n')), 'PAYLOAD_INVALID');
    expect(named.message).toContain('has no default export; it exports payload');
    const wrong = await refusalOf(load(write('b.ts', 'export default 42;\n')), 'PAYLOAD_INVALID');
    expect(wrong.message).toContain('not a payload but 42');
  });

  it.each([
    ["{ name: 'a b', outputs: {}, execute() {} }", /"name" must be .* but is 'a b'/],
    ["{ name: 'a', outputs: {}, excute() {} }", /"excute" is no field/],
    ["{ name: 'a', outputs: {} }", /"execute" must be a function, but is nothing/],
    ["{ name: 'a', outputs: {}, execute() {}, prepare: 3 }", /"prepare" must be a function, but is 3/],
    ["{ name: 'a', outputs: {}, execute() {}, version: 3 }", /"version" must be a string, but is 3/],
    ["{ name: 'a', outputs: {}, execute() {}, inputFormats: 'lhe' }", /"inputFormats" must be a list .*but is 'lhe'/],
    ["{ name: 'a', outputs: {}, execute() {}, inputFormats: ['lhee'] }", /names 'lhee', which is no format of events/],
    ["{ name: 'a', outputs: {}, execute() {}, options: {} }", /"options" must be a zod schema/],
    ["{ name: 'a', outputs: [], execute() {} }", /"outputs" must be an object of streams, but is \[\]/],
    ["{ name: 'a', outputs: { hits: { format: 'gev' } }, execute() {} }", /stream names .* found "hits"/],
    [
      "{ name: 'a', outputs: { HITS: { format: 'ndjsn' } }, execute() {} }",
      /stream HITS needs a format, but has 'ndjsn'/,
    ],
    ["{ name: 'a', outputs: { HITS: 'gev' }, execute() {} }", /stream HITS needs a format, but has 'gev'/],
    [
      "{ name: 'a', outputs: { HITS: { format: 'gev', eventType: 7 } }, execute() {} }",
      /the eventType of stream HITS must be a word, but is 7/,
    ],
    ["{ name: 'a', outputs: () => { throw new Error('no'); }, execute() {} }", /outputs\(\) failed: no/],
  ])('is refused for a wrong field: %s', async (text, message) => {
    const error = await refusalOf(load(write('p.js', `export default ${text};\n`)), 'PAYLOAD_INVALID');
    expect(error.message).toMatch(message);
  });

  it('for throwing while it is loaded is refused with its place', async () => {
    const path = write('p.ts', "\nthrow new Error('no geometry');\n");
    const error = await refusalOf(load(path), 'PAYLOAD_INVALID');
    expect(error.message).toContain(`it fails while it is loaded: no geometry (at ${path}:2:7)`);
  });

  it('for ending its thread, or throwing later, does not touch the main thread', async () => {
    const exits = await refusalOf(load(write('a.ts', 'process.exit(3);\n')), 'PAYLOAD_INVALID');
    expect(exits.message).toContain('ended its thread (exit code 3)');
    const later = "setTimeout(() => { throw new Error('later'); }); await new Promise(() => {});\n";
    const throws = await refusalOf(load(write('b.ts', later)), 'PAYLOAD_INVALID');
    expect(throws.message).toContain('later');
  });

  it('for not existing, being a folder or a script of another language is refused as unknown', async () => {
    await refusalOf(load(join(folder, 'none.ts')), 'PAYLOAD_UNKNOWN');
    await refusalOf(load(folder), 'PAYLOAD_UNKNOWN');
    const script = await refusalOf(load(write('p.py', 'pass\n')), 'PAYLOAD_UNKNOWN');
    expect(script.remedy).toContain('--payload command');
  });
});

describe('options', () => {
  const SCHEMA = `options: z.object({
    effort: z.number().min(1).default(1), label: z.string().optional(), deep: z.boolean().default(false),
    cuts: z.array(z.number()).default([]), kind: z.enum(['fast', 'full']).default('fast') })`;
  const withSchema = () => write('p.ts', payloadText(SCHEMA, "import { z } from 'zod';"));

  it('given as texts become what the schema wants, and nothing else does', async () => {
    const options = { effort: '2.5', label: '42', deep: 'true', cuts: '[1, 2]', kind: 'full' };
    expect((await load(withSchema(), options)).options).toEqual({
      effort: 2.5,
      label: '42',
      deep: true,
      cuts: [1, 2],
      kind: 'full',
    });
  });

  it('that are wrong are refused in the words of the schema, with the option and what was found', async () => {
    const error = await refusalOf(load(withSchema(), { effort: 'much', kind: 'slow' }), 'PAYLOAD_OPTION_INVALID');
    expect(error.message).toContain('option "effort": Invalid input: expected number, received string; found \'much\'');
    expect(error.message).toContain('option "kind": Invalid option: expected one of "fast"|"full"; found \'slow\'');
    expect(error.details).toEqual({ option: 'effort' });
    const small = await refusalOf(load(withSchema(), { effort: '0' }), 'PAYLOAD_OPTION_INVALID');
    expect(small.message).toContain('expected number to be >=1');
  });

  it('that are unknown are refused with the nearest name', async () => {
    const error = await refusalOf(load(withSchema(), { efort: '3' }), 'PAYLOAD_OPTION_INVALID');
    expect(error.remedy).toContain('"effort"');
    const none = await refusalOf(load(write('q.ts', payloadText('')), { effort: '3' }), 'PAYLOAD_OPTION_INVALID');
    expect(none.message).toContain('takes no options');
  });

  it('that cannot go to the workers are refused, naming the member', async () => {
    const text = payloadText(
      'options: z.object({}).transform(() => ({ cuts: [() => 1] }))',
      "import { z } from 'zod';",
    );
    const error = await refusalOf(load(write('p.ts', text)), 'PAYLOAD_INVALID');
    expect(error.message).toContain('cuts.0 is a function');
  });

  it('decide over the streams where outputs is a function', async () => {
    const text = `import { z } from 'zod';
      export default { name: 'x', options: z.object({ format: z.string() }), outputs: ({ format }) => ({ OUT: { format } }), execute() {} };`;
    const path = write('p.ts', text);
    expect((await load(path, { format: 'hepmc3' })).outputs).toEqual({ OUT: { format: 'hepmc3' } });
    await refusalOf(load(path, { format: 'pdf' }), 'PAYLOAD_INVALID');
  });
});

describe('prepare and report', () => {
  const bounds = { timeoutMs: 20_000, log: silentLogger };

  it('run in a thread; buffers that prepare returns are shared', async () => {
    const text = payloadText(
      `prepare({ taskSeed, options }) {
      const table = new Float64Array(new SharedArrayBuffer(64)).fill(taskSeed);
      return { table, thread: isMainThread };
    }`,
      "import { isMainThread } from 'node:worker_threads';",
    );
    const shared = await preparePayload(await load(write('p.ts', text)), 7, bounds);
    expect(shared).toMatchObject({ thread: false });
    const { table } = shared as { table: Float64Array };
    expect(table.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(table[3]).toBe(7);
  });

  it('that fail, hang or return what cannot be copied are refused', async () => {
    const fails = await load(write('a.ts', payloadText("prepare() { throw new Error('no table'); }")));
    expect((await refusalOf(preparePayload(fails, 1, bounds), 'PAYLOAD_INIT_FAILED')).message).toContain(
      'no table (at ',
    );
    const hangs = await load(write('b.ts', payloadText('prepare() { for (;;); }')));
    const late = await refusalOf(preparePayload(hangs, 1, { ...bounds, timeoutMs: 300 }), 'PAYLOAD_INIT_FAILED');
    expect(late.message).toContain('not come back after 300 ms');
    const odd = await load(write('c.ts', payloadText('prepare: () => ({ tables: { lookup: () => 1 } })')));
    const uncloneable = await refusalOf(preparePayload(odd, 1, bounds), 'PAYLOAD_INIT_FAILED');
    expect(uncloneable.message).toContain('tables.lookup is a function');
  });

  it('are aborted by the signal and end with its reason', async () => {
    const text = payloadText(`async prepare({ signal, log }) {
      log.info('waiting');
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    }`);
    const payload = await load(write('p.ts', text));
    const stop = new AbortController();
    const log = { ...silentLogger, info: () => stop.abort(new Error('drained')) };
    await expect(preparePayload(payload, 1, { ...bounds, log, signal: stop.signal })).rejects.toThrow('drained');
  });

  it('report sees the merged files and may write beside them', async () => {
    const text = payloadText(
      `async report({ outputs, folder, eventCount }) {
      await writeFile(folder + '/report.txt', JSON.stringify({ outputs, eventCount }));
    }`,
      "import { writeFile } from 'node:fs/promises';",
    );
    const payload = await load(write('p.ts', text));
    expect(payload.hasReport).toBe(true);
    const run = { outputs: { OUT: ['a.ndjson'] }, folder, eventCount: { total: 3, finished: 2, failed: 1 } };
    await reportPayload(payload, run, bounds);
    const { folder: _, ...expected } = run;
    expect(JSON.parse(readFileSync(join(folder, 'report.txt'), 'utf8'))).toEqual(expected);
  });
});
