import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import type { GranuleError } from '../../core/errors.ts';
import { LOCK_RENEW_MS, LOCK_STALE_MS } from '../../core/limits.ts';
import { silentLogger } from '../../core/log.ts';
import { Dispatcher } from '../../dispatcher/dispatcher.ts';
import { networkFileSystemName } from '../../dispatcher/file-system.ts';
import { LmdbTableStore } from '../../dispatcher/lmdb-table-store.ts';
import { MemoryTableStore } from '../../dispatcher/memory-table-store.ts';
import { identifyProcess, livenessOf, thisHost } from '../../dispatcher/process-identity.ts';
import { packRecord } from '../../dispatcher/record-codec.ts';
import { StoreLock } from '../../dispatcher/store-lock.ts';
import { openTableReader } from '../../dispatcher/table-reader.ts';
import { STORE_KEYS, type StoreWrite } from '../../dispatcher/table-store.ts';
import {
  finished,
  LEASE_MS,
  ManualClock,
  makeFolder,
  openDispatcher,
  removeFolder,
  submit,
  TestConsumer,
} from './fixture.ts';

const DIST = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'dist');

let path: string;
let bundleFolder = '';
let victim = '';

beforeAll(async () => {
  mkdirSync(DIST, { recursive: true });
  bundleFolder = mkdtempSync(join(DIST, 'guard-victim-'));
  victim = join(bundleFolder, 'victim.mjs');
  await build({
    entryPoints: [fileURLToPath(new URL('./crash/crash-victim.ts', import.meta.url))],
    outfile: victim,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
  });
});
afterAll(() => rmSync(bundleFolder, { recursive: true, force: true }));

beforeEach(() => {
  path = makeFolder();
});
afterEach(() => removeFolder(path));

