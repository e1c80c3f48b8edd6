/** `granule index` and `granule serve-events`, as users call them. */
import type { ChildProcess } from 'node:child_process';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tryToken } from '../../../core/token.ts';
import { makeFolder, removeFolder } from '../../dispatcher/fixture.ts';
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

function jsonLines(ended: Ended): Record<string, unknown>[] {
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

    expect((await call(['index', 'verify'])).code).toBe(0);
    appendFileSync(join(folder, 'b.ndjson'), '{"event":50}\n');
    const verified = await call(['index', 'verify', '--json']);
    expect([verified.code, jsonLines(verified).map(({ outcome }) => outcome)]).toEqual([4, ['same', 'other-content']]);
  });

  it.each([
    [['index', 'frobnicate'], 'add, query or verify'],
    [['index', 'add'], 'no file is named'],
    [['index', 'query'], '--guid'],
    [['index', 'query', '--guid', 'x'], 'not a GUID'],
  ])('refuses %s', async (args, message) => {
    const ended = await call(args);
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining(message)]);
  });
});

describe('granule serve-events', () => {
  it('gives events to a run, and stops when told', async () => {
    let server: ChildProcess | undefined;
    let announce: (line: string) => void = () => undefined;
    const announced = new Promise<string>((resolve) => {
      announce = resolve;
    });
    const served = call(['serve-events', 'a.ndjson', '--json'], (child) => {
      server = child;
      child.stdout?.on('data', announce);
    });
    const { url, files } = JSON.parse(await announced) as { url: string; files: { guid: string }[] };
    const place = `granule+${url}/${files[0]?.guid}`;
    const ran = await call(['run', place, '--payload', 'digest', '--out', 'out', '--workers', '1', '--json']);
    expect([ran.code, ran.stderr]).toEqual([0, expect.stringContaining('50/50')]);
    const lines = readFileSync(join(folder, 'out', 'a.ndjson.DIGEST.ndjson'), 'utf8')
      .trim()
      .split('\n');
    expect(lines.map((line) => JSON.parse(line).sizeBytes)).toEqual(EVENTS.map((event) => event.length));
    server?.kill('SIGTERM');
    expect((await served).code).toBe(0);
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
