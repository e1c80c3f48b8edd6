/** Runs that are at work while remote inputs are still being read. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunHandle } from '../../runtime/run/run-handle.ts';
import { granule } from '../runtime/cli/program.ts';
import { FaultServer } from '../runtime/remote/fault-server.ts';
import { echoing, RunFolder } from '../runtime/whole-run.ts';

const FAR = Buffer.from(Array.from({ length: 30 }, (_, index) => `{"n":${1000 + index}}\n`).join(''));
const PATIENCE = '2s';

let folder: RunFolder;
let server: FaultServer;
/** lets go of the answers that are held */
let release: () => void;
let far: string;

beforeEach(async () => {
  folder = new RunFolder(echoing(''), 20);
  server = await FaultServer.start({ '/far.ndjson': FAR });
  far = server.url('/far.ndjson').href;
  hold();
});

afterEach(async () => {
  release();
  await server.kill();
  folder.remove();
});

/** Whoever reads the whole file waits from now on. */
function hold(): void {
  const until = new Promise<void>((resolve) => {
    release = resolve;
  });
  server.faults = ({ method, range }) => (method === 'GET' && range === undefined ? [{ kind: 'hold', until }] : []);
}

function finished(handle: RunHandle, eventCount: number): Promise<void> {
  let count = 0;
  return new Promise((resolve) => {
    handle.events.on('events:finished', (event) => {
      count += event.eventCount;
      if (count === eventCount) resolve();
    });
  });
}

/** Merged files, by name. */
function outputs(out = folder.outPath): Record<string, string> {
  const names = readdirSync(out).filter((name) => /\.OUT\./.test(name));
  return Object.fromEntries(names.sort().map((name) => [name, readFileSync(join(out, name), 'utf8')]));
}

const NEAR_OUTPUT = Array.from({ length: 20 }, (_, index) => `{"n":${index + 1}}\n`).join('');
const BOTH_OUTPUTS = { 'events.ndjson.OUT.ndjson': NEAR_OUTPUT, 'far.ndjson.OUT.ndjson': FAR.toString() };

