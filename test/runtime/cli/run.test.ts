import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../core/clock.ts';
import { toyEventText, toyFooter, toyHeader } from '../../../payloads/generator/toy-generator.ts';
import type { RunSummary } from '../../../runtime/run/run-summary.ts';
import { makeFolder, openDispatcher, removeFolder } from '../../dispatcher/fixture.ts';
import { type Ended, granule } from './program.ts';

const EVENTS = 40;
let listing = '';
let folder = '';

beforeAll(() => {
  const settings = { seed: 3, energyGeV: 91.2, meanPrimaries: 4 };
  const events = Array.from({ length: EVENTS }, (_, index) => toyEventText(settings, index + 1));
  listing = toyHeader() + events.join('') + toyFooter();
});

beforeEach(() => {
  folder = makeFolder();
  write('good.hepmc3', listing);
});
afterEach(() => removeFolder(folder));

function write(path: string, content: string | Uint8Array): void {
  writeFileSync(join(folder, path), content);
}

const LHE = `<LesHouchesEvents version="3.0">
<init>
2212 2212 6500 6500 0 0 0 0 3 1
1 0.1 1 1
</init>
<event>
2 1 1.0 91.2 0.0078 0.118
11 1 0 0 0 0 0 0 45.6 45.6 0 0 9
-11 1 0 0 0 0 0 0 -45.6 45.6 0 0 9
</event>
</LesHouchesEvents>
`;

/** A payload in a file; slow enough per event for signals, and throwing at the positions it is told. */
const PAYLOAD = `import { definePayload } from 'granule/payload';
export default definePayload({
  name: 'probe',
  outputs: { PROBE: { format: 'ndjson' } },
  async execute(event, context) {
    if (event.position === 7) throw new Error('no lepton in this event');
    await new Promise((resolve) => setTimeout(resolve, 50));
    context.output('PROBE').write({ position: event.position });
  },
});
`;

function run(args: readonly string[], more: Parameters<typeof granule>[1] = {}): Promise<Ended> {
  return granule(['run', '--workers', '2', ...args], { cwd: folder, ...more });
}

function summaryOf({ stdout, stderr }: Ended): RunSummary {
  if (stdout === '') throw new Error(`no result; stderr: ${stderr}`);
  return JSON.parse(stdout) as RunSummary;
}

