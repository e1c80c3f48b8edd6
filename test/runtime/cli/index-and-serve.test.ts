/** `granule index` and `granule serve-events`, as users call them. */
import type { ChildProcess } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TECHNOLOGY_ROOT_TREE, tryToken } from '../../../core/token.ts';
import { makeFolder, removeFolder } from '../../dispatcher/fixture.ts';
import { ROOT_DATA_FILES } from '../../event-data.ts';
import { FaultServer } from '../remote/fault-server.ts';
import { canReadRoot, rootNote } from '../root/jsroot-here.ts';
import { type Ended, granule } from './program.ts';

const EVENTS = Array.from({ length: 50 }, (_, at) => `{"event":${at}}\n`);
let folder = '';

beforeAll(() => {
  folder = makeFolder();
  writeFileSync(join(folder, 'a.ndjson'), EVENTS.join(''));
  writeFileSync(join(folder, 'b.ndjson'), EVENTS.slice(7).join(''));
});

afterAll(() => removeFolder(folder));

function call(args: readonly string[], withChild?: (child: ChildProcess) => void): Promise<Ended> {
  const environment = { GRANULE_INDEX: join(folder, 'index') };
  return granule(args, { cwd: folder, environment, ...(withChild === undefined ? {} : { withChild }) });
}