/** A dispatcher in another process; resolves when it has opened the store. */
async function startElsewhere(rangeCount: number) {
  const args = [victim, path, '1', String(rangeCount)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

describe('a store that somebody holds', () => {
  it('is refused naming host and pid, and is free without help once its holder was killed', async () => {
    const holder = await startElsewhere(1_000_000);
    try {
      await expect(openDispatcher(path)).rejects.toMatchObject({
        code: 'STORE_BUSY',
        details: { host: thisHost, pid: holder.pid },
        message: expect.stringContaining(`process ${holder.pid} on host ${thisHost}`),
      });
      const reader = openTableReader(path);
      expect(reader.holder()?.pid).toBe(holder.pid);
      await reader.close();
    } finally {
      holder.kill('SIGKILL');
    }
    await once(holder, 'close');
    const dispatcher = await openDispatcher(path);
    expect(dispatcher.recovery).toMatchObject({ afterDeath: true, sameBoot: true });
    await dispatcher.close();
  });

  it('remembers the death of its holder until somebody took up what that had left', async () => {
    const holder = await startElsewhere(1_000_000);
    holder.kill('SIGKILL');
    await once(holder, 'close');
    const refused = await openDispatcher(path);
    await refused.close();
    const reader = openTableReader(path);
    expect(reader.holder()).toBeUndefined();
    await reader.close();
    const second = await openDispatcher(path);
    expect(second.recovery).toMatchObject({ afterDeath: true, sameBoot: true });
    await second.releaseDead(await submit(second, [1]));
    await second.close();
    const third = await openDispatcher(path);
    expect(third.recovery.afterDeath).toBe(false);
    await third.close();
  });

  it('takes no word of its holder from the moment it is taken from it', async () => {
    const holder = await startElsewhere(1_000_000);
    let said = '';
    holder.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const closed = once(holder, 'close');
    const store = new LmdbTableStore(path);
    const content = (): string[] => [...store.entries([])].map(({ key, value }) => `${key} ${value}`);
    const lock = new StoreLock(store, systemClock, { path, force: true });
    const before = content();
    expect((await closed)[0]).toBe(3);
    expect(said).toContain('fatal STORE_BUSY');
    store.refresh();
    expect(content()).toEqual(before);
    await expect(lock.predecessorEnded()).resolves.toBeUndefined();
    await store.close();
  });

  it('is used by who took it from its holder only when that has ended', async () => {
    const holder = await startElsewhere(1_000_000);
    let said = '';
    holder.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const closed = once(holder, 'close');
    const dispatcher = await openDispatcher(path, { force: true });
    expect(livenessOf(identifyProcess(holder.pid ?? 0))).toBe('dead');
    await closed;
    const acknowledged = said.split('\n').filter((line) => line.startsWith('finished'));
    expect(dispatcher.recovery.committed).toBeGreaterThanOrEqual(acknowledged.length);
    await dispatcher.close();
  });

  it('can be read all the time, and every look sees one moment', async () => {
    const rangeCount = 3000;
    const holder = await startElsewhere(rangeCount);
    holder.stdout.resume();
    const closed = once(holder, 'close');
    let ended = false;
    void closed.then(() => {
      ended = true;
    });
    const reader = openTableReader(path);
    let looks = 0;
    while (!ended) {
      await new Promise((resolve) => setImmediate(resolve));
      const [task] = reader.tasks();
      if (task === undefined) continue;
      const { ranges } = reader.events({ taskID: 1, limit: rangeCount });
      const total = Object.values(task.ranges).reduce((sum, count) => sum + count, 0);
      expect([0, rangeCount]).toContain(total);
      for (const range of ranges) if (range.state !== 'ready') expect(range.attemptNr).toBeGreaterThan(0);
      looks += 1;
    }
    expect(looks).toBeGreaterThan(3);
    expect((await closed)[0]).toBe(0);
    expect(reader.tasks()[0]?.ranges).toMatchObject({ sent: 0, ready: 0, finished: 0 });
    await reader.close();
  });

  it('by this very process is refused too, until it is closed', async () => {
    const first = await openDispatcher(path);
    await expect(openDispatcher(path)).rejects.toMatchObject({ code: 'STORE_BUSY', details: { pid: process.pid } });
    await first.close();
    const second = await openDispatcher(path);
    expect(second.recovery.afterDeath).toBe(false);
    await second.close();
  });

  it('on another host is refused while its holder shows signs of life, and taken over when it stopped to', async () => {
    const clock = new ManualClock();
    const store = new MemoryTableStore();
    const holder = { ...identifyProcess(process.pid), host: 'far-away', bootID: 'other', pid: 77 };
    const lock = packRecord({ holder, token: 'x', renewedMs: clock.now });
    await store.commit([{ key: STORE_KEYS.lock, value: lock }]);
    await expect(startOn(store, clock)).rejects.toMatchObject({
      code: 'STORE_BUSY',
      details: { host: 'far-away', pid: 77 },
    });
    clock.advance(LOCK_STALE_MS + 1);
    const dispatcher = await startOn(store, clock);
    expect(dispatcher.recovery).toMatchObject({ afterDeath: true, sameBoot: false });
    await dispatcher.close();
  });

  it('in another container of this machine is refused naming it, and saying for how long', async () => {
    const clock = new ManualClock();
    const store = new MemoryTableStore();
    const holder = { ...identifyProcess(process.pid), pidNamespace: 'pid:[1]', pid: 7 };
    const lock = packRecord({ holder, token: 'x', renewedMs: clock.now });
    await store.commit([{ key: STORE_KEYS.lock, value: lock }]);
    clock.advance(8000);
    const freeInSeconds = LOCK_STALE_MS / 1000 - 8;
    await expect(startOn(store, clock)).rejects.toMatchObject({
      code: 'STORE_BUSY',
      message: expect.stringContaining(`process 7 in another container of this machine (${thisHost})`),
      details: { pid: 7, renewedSecondsAgo: 8, freeInSeconds },
      remedy: expect.stringContaining(`in ${freeInSeconds} s`),
    });
  });

  it('stops the holder from whom it was taken', async () => {
    const clock = new ManualClock();
    const store = new MemoryTableStore();
    const robbed = await startOn(store, clock);
    const thief = await startOn(store, clock, { force: true });
    clock.advance(LOCK_RENEW_MS);
    expect(() => robbed.tick()).toThrow(expect.objectContaining({ code: 'STORE_BUSY' }));
    thief.tick();
    await thief.close();
  });
});

function startOn(
  store: MemoryTableStore,
  clock: ManualClock,
  options: { force?: boolean; onFatal?: (error: GranuleError) => void } = {},
) {
  return Dispatcher.start(
    { clock, logger: silentLogger, leaseMs: LEASE_MS, force: false, onFatal: () => undefined, ...options },
    { store, path: 'memory', defer: queueMicrotask, timers: false },
  );
}

describe('a process', () => {
  it('is told from another one with the same pid', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    const identity = identifyProcess(child.pid ?? 0);
    expect(livenessOf(identity)).toBe('alive');
    expect(livenessOf({ ...identity, startTicks: identity.startTicks - 1 })).toBe('dead');
    expect(livenessOf({ ...identity, bootID: 'another boot' })).toBe('dead');
    expect(livenessOf({ ...identity, host: 'another host' })).toBe('unknown');
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(livenessOf(identity)).toBe('dead');
  });
});

describe('a store', () => {
  it('of another schema version is refused with a hint', async () => {
    const store = new LmdbTableStore(path);
    await store.commit([{ key: STORE_KEYS.schema, value: packRecord({ version: 99 }) }]);
    await store.close();
    const refusal = { code: 'STORE_VERSION', details: { version: 99 }, remedy: expect.stringContaining('newer') };
    await expect(openDispatcher(path)).rejects.toMatchObject(refusal);
    expect(() => openTableReader(path)).toThrow(expect.objectContaining({ code: 'STORE_VERSION' }));
  });

  it('that is not there cannot be read', () => {
    expect(() => openTableReader(join(path, 'nowhere'))).toThrow(expect.objectContaining({ code: 'STORE_MISSING' }));
    expect(() => openTableReader(path)).toThrow(expect.objectContaining({ code: 'STORE_MISSING' }));
  });

  it('on a network file system is recognised by the type of the file system', () => {
    expect(networkFileSystemName(0x6969)).toBe('NFS');
    expect(networkFileSystemName(0xff534d42 | 0)).toBe('CIFS');
    expect(networkFileSystemName(0x0bd00bd0)).toBe('Lustre');
    expect(networkFileSystemName(0xef53)).toBeUndefined();
    expect(networkFileSystemName(statfsSync(path).type)).toBeUndefined();
  });

  it('with a damaged chunk stops the dispatcher for good', async () => {
    const first = await openDispatcher(path);
    const taskID = await submit(first, [10]);
    await (await new TestConsumer(first, 'a').start(taskID)).take(3);
    await first.close();
    const store = new LmdbTableStore(path);
    const key = STORE_KEYS.chunk('working', taskID, 0);
    const bytes = Uint8Array.from(store.get(key) ?? []);
    bytes[5] = (bytes[5] ?? 0) ^ 1;
    await store.commit([{ key, value: bytes }]);
    await store.close();
    const damaged = { code: 'STORE_FAILED', message: expect.stringContaining('chunk 0 of task 1 is damaged') };
    // Who could not begin has not kept the lock.
    for (let attempt = 0; attempt < 2; attempt += 1) await expect(openDispatcher(path)).rejects.toMatchObject(damaged);
    const reader = openTableReader(path);
    expect(() => reader.events({ taskID, limit: 1 })).toThrow(expect.objectContaining(damaged));
    expect(() => reader.lengthHistogram(taskID)).toThrow(expect.objectContaining(damaged));
    await reader.close();
  });
});

describe('a write that fails', () => {
  it('stops everything, says so once, and answers nothing that is not on disk', async () => {
    const clock = new ManualClock();
    const store = new FailingStore();
    const failures: GranuleError[] = [];
    const dispatcher = await startOn(store, clock, { onFatal: (error) => failures.push(error) });
    const taskID = await submit(dispatcher, [10]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    const [range] = await consumer.take(1);
    store.fails = true;
    const failure = { code: 'STORE_FAILED', message: expect.stringContaining('no space left') };
    await expect(consumer.report(...(range === undefined ? [] : [finished(range)]))).rejects.toMatchObject(failure);
    store.fails = false;
    await expect(consumer.take(1)).rejects.toMatchObject(failure);
    expect(() => dispatcher.tick()).toThrow(expect.objectContaining({ code: 'STORE_FAILED' }));
    expect(failures).toHaveLength(1);
    await dispatcher.close();
    const next = await startOn(store, clock, { force: true });
    expect(next.getTask(taskID).ranges).toMatchObject({ sent: 1, finished: 0 });
    await next.close();
  });

  it('is announced before the disk is full', async () => {
    const store = new LmdbTableStore(path, { reserveBytes: 2 ** 60 });
    const started = Dispatcher.start(
      { clock: new ManualClock(), logger: silentLogger, leaseMs: LEASE_MS, force: false, onFatal: () => undefined },
      { store, path, defer: queueMicrotask, timers: false },
    );
    const dispatcher = await started;
    await expect(submit(dispatcher, [10])).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringContaining('full'),
    });
    await dispatcher.close();
  });

  it('in the operating system loses nothing that was acknowledged', () => {
    const run = (command: string) => spawnSync('bash', ['-c', command], { encoding: 'utf8' });
    const program = `${process.execPath} ${victim} ${path} 3 2000`;
    // The file may not grow over 60 kB: what is written beyond that fails, in the middle of a commit.
    const { stdout } = run(`trap '' XFSZ; ulimit -f 60; exec ${program}`);
    expect(stdout.slice(-200)).not.toContain('done');
    const acknowledged = stdout.split('\n').filter((line) => line.startsWith('finished '));
    const reader = openTableReader(path);
    const { ranges } = reader.events({ taskID: 1, limit: 2000 });
    void reader.close();
    for (const line of acknowledged) {
      const [, rangeIndex, attemptNr] = line.split(' ').map(Number);
      const range = ranges[rangeIndex ?? -1];
      if (range?.attemptNr === attemptNr) expect(['finished', 'merged', 'corrupted']).toContain(range?.state);
      else expect(range?.attemptNr).toBeGreaterThan(attemptNr ?? 0);
    }
    expect(run(program)).toMatchObject({ status: 0, stdout: expect.stringContaining('done') });
  });
});

class FailingStore extends MemoryTableStore {
  fails = false;
  override async commit(writes: readonly StoreWrite[]): Promise<void> {
    if (this.fails) throw new Error('no space left on device');
    await super.commit(writes);
  }
}
