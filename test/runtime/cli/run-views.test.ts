import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../core/clock.ts';
import type { Dispatcher } from '../../../dispatcher/dispatcher.ts';
import {
  failed,
  finished,
  makeFolder,
  openDispatcher,
  removeFolder,
  submit,
  TestConsumer,
} from '../../dispatcher/fixture.ts';
import { granule } from './program.ts';

let folder = '';
let dispatcher: Dispatcher;

/** 2000 events in two files: 3 finished, 1 failed for good, 1 failed once, 2 held, the rest ready. */
beforeAll(async () => {
  folder = makeFolder();
  dispatcher = await openDispatcher(join(folder, 'out/.granule/store'), { clock: systemClock });
  const taskID = await submit(dispatcher, [1500, 500], { name: 'digest', failuresMax: 2 });
  const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
  const [first, second, third, bad, poor, ...held] = await consumer.take(7);
  if (!first || !second || !third || !bad || !poor) throw new Error('ranges are missing');
  await consumer.report(finished(first), finished(second), finished(third), failed(bad));
  const [badAgain] = await consumer.take(1);
  if (!badAgain) throw new Error('the failed range did not come back');
  await consumer.report(failed(badAgain), failed(poor));
  expect(held).toHaveLength(2);
});

afterAll(async () => {
  await dispatcher.close();
  removeFolder(folder);
});

const COUNTS = { ready: 1993, sent: 2, running: 0, finished: 3, failed: 1, fatal: 1, merged: 0, cancelled: 0 };

describe('granule status', () => {
  it('counts ranges and events per state while another process holds the store, and names it', async () => {
    const { code, stdout, stderr } = await granule(['status', '--out', 'out', '--json'], { cwd: folder });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const status = JSON.parse(stdout);
    expect(status).toMatchObject({
      schema: 1,
      out: join(folder, 'out'),
      runningOn: { pid: process.pid },
      ranges: COUNTS,
      events: COUNTS,
      tasks: [{ taskID: 1, name: 'digest', ranges: COUNTS, totals: { handedOut: 8 } }],
    });
  });

  it('is a table for people, and finds the run by the current folder or granule.yaml too', async () => {
    const { stdout } = await granule(['status'], { cwd: join(folder, 'out') });
    expect(stdout).toMatch(
      /^\.: a run is on: process \d+ on .+\n\ntask 1, digest: 2000 events\nstate +ranges +events +share\n/,
    );
    expect(stdout).toMatch(/^ready +1993 +1993 +99\.7 %$/m);
    const named = await granule(['status'], { cwd: folder, environment: { GRANULE_OUT: 'out' } });
    expect(named.stdout).toContain('out: a run is on');
  });

  it.each([
    ['none', 'none: there is no such folder'],
    ['.', '.: there is no run in this folder'],
  ])('says that there is no run in %s', async (out, message) => {
    const { code, stdout, stderr } = await granule(['status', '--out', out], { cwd: folder });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toContain('--out DIR');
  });
});

describe('granule show', () => {
  it('tells of one event why it failed, with its last log lines, however it is named', async () => {
    const { code, stdout } = await granule(['show', '--out', 'out', 'events-0.hepmc:4'], { cwd: folder });
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^event +events-0\.hepmc:4 \(GUID 0+-.*, hepmc3\)\nstate +fatal\nhanded out +2 times, 2 failures/,
    );
    expect(stdout).toMatch(/^failed +payload-error: event 3 failed$/m);
    expect(stdout).toContain('last log lines:\na line\n');
    for (const reference of ['00000000-0000-8000-8000-000000000000:4', '1-1-1-4-2']) {
      const { stdout: json } = await granule(['show', '--out', 'out', '--json', reference], { cwd: folder });
      expect(JSON.parse(json)).toMatchObject({ schema: 1, lfn: 'events-0.hepmc', position: 4, status: 'fatal' });
    }
  });

  it('tells where the outputs of a finished event lie', async () => {
    const { stdout } = await granule(['show', '--out', 'out', '--json', 'events-0.hepmc:1'], { cwd: folder });
    expect(JSON.parse(stdout)).toMatchObject({ status: 'finished', outputs: [{ stream: 'OUT', lengthBytes: 100 }] });
    const { stdout: text } = await granule(['show', '--out', 'out', 'events-0.hepmc:1'], { cwd: folder });
    expect(text).toMatch(/^handed out +1 time, 0 failures, 0 losses$/m);
  });

  it.each([
    ['events-0.hepmc', '"events-0.hepmc" names no event', 'LFN:position'],
    ['events-0.hepmc:1501', 'events-0.hepmc has no event 1501: it has 1500', ''],
    ['event-0.hepmc:1', 'the run has no such file', 'did you mean "events-0.hepmc"'],
    ['9-1-1-1-1', 'the run has no such file', ''],
  ])('refuses %s', async (reference, message, remedy) => {
    const { code, stderr } = await granule(['show', '--out', 'out', reference], { cwd: folder });
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(stderr).toContain(remedy);
  });
});

describe('granule events', () => {
  it('prints one object a line, with the reason of a failure', async () => {
    const { code, stdout } = await granule(['events', '--out', 'out', '--status', 'fatal,failed', '--json'], {
      cwd: folder,
    });
    expect(code).toBe(0);
    expect(stdout.endsWith('}\n')).toBe(true);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toMatchObject([
      {
        lfn: 'events-0.hepmc',
        position: 4,
        lastEvent: 4,
        status: 'fatal',
        failures: 2,
        attemptNr: 2,
        cause: 'payload-error',
        message: 'event 3 failed',
      },
      { lfn: 'events-0.hepmc', position: 5, status: 'failed', failures: 1, cause: 'payload-error' },
    ]);
  });

  it('lists all of a large table, page by page, or a part and where it goes on', async () => {
    const all = await granule(['events', '--out', 'out', '--json'], { cwd: folder });
    const lines = all.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(2000);
    expect(lines.map((line) => line.rangeIndex)).toEqual(lines.map((_, index) => index));
    expect(lines.at(-1)).toMatchObject({ lfn: 'events-1.hepmc', position: 500, status: 'ready' });
    const part = await granule(['events', '--out', 'out', '--json', '--limit', '3', '--from', '1998'], { cwd: folder });
    expect(part).toMatchObject({ stderr: '' });
    const cut = await granule(['events', '--out', 'out', '--json', '--limit', '3', '--status', 'ready'], {
      cwd: folder,
    });
    expect(cut.stdout.trimEnd().split('\n')).toHaveLength(3);
    expect(cut.stderr).toBe('more: --from 10\n');
  });

  it('groups failures by cause for people', async () => {
    const { stdout } = await granule(['events', '--out', 'out', '--cause', 'payload-error'], { cwd: folder });
    expect(stdout).toMatch(
      /^why +events +example +message\npayload-error +2 +events-0\.hepmc:4 +event 3 failed\n\nevent /,
    );
    const none = await granule(['events', '--out', 'out', '--status', 'merged'], { cwd: folder });
    expect(none.stdout).toBe('no event is in this state\n');
  });

  it.each([
    [['--status', 'fatale'], 'there is no "fatale"', 'did you mean "fatal"?'],
    [['--cause', 'bug'], 'there is no "bug"', 'payload-error'],
    [['--limit', 'x'], '"x" is not a whole number', ''],
  ])('refuses %j', async (args, message, remedy) => {
    const { code, stderr } = await granule(['events', '--out', 'out', ...args], { cwd: folder });
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(stderr).toContain(remedy);
  });
});