describe('a remote file that has to be read', () => {
  it('joins the run when it is read, while other files are processed', async () => {
    const handle = folder.start({ input: [far, folder.inputPath] });
    const extended: unknown[] = [];
    handle.events.on('task:extended', (event) => extended.push(event));
    await finished(handle, 20);
    await expect.poll(() => Object.keys(outputs())).toEqual(['events.ndjson.OUT.ndjson']);
    expect(extended).toEqual([]);
    release();
    expect(await handle.done).toMatchObject({ ending: 'complete', exitCode: 0, events: { total: 50, finished: 50 } });
    expect(extended).toMatchObject([{ fileCount: 2, eventCount: 50 }]);
    expect(outputs()).toEqual(BOTH_OUTPUTS);
    expect(readFileSync(join(folder.outPath, 'PoolFileCatalog.xml'), 'utf8')).toContain(far);
    expect(folder.manifest.inputs.map(({ lfn }) => lfn)).toEqual(['events.ndjson', 'far.ndjson']);
    expect(await folder.run({ input: [far, folder.inputPath] })).toMatchObject({ events: { recovered: 50 } });
  });

  it('is read again by a start after one that was interrupted meanwhile', async () => {
    const input = [far, folder.inputPath];
    const handle = folder.start({ input });
    await finished(handle, 20);
    handle.drain('interrupted');
    expect(await handle.done).toMatchObject({ ending: 'interrupted', exitCode: 130, events: { finished: 20 } });
    release();
    expect(await folder.run({ input })).toMatchObject({ ending: 'complete', events: { total: 50, recovered: 20 } });
    expect(outputs()).toEqual(BOTH_OUTPUTS);
  });

  it('is read again by a start after one that was killed meanwhile', async () => {
    const args = ['run', '--input', far, '--input', folder.inputPath, '--payload', folder.payloadPath];
    const command = [...args, '--out', folder.outPath, '--workers', '2'];
    const killed = await granule(command, {
      withChild: (child) => {
        const isThere = (): boolean => existsSync(join(folder.outPath, 'events.ndjson.OUT.ndjson'));
        void expect
          .poll(isThere, { timeout: 20_000 })
          .toBe(true)
          .then(() => child.kill('SIGKILL'));
      },
    });
    expect(killed.signal).toBe('SIGKILL');
    release();
    const ended = await granule(command);
    expect([ended.code, ended.stderr]).toEqual([0, expect.stringContaining('50/50 events')]);
    expect(outputs()).toEqual(BOTH_OUTPUTS);
  });

  it('is refused alone when it cannot be used, and joins a later start once it is repaired', async () => {
    const input = [far, folder.inputPath];
    server.files.set('/far.ndjson', Buffer.from('no events'));
    const handle = folder.start({ input });
    await finished(handle, 20);
    release();
    expect(await handle.done).toMatchObject({ ending: 'failed-events', exitCode: 4, refusedInputs: [{ place: far }] });
    expect(outputs()).toEqual({ 'events.ndjson.OUT.ndjson': NEAR_OUTPUT });
    server.files.set('/far.ndjson', FAR);
    expect(await folder.run({ input })).toMatchObject({ ending: 'complete', events: { total: 50, recovered: 20 } });
    expect(outputs()).toEqual(BOTH_OUTPUTS);
  });

  it('ends the run early when its server is gone, after the other files, and a later start finishes', async () => {
    const input = [far, folder.inputPath];
    await server.kill();
    const handle = folder.start({ input, patience: PATIENCE });
    const unreachable: string[] = [];
    handle.events.on('input:unreachable', ({ message }) => unreachable.push(message));
    const summary = await handle.done;
    expect(summary).toMatchObject({ ending: 'drained', exitCode: 75, events: { total: 20, finished: 20 } });
    expect(unreachable).toEqual([expect.stringContaining('far.ndjson cannot be read')]);
    expect(summary.reason).toBe(unreachable[0]);
    expect(outputs()).toEqual({ 'events.ndjson.OUT.ndjson': NEAR_OUTPUT });
    await server.revive();
    release();
    expect(await folder.run({ input })).toMatchObject({ ending: 'complete', events: { total: 50, recovered: 20 } });
    expect(outputs()).toEqual(BOTH_OUTPUTS);
  });

  it('is waited for where the order of files counts', async () => {
    const handle = folder.start({ input: [far, folder.inputPath], eventsPerOutput: 40 });
    let isSubmitted = false;
    handle.events.on('task:submitted', () => {
      isSubmitted = true;
    });
    await new Promise<void>((resolve) => handle.events.on('input:indexed', () => resolve()));
    expect(isSubmitted).toBe(false);
    release();
    expect(await handle.done).toMatchObject({ ending: 'complete', events: { finished: 50 } });
    expect(Object.values(outputs()).join('')).toBe(FAR.toString() + NEAR_OUTPUT);
  });

  it('that turns out to be a file given before ends the run', async () => {
    server.files.set('/far.ndjson', readFileSync(folder.inputPath));
    const handle = folder.start({ input: [folder.inputPath, far] });
    await finished(handle, 20);
    release();
    await expect(handle.done).rejects.toMatchObject({ code: 'INPUT_DUPLICATE' });
  });

  it('may not be another one in a later start', async () => {
    const handle = folder.start({ input: [folder.inputPath, far] });
    await finished(handle, 20);
    handle.drain('requested');
    await handle.done;
    release();
    server.files.set('/other.ndjson', Buffer.from('{"n":1}\n'));
    const other = server.url('/other.ndjson').href;
    await expect(folder.run({ input: [folder.inputPath, other] })).rejects.toMatchObject({
      code: 'RUN_DIFFERS',
      message: expect.stringContaining('with other.ndjson'),
    });
  });
});
