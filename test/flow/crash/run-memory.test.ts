/** Memory and unmerged files do not grow with the number of events: looked at from outside, while a run is on. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { UNMERGED_FILES_MAX } from '../../../core/limits.ts';
import { granule, PROGRAM } from '../../runtime/cli/program.ts';

/** The long test takes 100 000. */
const EVENTS = Number(process.env['GRANULE_MEMORY_EVENTS'] ?? 10_000);
/** Garbage that V8 leaves lying in several threads counts as resident: this is room for it, not for events. */
const GROWTH_MAX_KB = 128 * 1024;
/** A heap that holds live data for a fraction of the events only: were any kept per event, the run would die. */
const HEAP_MAX_MB = 64;

const folder = mkdtempSync(join(tmpdir(), 'granule-memory-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Sample {
  readonly done: number;
  readonly rssAnonKb: number;
  readonly unmergedFiles: number;
}

function rssAnonKb(pid: number): number {
  const match = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? Number.NaN);
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

/** Runs the program and takes a sample at each of its progress lines. */
function sampled(args: readonly string[], out: string): Promise<Sample[]> {
  return new Promise((resolve, reject) => {
    const samples: Sample[] = [];
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: `--max-old-space-size=${HEAP_MAX_MB}` },
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      for (const match of text.matchAll(/^\s*(\d+) %/gm)) {
        if (child.pid === undefined || child.exitCode !== null) continue;
        samples.push({
          done: Number(match[1]) / 100,
          rssAnonKb: rssAnonKb(child.pid),
          unmergedFiles: countFiles(join(out, '.granule/unmerged')),
        });
      }
    });
    child.once('exit', (code) => (code === 0 ? resolve(samples) : reject(new Error(`exit ${code}`))));
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
    const early = samples.find(({ done }) => done >= 0.1);
    const late = samples.filter(({ done }) => done < 1).at(-1);
    if (early === undefined || late === undefined) throw new Error('the run told no progress');
    expect(late.done).toBeGreaterThan(0.8);
    expect(late.rssAnonKb - early.rssAnonKb).toBeLessThan(GROWTH_MAX_KB);
    expect(Math.max(...samples.map(({ unmergedFiles }) => unmergedFiles))).toBeLessThanOrEqual(UNMERGED_FILES_MAX);
  },
  300_000,
);