function jsonLines(ended: Pick<Ended, 'stdout'>): Record<string, unknown>[] {
  return ended.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

describe('granule index', () => {
  it('adds files, answers queries by position, and finds files that changed', async () => {
    const added = await call(['index', 'add', 'a.ndjson', 'b.ndjson', 'none.ndjson', '--json']);
    expect([added.code, added.stderr]).toEqual([4, expect.stringContaining('none.ndjson')]);
    expect(jsonLines(added)).toMatchObject([
      { lfn: 'a.ndjson', events: 50, outcome: 'read' },
      { lfn: 'b.ndjson', events: 43 },
    ]);
    const guid = String(jsonLines(added)[0]?.['guid']);

    const found = await call(['index', 'query', '--guid', guid, '--events', '49-,3', '--json']);
    expect(jsonLines(found).map(({ position }) => position)).toEqual([3, 49, 50]);
    const { offsetBytes = 0, lengthBytes = 0 } = tryToken(String(jsonLines(found)[0]?.['token']))?.byteRange ?? {};
    expect(EVENTS.join('').slice(offsetBytes, offsetBytes + lengthBytes)).toBe(EVENTS[2]);

    const none = await call(['index', 'query', '--guid', guid, '--events', '51-60']);
    expect([none.code === 0, none.stderr]).toEqual([false, expect.stringContaining('has none of these events')]);

    expect((await call(['index', 'verify'])).code).toBe(0);
    const mistyped = await call(['index', 'verify', 'a.ndjson', 'c.ndjson', '--json']);
    expect([mistyped.code, jsonLines(mistyped).map(({ outcome }) => outcome)]).toEqual([4, ['unknown', 'same']]);
    appendFileSync(join(folder, 'b.ndjson'), '{"event":50}\n');
    const verified = await call(['index', 'verify', '--json']);
    expect([verified.code, jsonLines(verified).map(({ outcome }) => outcome)]).toEqual([4, ['same', 'other-content']]);
  });

  it('reads remote files as a run does, with its cache, patience and authorities', async () => {
    const server = await FaultServer.start({ '/far.ndjson': Buffer.from(EVENTS.join('')) });
    try {
      const url = server.url('/far.ndjson').href;
      const index = ['--index', 'far-index'];
      const added = await call(['index', 'add', url, ...index, '--cache', 'cache', '--json']);
      expect(jsonLines(added)).toMatchObject([{ lfn: 'far.ndjson', events: 50, outcome: 'read', place: url }]);
      const askedFor = server.sentBytes;
      const ran = await call([
        'run',
        url,
        ...index,
        '--cache',
        'cache',
        '--payload',
        'digest',
        '--out',
        'far',
        '--json',
      ]);
      expect(JSON.parse(ran.stdout)).toMatchObject({ ending: 'complete', events: { total: 50 } });
      // The bytes came with the index: single ones, to see whether the file is still the same, are all that is asked for.
      expect(server.sentBytes - askedFor).toBeLessThan(50);
      const verify = ['index', 'verify', url, ...index, '--cache', 'cache', '--patience', '1s', '--json'];
      const same = await call(verify);
      expect([same.code, jsonLines(same)]).toMatchObject([0, [{ path: url, outcome: 'same' }]]);
      // What is in a cache says nothing of the server.
      expect(server.sentBytes - askedFor).toBeGreaterThan(EVENTS.join('').length);
      server.files.set('/far.ndjson', Buffer.from(EVENTS.slice(1).join('')));
      expect(jsonLines(await call(verify))).toMatchObject([{ outcome: 'other-content' }]);
      server.files.delete('/far.ndjson');
      const lost = await call(verify);
      expect([lost.code, jsonLines(lost)]).toMatchObject([4, [{ outcome: expect.stringMatching(/^INPUT_|^SOURCE_/) }]]);
      const refused = await call(['index', 'add', url, ...index, '--tls-ca', 'none.pem']);
      expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('none.pem cannot be read')]);
      server.faults = () => [{ kind: 'status', status: 503 }];
      const gone = await call(['index', 'add', server.url('/other').href, ...index, '--patience', '1s']);
      expect([gone.code, gone.stderr]).toEqual([75, expect.stringContaining('answers 503')]);
    } finally {
      await server.kill();
    }
  });

  it('lists what it has, and gives runs what they need not read again', async () => {
    const listed = await call(['index', 'list', '--json']);
    // Listed in the order in which threads had read them.
    const files = jsonLines(listed).sort((a, b) => (String(a['lfn']) < String(b['lfn']) ? -1 : 1));
    expect(files).toMatchObject([
      { schema: 1, lfn: 'a.ndjson', events: 50, format: 'ndjson', places: [join(folder, 'a.ndjson')] },
      { lfn: 'b.ndjson' },
    ]);
    expect((await call(['index', 'list'])).stdout).toContain(`${files[0]?.['guid']}      50  ndjson`);
    const ran = await call(['run', 'a.ndjson', '--payload', 'digest', '--out', 'shared', '--workers', '1', '--json']);
    expect(JSON.parse(ran.stdout)).toMatchObject({ ending: 'complete', events: { total: 50 } });
    expect(existsSync(join(folder, 'shared', '.granule', 'index'))).toBe(false);
  });

  it.skipIf(!canReadRoot)(`names entries of ROOT trees, and serves their files${rootNote}`, async () => {
    const [file] = ROOT_DATA_FILES;
    const added = await call(['index', 'add', file?.path ?? '', '--json']);
    expect(jsonLines(added)).toMatchObject([{ events: 2421, format: 'root' }]);
    const guid = String(jsonLines(added)[0]?.['guid']);
    const found = await call(['index', 'query', '--guid', guid, '--events', '2421', '--json']);
    const token = tryToken(String(jsonLines(found)[0]?.['token']));
    expect(token).toMatchObject({ container: 'events', technology: TECHNOLOGY_ROOT_TREE, row: 2420 });
    const zmumu = ROOT_DATA_FILES.find(({ path }) => path.includes('Zmumu'))?.path ?? '';
    expect((await call(['index', 'add', zmumu])).code).toBe(0);
    const byNumber = await call(['index', 'query', '--run', '148031', '--events', '10507008', '--json']);
    expect(tryToken(String(jsonLines(byNumber)[0]?.['token']))).toMatchObject({ container: 'events', row: 0 });
    // Four candidates of one collision, each an entry.
    const places = [1, 2, 3, 4].map((position) => ({ run: 148_031, event: 10_507_008, position }));
    expect(jsonLines(byNumber)).toMatchObject(places);
    const refused = await call(['index', 'query', '--guid', guid, '--tree', 'event']);
    expect([refused.code, refused.stderr]).toEqual([4, expect.stringContaining('did you mean "events"?')]);

    const digest = ['--payload', 'digest', '--branches', 'Muon_*', '--events', '1-20', '--workers', '1'];
    await serving([zmumu], async (url) => {
      const answer = await fetch(`${url}/v1/tokens?run=148031&events=10507008`);
      const tokens = jsonLines({ stdout: await answer.text() }).map(({ token }) => token);
      expect(tokens).toEqual(jsonLines(byNumber).map(({ token }) => token));
    });
    await serving([file?.path ?? ''], async (url) => {
      const unserved = await fetch(`${url}/v1/tokens?run=148031&events=10507008`);
      expect([unserved.status, await unserved.text()]).toEqual([200, '']);
      const ran = await call(['run', `granule+${url}/${guid}`, ...digest, '--out', 'served']);
      expect([ran.code, ran.stderr]).toEqual([0, expect.stringContaining('20/20')]);
    });
    expect((await call(['run', file?.path ?? '', ...digest, '--out', 'local'])).code).toBe(0);
    const read = (out: string): string => readFileSync(join(folder, out, 'HZZ-2421.root.DIGEST.ndjson'), 'utf8');
    expect(read('served')).toBe(read('local'));
  });

  it.each([
    [['index', 'frobnicate'], 'add, query, list or verify'],
    [['index', 'add'], 'no file is named'],
    [['index', 'query'], '--guid'],
    [['index', 'query', '--guid', 'x'], 'not a GUID'],
  ])('refuses %s', async (args, message) => {
    const ended = await call(args);
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining(message)]);
  });
});

