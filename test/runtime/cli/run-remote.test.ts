/** Runs on remote input: the same outputs as from local files, through faults, deaths and catalogues. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseGuid } from '../../../core/ids.ts';
import { toyEventText, toyFooter, toyHeader } from '../../../payloads/generator/toy-generator.ts';
import { writePoolFileCatalogue } from '../../../runtime/catalogue/catalogue-writer.ts';
import { makeFolder, removeFolder } from '../../dispatcher/fixture.ts';
import { FaultServer } from '../remote/fault-server.ts';
import { type Ended, granule } from './program.ts';

const EVENTS = 120;
let listing = '';
let folder = '';
let server: FaultServer;

beforeAll(() => {
  const settings = { seed: 5, energyGeV: 91.2, meanPrimaries: 4 };
  const events = Array.from({ length: EVENTS }, (_, index) => toyEventText(settings, index + 1));
  listing = toyHeader() + events.join('') + toyFooter();
});

beforeEach(async () => {
  folder = makeFolder();
  mkdirSync(join(folder, 'local'));
  writeFileSync(join(folder, 'local', 'events.hepmc3'), listing);
  server = await FaultServer.start({ '/events.hepmc3': Buffer.from(listing), '/packed.gz': gzipSync(listing) });
});

afterEach(async () => {
  await server.kill();
  removeFolder(folder);
});

function run(input: string, out: string, more: readonly string[] = []): Promise<Ended> {
  const args = [
    'run',
    '--input',
    input,
    '--payload',
    'digest',
    '--out',
    out,
    '--workers',
    '2',
    '--json',
    '--patience',
    '4s',
    ...more,
  ];
  return granule(args, { cwd: folder });
}

function output(out: string, name = 'events.hepmc3'): string {
  return readFileSync(join(folder, out, `${name}.DIGEST.ndjson`), 'utf8');
}

async function localOutput(): Promise<string> {
  expect((await run('local/events.hepmc3', 'expected')).code).toBe(0);
  return output('expected');
}

describe('a run on remote input', () => {
  it('makes byte for byte what local input makes, through a latency and cut connections', async () => {
    let number = 0;
    server.faults = () => {
      number += 1;
      const latency = { kind: 'latency', ms: 20 } as const;
      return number % 3 === 0 ? [latency, { kind: 'cut', afterBytes: 5000 }] : [latency];
    };
    const ended = await run(server.url('/events.hepmc3').href, 'out');
    expect([ended.code, ended.stderr]).toEqual([0, expect.stringContaining('120/120')]);
    expect(output('out')).toBe(await localOutput());
  });

  it('notices wrong bytes by the checksums of the index, and fetches them again', async () => {
    let number = 0;
    server.faults = ({ range }) => {
      if (range === undefined || range === 'bytes=0-0') return [];
      number += 1;
      return number % 2 === 1 ? [{ kind: 'wrong-bytes' }] : [];
    };
    const url = server.url('/events.hepmc3').href;
    expect((await run(url, 'out', ['--cache', 'cache'])).code).toBe(0);
    expect((await run(url, 'ranges', ['--events-per-range', '7'])).code).toBe(0);
    expect(number).toBeGreaterThan(2);
    const expected = await localOutput();
    expect([output('out') === expected, output('ranges') === expected]).toEqual([true, true]);
    server.faults = ({ range }) => (range === undefined || range === 'bytes=0-0' ? [] : [{ kind: 'wrong-bytes' }]);
    const failed = await run(url, 'failed', ['--events', '1-2']);
    expect([failed.code, failed.stderr]).toEqual([4, expect.stringContaining('instead of')]);
  });

  it('inflates what is compressed', async () => {
    expect((await run(server.url('/packed.gz').href, 'out')).code).toBe(0);
    const positions = output('out', 'packed.gz')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).position);
    expect(positions).toEqual(Array.from({ length: EVENTS }, (_, index) => index + 1));
  });

  it('ends with exit code 75 when no server is there, and when it goes half-way; the same command then goes on', async () => {
    await server.kill();
    const gone = await run(server.url('/events.hepmc3').href, 'out');
    expect([gone.code, gone.stderr]).toEqual([75, expect.stringContaining('refused')]);
    await server.revive();
    let number = 0;
    server.faults = ({ range }) => {
      if (range === undefined || range === 'bytes=0-0') return [];
      number += 1;
      return number > 1 ? [{ kind: 'cut', afterBytes: 0 }] : [];
    };
    const halfWay = await run(server.url('/events.hepmc3').href, 'out', ['--prefetch', '128K', '--patience', '1s']);
    expect([halfWay.code, halfWay.stderr]).toEqual([75, expect.stringContaining('cannot be reached')]);
    const { events } = JSON.parse(halfWay.stdout);
    expect([events.finished + events.left, events.failed, events.left > 0]).toEqual([EVENTS, 0, true]);
    server.faults = () => [];
    expect((await run(server.url('/events.hepmc3').href, 'out')).code).toBe(0);
    expect(output('out')).toBe(await localOutput());
  });

  it('takes the replicas of a catalogue, and names of its files', async () => {
    const guid = parseGuid('01234567-89AB-CDEF-0123-456789ABCDEF');
    const dead = 'http://127.0.0.1:9/events.hepmc3';
    const text = writePoolFileCatalogue([
      {
        guid,
        physical: [{ name: '/not/here' }, { name: dead }, { name: server.url('/events.hepmc3').href }],
        logical: ['events.hepmc3'],
        metadata: [{ name: 'fsize', value: String(Buffer.byteLength(listing)) }],
      },
    ]);
    writeFileSync(join(folder, 'PoolFileCatalog.xml'), text);
    const ended = await run(guid, 'out', ['--catalog', 'PoolFileCatalog.xml', '--cache', 'cache']);
    expect([ended.code, ended.stderr]).toEqual([0, expect.stringContaining('120/120')]);
    expect(output('out')).toBe(await localOutput());
    expect(existsSync(join(folder, 'cache'))).toBe(true);
    expect(readFileSync(join(folder, 'out', 'PoolFileCatalog.xml'), 'utf8')).toContain(dead);
  });

  it('refuses a file that does not exist', async () => {
    const ended = await run(server.url('/none.hepmc3').href, 'out');
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining('does not exist')]);
  });
});