describe('granule run', () => {
  it('makes one merged file a stream, says so in one JSON object, and has nothing to do when run again', async () => {
    const args = ['--input', 'good.hepmc3', '--payload', 'digest', '--out', 'out', '--json'];
    const first = await run(args);
    expect(first).toMatchObject({ code: 0, signal: null });
    const summary = summaryOf(first);
    expect(summary).toMatchObject({
      schema: 1,
      ending: 'complete',
      exitCode: 0,
      events: { total: EVENTS, finished: EVENTS, failed: 0, retried: 0, recovered: 0, left: 0 },
      outputs: [{ stream: 'DIGEST', events: EVENTS }],
      failures: [],
      refusedInputs: [],
    });
    const merged = readFileSync(join(folder, 'out', summary.outputs[0]?.path ?? ''));
    expect(summary.outputs[0]?.sizeBytes).toBe(merged.length);
    expect(summary.outputs[0]?.sha256).toBe(createHash('sha256').update(merged).digest('hex'));
    const positions = merged
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).position);
    expect(positions).toEqual(Array.from({ length: EVENTS }, (_, index) => index + 1));

    const again = summaryOf(await run(args));
    expect(again).toMatchObject({ ending: 'complete', events: { finished: EVENTS, recovered: EVENTS } });
    expect(again.outputs).toEqual(summary.outputs);
    const status = JSON.parse((await granule(['status', '--out', 'out', '--json'], { cwd: folder })).stdout);
    expect(status).toMatchObject({ ranges: { merged: EVENTS, ready: 0 }, runningOn: null });
  });

  it('prints a table on stdout and plain progress on stderr, without a carriage return', async () => {
    const { code, stdout, stderr } = await run(['good.hepmc3', '--payload', 'digest', '--out', 'out']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^40 of 40 events finished, 0 failed; /);
    expect(stdout).toMatch(/^DIGEST +40 +[\d.]+ [KM]?i?B +out\//m);
    expect(stderr).toContain('limits by default: timeout 1h, failuresMax 3');
    expect(stderr).toMatch(/100 % +40\/40 events/);
    expect(stderr).not.toContain('\r');
  });

  it('takes chosen positions, a number of events at a time, and the rest with the next call', async () => {
    const args = ['--input', 'good.hepmc3', '--payload', 'digest', '--events', '1-10,20', '--out', 'out', '--json'];
    const part = await run([...args, '-n', '4']);
    expect(part.code).toBe(0);
    expect(summaryOf(part)).toMatchObject({
      ending: 'limited',
      events: { total: 11, finished: 4, left: 7 },
      outputs: [],
    });
    const rest = await run(args);
    expect(summaryOf(rest)).toMatchObject({ ending: 'complete', events: { finished: 11, recovered: 4 } });
  });

  it('refuses another payload, option or seed for the same folder, naming what differs and the ways out', async () => {
    const args = ['--input', 'good.hepmc3', '--out', 'out', '--json'];
    expect((await run([...args, '--payload', 'digest'])).code).toBe(0);
    const other = await run([...args, '--payload', 'digest', '--seed', '9']);
    expect(other.code).toBe(2);
    expect(other.stderr).toContain('seed');
    expect(other.stderr).toMatch(/--out.*--fresh|--fresh.*--out/s);
    expect(JSON.parse(other.stdout)).toMatchObject({ error: { code: 'RUN_DIFFERS' } });
    const fresh = await run([...args, '--payload', 'digest', '--seed', '9', '--fresh']);
    expect(summaryOf(fresh)).toMatchObject({ ending: 'complete', seed: 9, events: { recovered: 0 } });
  });

  it('exits 3 when another live process holds the store, naming it', async () => {
    mkdirSync(join(folder, 'out'));
    await using holder = await openDispatcher(join(folder, 'out/.granule/store'), { clock: systemClock });
    expect(holder).toBeDefined();
    const { code, stderr } = await run(['good.hepmc3', '--payload', 'digest', '--out', 'out']);
    expect(code).toBe(3);
    expect(stderr).toContain(String(process.pid));
  });

  it('sets an event aside that fails three times, merges all others and exits 4', async () => {
    write('probe.ts', PAYLOAD);
    const ended = await run(['good.hepmc3', '--payload', './probe.ts', '--out', 'out', '--json']);
    expect(ended.code).toBe(4);
    expect(summaryOf(ended)).toMatchObject({
      ending: 'failed-events',
      events: { finished: EVENTS - 1, failed: 1 },
      outputs: [{ stream: 'PROBE', events: EVENTS - 1 }],
      failures: [{ cause: 'payload-error', events: 1, example: 'good.hepmc3:7', message: 'no lepton in this event' }],
    });
    const listed = await granule(['events', '--out', 'out', '--status', 'fatal', '--json'], { cwd: folder });
    expect(JSON.parse(listed.stdout)).toMatchObject({ position: 7, failures: 3, cause: 'payload-error' });
  });
});

describe('a run that is told to stop', () => {
  /** Sends the signal once the run says that it processes events. */
  const when = (signal: NodeJS.Signals) => (child: ChildProcess) => {
    const timer = setInterval(() => {
      if (existsSync(join(folder, 'out/.granule/unmerged')) && hasFiles(join(folder, 'out/.granule/unmerged'))) {
        clearInterval(timer);
        child.kill(signal);
      }
    }, 20);
    child.once('exit', () => clearInterval(timer));
  };

  function hasFiles(path: string): boolean {
    return readdirSync(path, { recursive: true }).length > 0;
  }

  it.each([
    ['SIGTERM', 75, 'drained'],
    ['SIGUSR1', 75, 'drained'],
    ['SIGINT', 130, 'interrupted'],
  ] as const)('by %s exits %d, and the same command finishes it', async (signal, exitCode, ending) => {
    write('probe.ts', PAYLOAD.replace('event.position === 7', 'false'));
    const args = ['good.hepmc3', '--payload', './probe.ts', '--out', 'out', '--json'];
    const stopped = await run(args, { withChild: when(signal) });
    expect(stopped).toMatchObject({ code: exitCode, signal: null });
    const summary = summaryOf(stopped);
    expect(summary.ending).toBe(ending);
    expect(summary.events.left).toBeGreaterThan(0);
    const rest = await run(args);
    expect(rest.code).toBe(0);
    expect(summaryOf(rest)).toMatchObject({
      ending: 'complete',
      events: { finished: EVENTS, recovered: summary.events.finished, failed: 0, retried: 0 },
    });
  });
});

