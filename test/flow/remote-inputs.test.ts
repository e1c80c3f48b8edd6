/** Whole runs on events that are fetched: how their bytes travel, and files that join while others are being fetched. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PeerChannel, ServerChannel } from '../../runtime/channel/channel.ts';
import { FaultServer } from '../runtime/remote/fault-server.ts';
import { echoing, RunFolder } from '../runtime/whole-run.ts';

const EVENTS = 40;

/** Events numbered from `first`, and what the payload makes of them. */
function eventFile(first: number): { readonly content: Buffer; readonly output: string } {
  const numbers = Array.from({ length: EVENTS }, (_, index) => first + index);
  return {
    content: Buffer.from(numbers.map((n) => `{"n":${n},"pad":"${'x'.repeat(20_000)}"}\n`).join('')),
    output: numbers.map((n) => `{"n":${n}}\n`).join(''),
  };
}

const KNOWN = eventFile(1);
const LATE = eventFile(1001);

let folder: RunFolder;
let server: FaultServer;
let known: string;
let late: string;

beforeEach(async () => {
  folder = new RunFolder(echoing(''), 1);
  server = await FaultServer.start({ '/known.ndjson': KNOWN.content, '/late.ndjson': LATE.content });
  known = server.url('/known.ndjson').href;
  late = server.url('/late.ndjson').href;
});

afterEach(async () => {
  vi.restoreAllMocks();
  await server.kill();
  folder.remove();
});

/** Merged files, by name. */
function outputs(): Record<string, string> {
  const names = readdirSync(folder.outPath).filter((name) => /\.OUT\./.test(name));
  return Object.fromEntries(names.sort().map((name) => [name, readFileSync(join(folder.outPath, name), 'utf8')]));
}

/** Asked for by ranges: by whoever fetches events, not by whoever reads the whole file. */
function rangesAskedOf(path: string): number {
  return server.seen.filter((request) => request.path === path && request.range !== undefined).length;
}

describe('the bytes of remote events', () => {
  it('pass the main thread once, and are not copied there', async () => {
    const receive = vi.spyOn(PeerChannel.prototype, 'receive');
    const send = vi.spyOn(ServerChannel.prototype, 'send');
    expect(await folder.run({ input: [known], workers: 1 })).toMatchObject({ ending: 'complete' });
    const received = await Promise.all(receive.mock.results.map(({ value }) => value));
    const arrived = received.flatMap((message) => message?.frames ?? []);
    const sent = send.mock.calls.flatMap(([, , frames]) => frames ?? []);
    const sizeBytes = arrived.reduce((sum, frame) => sum + frame.length, 0);
    expect([arrived.length, sizeBytes]).toEqual([EVENTS, KNOWN.content.length]);
    // What goes to ZeroMQ is the very memory that came from it.
    expect(sent.length).toBe(EVENTS);
    expect(sent.every((frame) => arrived.includes(frame as Buffer))).toBe(true);
  });
});

describe('a remote file that has to be read', () => {
  it('joins a run that fetches events of another one already', async () => {
    const index = join(folder.path, 'index');
    await folder.run({ input: [known], index, out: join(folder.path, 'earlier') });
    server.seen.length = 0;
    let release: () => void = () => undefined;
    const until = new Promise<void>((resolve) => {
      release = resolve;
    });
    server.faults = ({ path, range }) =>
      path === '/late.ndjson' && range === undefined ? [{ kind: 'hold', until }] : [];
    const handle = folder.start({ input: [late, known], index });
    await expect.poll(() => outputs(), { timeout: 30_000 }).toEqual({ 'known.ndjson.OUT.ndjson': KNOWN.output });
    expect(rangesAskedOf('/known.ndjson')).toBeGreaterThan(0);
    const askedBefore = rangesAskedOf('/late.ndjson');
    release();
    expect(await handle.done).toMatchObject({ ending: 'complete', events: { total: 80, finished: 80 } });
    expect(rangesAskedOf('/late.ndjson')).toBeGreaterThan(askedBefore);
    expect(outputs()).toEqual({
      'known.ndjson.OUT.ndjson': KNOWN.output,
      'late.ndjson.OUT.ndjson': LATE.output,
    });
  });
});
