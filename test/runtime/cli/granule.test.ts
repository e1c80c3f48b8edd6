import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GRANULE_VERSION } from '../../../core/version.ts';
import { COMMANDS } from '../../../runtime/cli/command-list.ts';
import { OPTION_KEYS } from '../../../runtime/options/option-table.ts';
import { granule, PROGRAM, PROJECT } from './program.ts';

let folder = '';
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'granule-cli-')));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('the program', () => {
  it('prints the version of package.json', async () => {
    const { version } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8'));
    expect(GRANULE_VERSION).toBe(version);
    expect(await granule(['--version'])).toEqual({ code: 0, signal: null, stdout: `${version}\n`, stderr: '' });
  });

  it('prints help on stdout, with every command and every exit code', async () => {
    const { code, stdout, stderr } = await granule(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const { name } of COMMANDS) expect(stdout).toContain(`  ${name} `);
    for (const exitCode of [0, 1, 2, 3, 4, 75, 130]) expect(stdout).toMatch(new RegExp(`\\b${exitCode} `));
  });

  it.skipIf(!existsSync('/dev/full'))('says that its result could not be written, without a stack trace', () => {
    const full = openSync('/dev/full', 'w');
    try {
      for (const args of [['config'], ['config', '--json'], ['--help']]) {
        const { status, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], {
          cwd: folder,
          stdio: ['ignore', full, 'pipe'],
          encoding: 'utf8',
        });
        expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('(OUTPUT_FAILED;') });
        expect(stderr).not.toContain('    at ');
      }
    } finally {
      closeSync(full);
    }
  });

  it.each(COMMANDS.map(({ name }) => name))('has help on %s by flag and by "help"', async (name) => {
    const byFlag = await granule([name, '--help']);
    const byWord = await granule(['help', name]);
    expect(byFlag).toMatchObject({ code: 0, stderr: '' });
    expect(byFlag.stdout).toContain(`Usage: granule ${name}`);
    expect(byWord).toEqual(byFlag);
  });

  it('without arguments shows how it is used, on stderr, and exits 2', async () => {
    const { code, stdout, stderr } = await granule([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('Usage: granule');
  });

  it.each([
    [['generat'], 'there is no command "generat"', 'did you mean "generate"?'],
    [['frobnicate'], 'there is no command "frobnicate"', 'commands are'],
    [['generate', '--evnts', '3'], "unknown option '--evnts'", 'did you mean --events?'],
    [['generate', '--events', '3'], '--out is missing', ''],
    [['generate', '--events', 'x', '--out', 'f'], '--events: "x" is not a whole number', ''],
    [['generate', '--events', '3', '--out', 'f', 'g'], 'too many arguments', 'granule generate --help'],
    [['index', 'query', '--run', '1', '17'], 'too many arguments', 'granule index --help'],
    [['index', 'list', 'nope'], 'too many arguments', 'granule index --help'],
    [['config', '--schema', 'nope'], 'too many arguments', 'granule config --help'],
    [
      ['config', '--workers', '0'],
      '--workers: "0" is not a whole number from 1 to 256',
      'workers: events that are executed at a time',
    ],
    [['config', '--option', 'effort'], '--option effort: expected KEY=VALUE', '--option effort=3'],
  ])('refuses %j with exit code 2, a reason and a way on', async (args, message, remedy) => {
    const { code, stdout, stderr } = await granule(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(`granule: ${message}`);
    expect(stderr).toContain(remedy);
    expect(stderr).not.toMatch(/\n {4}at /);
  });

  it('shows stack traces when asked, and errors as JSON with --json', async () => {
    const { code, stdout, stderr } = await granule(['config', '--workers', '0', '--json', '--debug']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/\n {4}at /);
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 1,
      error: { code: 'CONFIG_INVALID', details: { key: 'workers' } },
    });
    const asked = await granule(['config', '--workers', '0'], { environment: { GRANULE_DEBUG: '1' } });
    expect(asked.stderr).toMatch(/\n {4}at /);
  });
});

describe('results on stdout', () => {
  it('are complete although the pipe is slow, and end quietly when the reader goes', async () => {
    const whole = await granule(['generate', '--events', '400', '--out', '-']);
    expect(whole.code).toBe(0);
    expect(whole.stdout).toMatch(/END_EVENT_LISTING\n\n$/);
    const cut = await granule(['generate', '--events', '20000', '--out', '-'], {
      withChild: (child) => child.stdout?.once('data', () => child.stdout?.destroy()),
    });
    expect(cut).toMatchObject({ code: 0, signal: null, stderr: '' });
  });
});