describe('input that is not well formed', () => {
  const cut = (): string => listing.slice(0, Math.floor(listing.length / 2));
  const BAD: readonly (readonly [name: string, file: string, content: () => string | Uint8Array, told: RegExp])[] = [
    ['a truncated HepMC file', 'cut.hepmc3', cut, /cut\.hepmc3: .*offset \d+.*last complete event is 19/],
    [
      'a HepMC file with a broken event',
      'broken.dat',
      () => listing.replace(/^E 20 .*$/m, 'E twenty'),
      /broken\.dat: .*\(offset \d+, event 19\)/,
    ],
    ['a truncated .gz', 'cut.lhe.gz', () => gzipSync(LHE.repeat(1)).subarray(0, 90), /cut\.lhe\.gz/],
    [
      'an LHE file without its end tag',
      'open.lhe',
      () => LHE.replace('</LesHouchesEvents>\n', ''),
      /open\.lhe.*<\/LesHouchesEvents>/s,
    ],
    ['an empty file', 'empty.hepmc', () => '', /empty\.hepmc/],
    [
      'a binary file',
      'binary.bin',
      () => Uint8Array.from({ length: 5000 }, (_, index) => (index * 37) % 251),
      /binary\.bin.*format/s,
    ],
  ];

  it.each(BAD)('is refused when it is %s: alone with exit code 2', async (_, file, content, told) => {
    write(file, content());
    const { code, stdout, stderr } = await run([file, '--payload', 'digest', '--out', 'out']);
    expect(stderr).toMatch(told);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });

  it('does not keep good files from being processed, and the exit code says 4', async () => {
    for (const [, file, content] of BAD) write(file, content());
    const files = [...BAD.map(([, file]) => file), 'missing.lhe', 'good.hepmc3'];
    const ended = await run([...files, '--payload', 'digest', '--out', 'out', '--json']);
    expect(ended.code).toBe(4);
    const summary = summaryOf(ended);
    expect(summary).toMatchObject({ ending: 'failed-events', events: { total: EVENTS, finished: EVENTS, failed: 0 } });
    expect(summary.outputs).toMatchObject([{ events: EVENTS }]);
    expect(summary.refusedInputs.map(({ place }) => place.replace(/^.*\//, '')).sort()).toEqual(
      [...files.slice(0, -1)].sort(),
    );
  });

  it.each([
    ['a missing file', ['none.lhe', '--payload', 'digest'], /none\.lhe: there is no such file/],
    ['a folder without events', ['empty', '--payload', 'digest'], /empty: the folder holds no files/],
    ['a glob without match', ['*.root', '--payload', 'digest'], /\*\.root: no file matches/],
    [
      'the same content twice',
      ['good.hepmc3', 'copy.hepmc3', '--payload', 'digest'],
      /same content.*good\.hepmc3.*copy\.hepmc3/s,
    ],
    [
      'an unknown payload',
      ['good.hepmc3', '--payload', 'digets'],
      /digets.*did you mean "digest"\? For a module of your own/s,
    ],
    ['a payload file that is missing', ['good.hepmc3', '--payload', './none.ts'], /none\.ts/],
    ['a payload with a syntax error', ['good.hepmc3', '--payload', './bad.ts'], /bad\.ts:2:\d+/],
    ['a wrong option', ['good.hepmc3', '--payload', 'spin', '--option', 'meanM=3'], /meanM.*meanMs/s],
    ['a wrong value', ['good.hepmc3', '--payload', 'spin', '--option', 'meanMs=long'], /meanMs/],
    [
      'a selection that no file has',
      ['good.hepmc3', '--payload', 'digest', '--events', '100-'],
      /--events.*good\.hepmc3/s,
    ],
  ])('like %s is refused with exit code 2 and a readable message', async (_, args, told) => {
    mkdirSync(join(folder, 'empty'));
    write('copy.hepmc3', listing);
    write('bad.ts', 'export default {\n  name: = 3,\n};\n');
    const { code, stdout, stderr } = await run([...args, '--out', 'out']);
    expect(stderr).toMatch(told);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  it.each(['/proc/granule/out', '/dev/null/out', 'good.hepmc3'])(
    'is not even looked at when OUT is %s',
    async (out) => {
      const { code, stderr } = await run(['good.hepmc3', '--payload', 'digest', '--out', out]);
      expect(code).toBe(2);
      expect(stderr).toContain('OUTPUT_UNWRITABLE');
      expect(stderr).toContain('--out');
    },
  );

  it.each([
    ['cache folder', '--cache', '/proc/granule'],
    ['event index', '--index', '/proc/granule'],
    ['event index', '--index', 'good.hepmc3'],
  ])('is not even looked at when the %s cannot be made: %s %s', async (what, flag, path) => {
    const { code, stderr } = await run(['good.hepmc3', '--payload', 'digest', '--out', 'out', flag, path]);
    expect(code).toBe(2);
    expect(stderr).toContain(`cannot be used as ${what}`);
    expect(stderr).toContain(`with ${flag}`);
  });

  it.skipIf(process.getuid?.() === 0)('nor when OUT is not ours to write', async () => {
    mkdirSync(join(folder, 'locked'));
    chmodSync(join(folder, 'locked'), 0o500);
    const { code, stderr } = await run(['good.hepmc3', '--payload', 'digest', '--out', 'locked']);
    expect(code).toBe(2);
    expect(stderr).toContain('permission');
  });
});
