/** What a run on input that needs a password leaves behind: nothing of the password, except where it has to be. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { toyEventText, toyFooter, toyHeader } from '../../../payloads/generator/toy-generator.ts';
import { makeFolder, removeFolder } from '../../dispatcher/fixture.ts';
import { FaultServer } from '../remote/fault-server.ts';
import { type Ended, granule } from './program.ts';

const PASSWORD = 'oPen-5esame';
const TOKEN = 'tHe-t0ken-of-this-test';
let folder = '';
let server: FaultServer;

beforeEach(async () => {
  folder = makeFolder();
  const settings = { seed: 5, energyGeV: 91.2, meanPrimaries: 4 };
  const events = Array.from({ length: 20 }, (_, index) => toyEventText(settings, index + 1));
  server = await FaultServer.start({ '/events.hepmc3': Buffer.from(toyHeader() + events.join('') + toyFooter()) });
  const authorization = `Basic ${Buffer.from(`me:${PASSWORD}`).toString('base64')}`;
  server.faults = ({ headers }) => (headers.authorization === authorization ? [] : [{ kind: 'status', status: 401 }]);
});

afterEach(async () => {
  await server.kill();
  removeFolder(folder);
});

function secretPlace(path: string, token = TOKEN): string {
  return `${server.origin.replace('://', `://me:${PASSWORD}@`)}${path}?run=7&access_token=${token}`;
}

async function run(...more: readonly string[]): Promise<Ended> {
  const inputs = [secretPlace('/events.hepmc3'), secretPlace('/missing.hepmc3')].flatMap((place) => ['--input', place]);
  const args = ['run', ...inputs, '--payload', 'digest', '--out', 'out', '--workers', '1', '--log-level', 'debug'];
  return granule([...args, '--patience', '2s', ...more], { cwd: folder });
}

/** Files of the folder that hold one of the secrets. */
function telling(): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => {
    const path = join(folder, name);
    return statSync(path).isFile() && holdsSecret(readFileSync(path, 'latin1'));
  });
}

function holdsSecret(text: string): boolean {
  return [PASSWORD, TOKEN].some((secret) => text.includes(secret));
}

const PLACES = join('out', '.granule', 'places.json');

describe('a password and a token in the address of an input', () => {
  it('are in no file but one of its owner, and in nothing that is printed', async () => {
    const ended = [
      await run('--json'),
      await run('--debug'),
      await granule(['plan', '--out', 'x', secretPlace('/gone')]),
    ];
    expect(ended.map(({ code }) => code)).toEqual([4, 4, 2]);
    expect(ended.filter(({ stdout, stderr }) => holdsSecret(stdout + stderr))).toEqual([]);
    expect(telling()).toEqual([PLACES]);
    expect(statSync(join(folder, PLACES)).mode & 0o777).toBe(0o600);
    const manifest = JSON.parse(readFileSync(join(folder, 'out', 'manifest.json'), 'utf8'));
    const place = `${server.origin}/events.hepmc3?run=7`;
    expect([manifest.inputs[0].place, manifest.command]).toEqual([place, expect.arrayContaining([place])]);
    expect(readFileSync(join(folder, 'out', 'PoolFileCatalog.xml'), 'utf8')).toContain(place);
  });

  it('are in no error of a command that cannot work, nor in its remedy', async () => {
    const odd = [`https://me:${PASSWORD}/@h/a`, `ftp://me:${PASSWORD}@h/a`, `file://me:${PASSWORD}@h/a`];
    const ended = await Promise.all([
      granule(['run', '--debug', '--payload', 'digest', '--out', 'out', ...odd], { cwd: folder }),
      granule(['index', 'add', '--debug', '--index', 'index', ...odd], { cwd: folder }),
      granule(['serve-events', '--debug', secretPlace('/a')], { cwd: folder }),
      granule(['show', '--debug', '--out', 'out', secretPlace('/a')], { cwd: folder }),
    ]);
    expect(ended.map(({ code }) => code === 0)).toEqual(ended.map(() => false));
    expect(ended.filter(({ stdout, stderr }) => holdsSecret(stdout + stderr)).map(({ stderr }) => stderr)).toEqual([]);
    expect(telling()).toEqual([]);
  });

  it('may be others at the next start, and are found again when one event is executed anew', async () => {
    expect((await run('-n', '5')).code).not.toBe(1);
    const place = secretPlace('/events.hepmc3', 'renewed');
    const args = ['run', '--input', place, '--payload', 'digest', '--out', 'out', '--workers', '1'];
    const resumed = await granule(args, { cwd: folder });
    expect([resumed.code, resumed.stderr]).toEqual([0, expect.stringContaining('20/20')]);
    const again = await granule(['exec', '--out', 'out', 'events.hepmc3:3', '--json'], { cwd: folder });
    expect(JSON.parse(again.stdout)).toMatchObject({
      outcome: 'finished',
      outputs: [{ comparedWithRun: 'same' }],
    });
  });

  it('are not in an event index that runs share, which knows the file by them or without', async () => {
    const index = (action: string, place: string): Promise<Ended> =>
      granule(['index', action, '--index', 'index', '--json', place], { cwd: folder });
    const added = [
      await index('add', secretPlace('/events.hepmc3')),
      await index('add', secretPlace('/events.hepmc3', 'new')),
    ];
    expect(added.map(({ stdout }) => JSON.parse(stdout))).toMatchObject([
      { outcome: 'read', place: `${server.origin}/events.hepmc3?run=7` },
      { outcome: 'kept' },
    ]);
    expect((await index('verify', secretPlace('/events.hepmc3'))).stdout).toContain('"outcome":"same"');
    expect(telling()).toEqual([]);
  });
});

it('a password in an option of a payload is not passed on with the manifest', async () => {
  mkdirSync(join(folder, 'in'));
  writeFileSync(join(folder, 'in', 'a.ndjson'), '{"a":1}\n');
  const cmd = `echo https://me:${PASSWORD}@h/a?sig=${TOKEN} >&2; false`;
  const args = ['run', '--payload', 'command', '--option', `cmd=${cmd}`, '--out', 'out', 'in/a.ndjson'];
  const ended = await granule([...args, '--workers', '1', '--log-level', 'debug'], { cwd: folder });
  const shown = await granule(['show', '--out', 'out', 'a.ndjson:1'], { cwd: folder });
  const shared = ['manifest.json', 'report.json', 'PoolFileCatalog.xml'].map((name) =>
    readFileSync(join(folder, 'out', name), 'utf8'),
  );
  expect([ended.code, shown.stdout]).toEqual([4, expect.stringContaining('https://h/a')]);
  expect([ended.stdout, ended.stderr, shown.stdout, ...shared].filter(holdsSecret)).toEqual([]);
  expect(telling().filter((name) => /\.log$/.test(name))).toEqual([]);
  expect(statSync(join(folder, 'out', '.granule', 'start.json')).mode & 0o777).toBe(0o600);
});