/** Serves files for as long as `use` takes; the server must end well when it is told to. */
async function serving(places: readonly string[], use: (url: string, guid: string) => Promise<void>): Promise<void> {
  let server: ChildProcess | undefined;
  let announce: (line: string) => void = () => undefined;
  const announced = new Promise<string>((resolve) => {
    announce = resolve;
  });
  const served = call(['serve-events', ...places, '--json'], (child) => {
    server = child;
    child.stdout?.on('data', announce);
  });
  const { url, files } = JSON.parse(await announced) as { url: string; files: { guid: string }[] };
  try {
    await use(url, files[0]?.guid ?? '');
  } finally {
    server?.kill('SIGTERM');
  }
  expect((await served).code).toBe(0);
}

describe('granule serve-events', () => {
  it('gives events to a run, and stops when told', async () => {
    await serving(['a.ndjson'], async (url, guid) => {
      const place = `granule+${url}/${guid}`;
      const ran = await call(['run', place, '--payload', 'digest', '--out', 'out', '--workers', '1', '--json']);
      expect([ran.code, ran.stderr]).toEqual([0, expect.stringContaining('50/50')]);
      const index = ['--index', 'served-index', '--json'];
      expect(jsonLines(await call(['index', 'add', place, ...index]))).toMatchObject([{ events: 50, place }]);
      expect(jsonLines(await call(['index', 'verify', ...index]))).toMatchObject([{ path: place, outcome: 'same' }]);
    });
    const lines = readFileSync(join(folder, 'out', 'a.ndjson.DIGEST.ndjson'), 'utf8')
      .trim()
      .split('\n');
    expect(lines.map((line) => JSON.parse(line).sizeBytes)).toEqual(EVENTS.map((event) => event.length));
  });

  it.each([
    [['serve-events', 'a.ndjson', '--host', '0.0.0.0'], 'opens the files to the network'],
    [['serve-events', 'a.ndjson', '--port', 'x'], 'not a port'],
    [['serve-events', 'http://h/f'], 'on a server already'],
    [['serve-events', 'none'], 'none'],
  ])('refuses %s', async (args, message) => {
    const ended = await call(args);
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining(message)]);
  });
});