describe('granule generate', () => {
  it('writes the same file for the same seed, whole, with nothing left beside it', async () => {
    const [one, again, other] = await Promise.all([
      granule(['generate', '--events', '50', '--seed', '7', '--out', 'a/one.hepmc3', '--json'], { cwd: folder }),
      granule(['generate', '-n', '50', '--seed', '7', '-o', 'again.hepmc3', '--json'], { cwd: folder }),
      granule(['generate', '-n', '50', '--seed', '8', '-o', 'other.hepmc3', '--json'], { cwd: folder }),
    ]);
    const [first, second, third] = [one, again, other].map((ended) => JSON.parse(ended.stdout));
    const bytes = readFileSync(join(folder, 'a/one.hepmc3'));
    expect(first).toEqual({
      schema: 1,
      path: join(folder, 'a/one.hepmc3'),
      events: 50,
      seed: 7,
      sizeBytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    });
    expect(second.sha256).toBe(first.sha256);
    expect(third.sha256).not.toBe(first.sha256);
    expect(bytes.toString('latin1').match(/^E /gm)).toHaveLength(50);
    expect(readdirSync(join(folder, 'a'))).toEqual(['one.hepmc3']);
  });

  it.each(['/proc/none/x.hepmc3', '/dev/null/x.hepmc3'])('says why %s cannot be written', async (path) => {
    const { code, stderr } = await granule(['generate', '-n', '1', '-o', path]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/cannot be (used as output folder|written).*\n.*choose another/);
  });
});

describe('granule config', () => {
  it('shows each option with its value and the layer it comes from: default, file, environment, flag', async () => {
    writeFileSync(join(folder, 'granule.yaml'), 'payload: digest\nworkers: 1\nseed: 5\ntimeout: 60s\n');
    const { stdout, code } = await granule(['config', '--json', '--workers', '3', 'a.lhe'], {
      cwd: folder,
      environment: { GRANULE_SEED: '6', GRANULE_WORKERS: '2' },
    });
    expect(code).toBe(0);
    const options = JSON.parse(stdout).options as { key: string; value: unknown; origin: string | null }[];
    const byKey = Object.fromEntries(options.map(({ key, value, origin }) => [key, [value, origin]]));
    expect(Object.keys(byKey)).toEqual([...OPTION_KEYS]);
    expect(byKey).toMatchObject({
      input: [['a.lhe'], '--input'],
      payload: ['digest', 'granule.yaml:1:1: payload'],
      workers: ['3', '--workers'],
      seed: ['6', 'GRANULE_SEED'],
      timeout: ['60s', 'granule.yaml:4:1: timeout'],
      failuresMax: ['3', 'default'],
      walltime: [null, null],
    });
  });

  it.each([
    ['workers: 2\nworkrs: 3\n', {}, 'granule.yaml:2:1: workrs: there is no such option', 'did you mean "workers"'],
    ['seed: 1\nworkers: [1\n', {}, 'granule.yaml:3:', ''],
    [`input: [${'a.hepmc3, '.repeat(40_000)}]\n`, {}, 'granule.yaml: is larger than 262144 bytes', '"@FILE"'],
    ['input: *nothing\n', {}, 'granule.yaml: its aliases cannot be resolved', 'write the values out'],
    ['- a\n- b\n', {}, 'granule.yaml:1:1: expected options, "key: value"', ''],
    ['seed: 1\nseed: 2\n', {}, 'granule.yaml:2:1: Map keys must be unique', ''],
    [
      'seed: [1]\n',
      {},
      'granule.yaml:1:1: seed: is neither a number nor a string',
      'seed: seed of the task (default: 1)',
    ],
    ['', { GRANULE_WORKRS: '2' }, 'environment variable GRANULE_WORKRS: there is no such option', '"GRANULE_WORKERS"'],
    ['', { GRANULE_SEED: 'x' }, 'GRANULE_SEED: "x" is not a whole number', ''],
  ])('refuses the file %j with environment %j, naming the place', async (text, environment, message, remedy) => {
    writeFileSync(join(folder, 'granule.yaml'), text);
    const { code, stderr } = await granule(['config'], { cwd: folder, environment });
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(stderr).toContain(remedy);
  });

  it('names a configuration file that is missing, and ignores variables that are not ours', async () => {
    const missing = await granule(['config', '--config', 'none.yaml'], { cwd: folder });
    expect(missing.code).toBe(2);
    expect(missing.stderr).toContain('configuration file none.yaml: ENOENT');
    expect((await granule(['config'], { environment: { GRANULE_SITE_HOME: 'x' } })).code).toBe(0);
  });

  it('takes relative paths in a file from the folder of the file', async () => {
    mkdirSync(join(folder, 'sub'));
    writeFileSync(join(folder, 'sub/c.yaml'), 'input: [a.lhe]\n');
    const { stdout } = await granule(['config', '--config', 'sub/c.yaml', '--json'], { cwd: folder });
    expect(JSON.parse(stdout).options[0]).toMatchObject({ key: 'input', origin: 'sub/c.yaml:1:1: input' });
  });

  it('prints a JSON Schema for editors', async () => {
    const { stdout } = await granule(['config', '--schema']);
    const schema = JSON.parse(stdout);
    expect(Object.keys(schema.properties)).toEqual([...OPTION_KEYS]);
    expect(schema).toMatchObject({ additionalProperties: false, required: ['input', 'payload', 'out'] });
  });
});
