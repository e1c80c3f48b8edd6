/**
 * Many events of which one in twenty misbehaves, in all the ways of `misdeeds.ts`, looked at from outside: the run ends,
 * every good event is merged once, every bad one is set aside with its reason, and nothing stays behind or grows.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createRandom } from '../../../core/random.ts';
import { PROPERTY_SEED } from '../../property-seed.ts';
import { type Ended, granule } from '../../runtime/cli/program.ts';
import { RunFolder } from '../../runtime/whole-run.ts';
import { chooseSinners, MISDEEDS, type Misdeed, misbehaving } from './misdeeds.ts';

/** The long test takes 20 000. */
const EVENTS = Number(process.env['GRANULE_SOAK_EVENTS'] ?? 1500);
const PROCESS_EVENTS = Math.ceil(EVENTS / 10);
const SEED = PROPERTY_SEED;
const FRACTION = 0.05;
const WORKERS = 4;
const SAMPLE_MS = 100;
/**
 * Between a fifth of the run and its end. The garbage of several heaps of up to 32 MB, and of threads that have just
 * ended, is resident until their memory is used again: this is room for two of them. The program itself has 100 MB.
 */
const GROWTH_MAX_KB = 128 * 1024;
/** A worker's thread has a dozen descriptors, and one that ends may still have them while its successor starts. */
const WORKER_DESCRIPTORS_MAX = 16;

const temporary = mkdtempSync(join(tmpdir(), 'granule-soak-'));
const folders: RunFolder[] = [];
afterAll(() => {
  for (const folder of folders) folder.remove();
  rmSync(temporary, { recursive: true, force: true });
});

interface Sample {
  readonly rssAnonKb: number;
  readonly threadCount: number;
  readonly descriptorCount: number;
}

/** Undefined for a process that has just ended. */
function lookAt(pid: number): Sample | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const read = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
    const descriptorCount = readdirSync(`/proc/${pid}/fd`).length;
    return { rssAnonKb: read('RssAnon'), threadCount: read('Threads'), descriptorCount };
  } catch {
    return undefined;
  }
}

/** Processes that have inherited this environment variable. */
function processesOf(mark: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(mark);
    } catch {
      return false;
    }
  });
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Events and causes, as if what takes a while of computing had been given the time for it. */
function onTime(failed: readonly (readonly [n: number, cause: string])[], sinners: ReadonlyMap<number, Misdeed>) {
  return failed.map(([n, cause]) => {
    const misdeed = sinners.get(n);
    return [n, misdeed?.takesTime === true && cause === 'timeout' ? misdeed.cause : cause];
  });
}

/** Medians of a tenth of the samples that begins at this part of them. */
function around(samples: readonly Sample[], part: number): Sample {
  const start = Math.floor(samples.length * part);
  const some = samples.slice(start, start + Math.ceil(samples.length / 10));
  return {
    rssAnonKb: median(some.map(({ rssAnonKb }) => rssAnonKb)),
    threadCount: median(some.map(({ threadCount }) => threadCount)),
    descriptorCount: median(some.map(({ descriptorCount }) => descriptorCount)),
  };
}

interface Soaked extends Ended {
  readonly samples: readonly Sample[];
}

async function soak(folder: RunFolder, isolation: string, mark: string): Promise<Soaked> {
  const options = [
    '--workers',
    String(WORKERS),
    '--isolation',
    isolation,
    '--timeout',
    '1s',
    '--failures-max',
    '2',
  ].concat(['--halt', 'off', '--heap-max', '32', '--output-size-max', '1MB', '--json', '--quiet']);
  const TMPDIR = join(temporary, isolation);
  mkdirSync(TMPDIR);
  const samples: Sample[] = [];
  const withChild = (child: ChildProcess): void => {
    const timer = setInterval(() => {
      const sample = child.pid === undefined ? undefined : lookAt(child.pid);
      if (sample !== undefined) samples.push(sample);
    }, SAMPLE_MS);
    child.once('close', () => clearInterval(timer));
  };
  const environment = { TMPDIR, GRANULE_SOAK_MARK: mark };
  return { ...(await granule(['run', ...folder.arguments, ...options], { environment, withChild })), samples };
}

describe.skipIf(process.platform !== 'linux')('a payload of which one event in twenty misbehaves (Linux only)', () => {
  it.each([
    ['thread', EVENTS],
    ['process', PROCESS_EVENTS],
  ] as const)(
    `in a %s costs those events only, of %i, and leaves nothing behind (GRANULE_TEST_SEED=${SEED})`,
    async (isolation, eventCount) => {
      const misdeeds = MISDEEDS[isolation];
      const sinners = chooseSinners(eventCount, FRACTION, misdeeds, createRandom(SEED).uniform);
      const folder = new RunFolder(misbehaving(sinners, misdeeds), eventCount);
      folders.push(folder);
      const mark = `soak-${process.pid}-${isolation}`;
      const { code, signal, stdout, stderr, samples } = await soak(folder, isolation, mark);

      const bad = [...sinners].flatMap(([n, { cause }]): [number, string][] => (cause === null ? [] : [[n, cause]]));
      const badNumbers = new Set(bad.map(([n]) => n));
      expect({ code, signal, stderr }).toEqual({ code: 4, signal: null, stderr: '' });
      expect(JSON.parse(stdout)).toMatchObject({ ending: 'failed-events', events: { failed: bad.length, left: 0 } });
      expect(onTime(folder.failed, sinners)).toEqual(bad);
      const good = Array.from({ length: eventCount }, (_, index) => ({ n: index + 1 }));
      expect(folder.merged()).toEqual(good.filter(({ n }) => !badNumbers.has(n)));

      expect(['unmerged', 'merge'].flatMap((name) => folder.leftIn(name))).toEqual([]);
      expect(new Set(folder.leftIn('workers'))).toEqual(new Set(['worker.log']));
      // Node 22's own cache of compiled code.
      expect(readdirSync(join(temporary, isolation)).filter((name) => name !== 'node-compile-cache')).toEqual([]);
      await expect.poll(() => processesOf(mark), { timeout: 10_000 }).toEqual([]);

      const [early, late] = [around(samples, 0.2), around(samples, 0.85)];
      expect(late.threadCount - early.threadCount).toBeLessThanOrEqual(WORKERS);
      expect(late.descriptorCount - early.descriptorCount).toBeLessThanOrEqual(WORKER_DESCRIPTORS_MAX * WORKERS);
      expect(late.rssAnonKb - early.rssAnonKb).toBeLessThan(GROWTH_MAX_KB);
    },
    1_800_000,
  );
});
