import { describe, expect, it } from 'vitest';
import { GranuleError } from '../../../core/errors.ts';
import { coreCount } from '../../../runtime/options/cpu-quota.ts';
import { RUN_OPTIONS_SCHEMA } from '../../../runtime/options/option-schema.ts';
import { environmentNameOf, flagOf, OPTION_KEYS, OPTION_TABLE } from '../../../runtime/options/option-table.ts';
import {
  type OptionLayer,
  type ResolvedRunOptions,
  resolveLibraryOptions,
  resolveRunOptions,
} from '../../../runtime/options/options.ts';

const NEEDED = { input: ['a.hepmc'], payload: 'digest', out: 'out' };

function resolveWith(values: Record<string, unknown>): ResolvedRunOptions {
  return resolveRunOptions(
    [{ values: { ...NEEDED, ...values }, placeOf: (key) => `--${key}`, baseFolder: '/home/u' }],
    '/home/u',
  );
}

function refusal(values: Record<string, unknown>): GranuleError {
  try {
    resolveWith(values);
  } catch (error) {
    if (error instanceof GranuleError) return error;
    throw error;
  }
  throw new Error('was not refused');
}

describe('options of a run', () => {
  it('are complete and deeply frozen when only the needed ones are given', () => {
    const options = resolveWith({});
    expect(options).toMatchObject({
      inputs: ['a.hepmc'],
      events: null,
      payload: 'digest',
      outFolder: '/home/u/out',
      workerCount: coreCount(),
      seed: 1,
      eventsPerRange: 1,
      eventsPerOutput: null,
      sequence: { at: 'EndEvent' },
      timeout: { kind: 'fixed', timeoutMs: 3_600_000 },
      halt: { kind: 'first', executionCount: 50 },
      outputBytesMax: 512 * 1024 * 1024,
      speculate: true,
    });
    expect(Object.isFrozen(options) && Object.isFrozen(options.inputs) && Object.isFrozen(options.halt)).toBe(true);
    expect(Object.values(options).every((value) => value !== undefined)).toBe(true);
  });

  it('understand text as typed values do', () => {
    const text = resolveWith({ seed: '7', workers: '3', mergePartial: 'on', eventsPerRange: '10', speculate: 'off' });
    const typed = resolveWith({ seed: 7, workers: 3, mergePartial: true, eventsPerRange: 10, speculate: false });
    expect(text).toEqual(typed);
  });

  it.each([
    ['timeout', '60s', { timeout: { kind: 'fixed', timeoutMs: 60_000 } }],
    ['timeout', '10x', { timeout: { kind: 'median-multiple', factor: 10 } }],
    ['timeout', '250%', { timeout: { kind: 'median-multiple', factor: 2.5 } }],
    ['timeout', 'off', { timeout: { kind: 'off' } }],
    ['halt', 'fail=5%', { halt: { kind: 'fraction', fraction: 0.05 } }],
    ['halt', 'fail=12', { halt: { kind: 'events', eventCount: 12 } }],
    ['halt', 'first=9', { halt: { kind: 'first', executionCount: 9 } }],
    ['halt', 'off', { halt: { kind: 'off' } }],
    ['sequence', 'NextEventRange', { sequence: { at: 'NextEventRange' } }],
    ['sequence', 'events:5', { sequence: { at: 'events', count: 5 } }],
    ['sequence', 'bytes:1M', { sequence: { at: 'bytes', count: 1_048_576 } }],
    ['walltime', '1h30m', { walltimeMs: 5_400_000 }],
    ['cacheSize', '2G', { cacheBytesMax: 2 * 1024 ** 3 }],
    ['events', '205,1-100', { events: [[1, 100], [205, 205]] }], // biome-ignore format: one case a line
    ['events', 7, { events: [[7, 7]] }],
    ['input', 'one.lhe', { inputs: ['one.lhe'] }],
    ['options', { effort: 3, fast: true }, { payloadOptions: { effort: '3', fast: 'true' } }],
  ])('read %s %j', (key, given, expected) => {
    expect(resolveWith({ [key]: given })).toMatchObject(expected);
  });

  it.each([
    ['workers', '0', '--workers: "0" is not a whole number from 1 to 256'],
    ['workers', 'many', '--workers: "many" is not a whole number from 1 to 256'],
    ['seed', 1.5, '--seed: 1.5 is not a whole number of at least 0'],
    ['walltime', '55', '--walltime: "55" is not a time such as 90s, 55m or 1h30m'],
    ['walltime', '30d', '--walltime: a time of at most 24d20h is wanted: no timer takes a longer one'],
    ['cacheSize', 'big', '--cacheSize: "big" is not a size such as 64M or 10G'],
    ['mergeMode', 'quick', '--mergeMode: "quick" is not one of fast, slow'],
    ['halt', 'fail=500%', '--halt: "fail=500%" is not first=N, fail=N, fail=5% or off'],
    ['timeout', '0.5x', '--timeout: "0.5x" is not a time'],
    ['events', '9-3', '--events: events "9-3": "9-3" ends before it begins'],
    ['speculate', 'maybe', '--speculate: "maybe" is neither on nor off'],
    ['input', [], '--input: names no input'],
    ['workers', {}, '--workers: is neither a number nor a string'],
  ])('refuse %s %j, naming the place', (key, given, message) => {
    const error = refusal({ [key]: given });
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain(message);
    expect(error.remedy).toContain(key);
  });

  it('refuse an unknown key and suggest the nearest one', () => {
    const error = refusal({ 'events-per-rage': 3 });
    expect(error.message).toBe('--events-per-rage: there is no such option');
    expect(error.remedy).toContain('did you mean "eventsPerRange"');
  });

  it('are told of all that is wrong with them at once', () => {
    const layer: OptionLayer = {
      values: { payload: 'digest', out: 'o', worker: 3, seed: 'x' },
      placeOf: (key) => `granule.yaml: ${key}`,
      baseFolder: '/',
    };
    try {
      resolveRunOptions([layer], '/');
      expect.unreachable();
    } catch (error) {
      const { code, message, details } = error as GranuleError;
      expect(code).toBe('CONFIG_INVALID');
      expect(details).toEqual({ keys: expect.arrayContaining(['input', 'worker', 'seed']) });
      expect(message.split('\n')[0]).toBe('3 options are wrong or missing:');
      expect(message).toContain('- granule.yaml: worker: there is no such option\n  did you mean "workers"');
      expect(message).toContain('- granule.yaml: seed: "x" is not a whole number');
      expect(message).toContain('- -i, --input is missing');
    }
  });

  it('name the flag that is missing', () => {
    expect(() => resolveLibraryOptions({ input: 'a', payload: 'digest' } as never, '/')).toThrow(
      '-o, --out is missing (folder of the run',
    );
  });

  it('take the value of the last layer that has the key, and join payload options name by name', () => {
    const layer = (values: Record<string, unknown>, baseFolder: string): OptionLayer => ({
      values,
      baseFolder,
      placeOf: (key) => key,
    });
    const options = resolveRunOptions(
      [
        layer({ ...NEEDED, workers: 1, seed: 1, options: { a: '1', b: '1' } }, '/home/u/project'),
        layer({ workers: '2' }, '/home/u'),
        layer({ options: { b: '3' }, seed: undefined, catalog: 'c.xml' }, '/home/u'),
      ],
      '/home/u',
    );
    expect(options).toMatchObject({ workerCount: 2, seed: 1, payloadOptions: { a: '1', b: '3' } });
    expect(options.inputs).toEqual(['project/a.hepmc']);
    expect(options.outFolder).toBe('/home/u/project/out');
    expect(options.catalogPath).toBe('/home/u/c.xml');
  });

  it('leave URLs, stdin, absolute places and payload names as they are', () => {
    const inputs = ['https://host/a.hepmc', '-', '/data/x.lhe', '@list.txt', './b.lhe'];
    const options = resolveWith({ input: inputs });
    expect(options.inputs).toEqual(['https://host/a.hepmc', '-', '/data/x.lhe', '@list.txt', 'b.lhe']);
    expect(resolveWith({ payload: './mine.ts' }).payload).toBe('/home/u/mine.ts');
    expect(resolveWith({ payload: 'mine.js' }).payload).toBe('/home/u/mine.js');
  });
});

describe('the option table', () => {
  it('has the keys of the schema, each with its own flag and environment name', () => {
    expect([...OPTION_KEYS].sort()).toEqual(Object.keys(RUN_OPTIONS_SCHEMA.shape).sort());
    expect(new Set(OPTION_KEYS.map(flagOf)).size).toBe(OPTION_KEYS.length);
    expect(new Set(OPTION_KEYS.map(environmentNameOf)).size).toBe(OPTION_KEYS.length);
    expect(environmentNameOf('eventsPerRange')).toBe('GRANULE_EVENTS_PER_RANGE');
  });

  it('shows the defaults that the schema has', () => {
    const shown = Object.fromEntries(
      OPTION_KEYS.flatMap((key) => {
        const entry = OPTION_TABLE[key];
        return 'default' in entry && key !== 'workers' ? [[key, entry.default]] : [];
      }),
    );
    expect(resolveWith(shown)).toEqual(resolveWith({}));
  });
});
