/** Memory and unmerged files do not grow with the number of events: looked at from outside, while a run is on. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { MERGE_OUTPUTS_AT_ONCE, MERGE_STRETCH_RANGES_MAX, UNMERGED_FILES_MAX } from '../../../core/limits.ts';
import { granule, PROGRAM } from '../../runtime/cli/program.ts';

/** The long test takes 100 000. */
const EVENTS = Number(process.env['GRANULE_MEMORY_EVENTS'] ?? 20_000);
/** Garbage that V8 leaves lying in several threads counts as resident: this is room for it, not for events. */
const GROWTH_MAX_KB = 128 * 1024;
/** A heap that holds live data for a fraction of the events only: were any kept per event, the run would die. */
const HEAP_MAX_MB = 64;

const folder = mkdtempSync(join(tmpdir(), 'granule-memory-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Sample {
  readonly rssAnonKb: number;
  readonly unmergedFiles: number;
}

const SAMPLE_MS = 20;

/** NaN for a process that has just ended. */
function rssAnonKb(pid: number): number {
  try {
    const match = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Number(match?.[1] ?? Number.NaN);
  } catch {
    return Number.NaN;
  }
}

function countFiles(path: string): number {
  if (!existsSync(path)) return 0;
  let count = 0;
  for (const shard of readdirSync(path)) {
    try {
      count += readdirSync(join(path, shard)).length;
    } catch {
      // The shard was merged and removed between the two calls.
    }
  }
  return count;
}

/** Runs the program and takes samples from its first output file to its end. */
function sampled(args: readonly string[], out: string): Promise<Sample[]> {
  return new Promise((resolve, reject) => {
    const samples: Sample[] = [];
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      stdio: 'ignore',
      env: { ...process.env, NODE_OPTIONS: `--max-old-space-size=${HEAP_MAX_MB}` },
    });
    const timer = setInterval(() => {
      if (child.pid === undefined || child.exitCode !== null) return;
      const unmergedFiles = countFiles(join(out, '.granule/unmerged'));
      if (unmergedFiles > 0 || samples.length > 0) samples.push({ rssAnonKb: rssAnonKb(child.pid), unmergedFiles });
    }, SAMPLE_MS);
    child.once('exit', (code) => {
      clearInterval(timer);
      if (code === 0) resolve(samples.filter(({ rssAnonKb: kb }) => !Number.isNaN(kb)));
      else reject(new Error(`exit ${code}`));
    });
  });
}

it.skipIf(process.platform !== 'linux')(
  `bounded memory and files over ${EVENTS} events (Linux only: reads /proc)`,
  async () => {
    const input = join(folder, 'toy.hepmc3');
    expect((await granule(['generate', '--events', String(EVENTS), '--seed', '1', '--out', input])).code).toBe(0);
    const out = join(folder, 'out');
    const samples = await sampled(
      ['run', '--input', input, '--payload', 'digest', '--out', out, '--workers', '2'],
      out,
    );
    const early = samples[Math.floor(samples.length / 10)];
    const late = samples.at(-1);
    if (early === undefined || late === undefined) throw new Error('the run left no file to be seen');
    expect(late.rssAnonKb - early.rssAnonKb).toBeLessThan(GROWTH_MAX_KB);
    const beingRemoved = MERGE_OUTPUTS_AT_ONCE * MERGE_STRETCH_RANGES_MAX;
    const most = Math.max(...samples.map(({ unmergedFiles }) => unmergedFiles));
    expect(most).toBeLessThanOrEqual(UNMERGED_FILES_MAX + beingRemoved);
  },
  300_000,
);
