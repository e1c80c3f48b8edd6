/**
 * A program on a real event table is killed with SIGKILL at random moments, again and again: what it was told is there
 * afterwards, nothing is there twice, and it needs no help to go on. GRANULE_CRASH_KILLS sets how often.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRandom } from '../../../core/random.ts';
import { openTableReader, type RangeReport } from '../../../dispatcher/table-reader.ts';
import { makeFolder, removeFolder } from '../fixture.ts';

const KILLS = Number(process.env['GRANULE_CRASH_KILLS'] ?? 20);
const SEED = Number(process.env['GRANULE_CRASH_SEED'] ?? Date.now() % 0x7fffffff);
const RANGES = Math.max(3000, KILLS * 100);
const DIST = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'dist');

let bundleFolder = '';
let victim = '';

beforeAll(async () => {
  mkdirSync(DIST, { recursive: true });
  // Below the project, so that the bundle finds the packages.
  bundleFolder = mkdtempSync(join(DIST, 'crash-victim-'));
  victim = join(bundleFolder, 'victim.mjs');
  await build({
    entryPoints: [fileURLToPath(new URL('./crash-victim.ts', import.meta.url))],
    outfile: victim,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
  });
});

afterAll(() => rmSync(bundleFolder, { recursive: true, force: true }));

/** What has been acknowledged of each range, over all lives of the program. */
interface Acknowledged {
  attempt: number;
  /** last outcome that was told of the latest attempt */
  state: 'sent' | 'failed' | 'finished' | 'damaged' | 'merged';
  failures: number;
  outputs: number;
}

class Ledger {
  readonly ranges = new Map<number, Acknowledged>();
  done = false;

  note(line: string): void {
    const [word = '', index, attempt, outputs] = line.split(' ');
    if (word === 'done') this.done = true;
    if (index === undefined || ['open', 'task', 'sealed'].includes(word)) return;
    expect(word).not.toBe('fatal');
    const range = this.ranges.get(Number(index)) ?? { attempt: 0, state: 'sent', failures: 0, outputs: 0 };
    this.ranges.set(Number(index), range);
    if (word === 'sent') {
      // An attempt number is never given twice, and what is merged is never handed out again.
      expect(Number(attempt)).toBeGreaterThan(range.attempt);
      expect(range.state).not.toBe('merged');
      range.attempt = Number(attempt);
      range.state = 'sent';
    } else if (word === 'offered') {
      expect(range.state).not.toBe('merged');
      if (range.state === 'finished') expect(Number(attempt)).toBe(range.outputs);
    } else if (word === 'failed') {
      range.failures += 1;
      // Answers of one group are told in any order: by now another consumer may have told that it was given the range.
      if (Number(attempt) === range.attempt) range.state = 'failed';
    } else if (word === 'finished') {
      range.state = 'finished';
      range.outputs = Number(outputs);
    } else if (word === 'merged' || (word === 'damaged' && range.state === 'finished')) range.state = word;
  }

  /** The store must be where the ledger is, or further: one unanswered call of each consumer and of the merger. */
  check(found: RangeReport): void {
    const told = this.ranges.get(found.rangeIndex);
    if (told === undefined) return;
    const place = `range ${found.rangeIndex}: told ${JSON.stringify(told)}, found ${JSON.stringify(found)}`;
    expect(found.attemptNr, place).toBeGreaterThanOrEqual(told.attempt);
    expect(found.failures, place).toBeGreaterThanOrEqual(told.failures);
    const further = {
      sent: ['ready', 'sent', 'finished', 'failed', 'fatal', 'merged', 'corrupted'],
      failed: ['failed', 'fatal', 'sent', 'ready'],
      finished: ['finished', 'merged', 'corrupted', 'sent'],
      damaged: ['corrupted', 'sent', 'ready', 'finished', 'failed', 'fatal', 'merged'],
      merged: ['merged'],
    }[told.state];
    expect(further, place).toContain(found.state);
    if (told.state === 'finished' && found.state !== 'sent') expect(found.attemptNr, place).toBe(told.attempt);
  }
}

/** Runs the program until it has told `lineCount` lines, kills it, and reads what it told until its death. */
async function runVictim(path: string, seed: number, lineCount: number, ledger: Ledger): Promise<void> {
  const child = spawn(process.execPath, [victim, path, String(seed), String(RANGES)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  let lines = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    ledger.note(line);
    lines += 1;
    if (lines === lineCount) child.kill('SIGKILL');
  }
  await closed;
}

async function checkStore(path: string, ledger: Ledger): Promise<void> {
  const reader = openTableReader(path);
  try {
    const [task] = reader.tasks();
    if (task === undefined) return;
    const { ranges } = reader.events({ taskID: task.record.taskID, limit: RANGES });
    const counts: Record<string, number> = {};
    for (const range of ranges) {
      ledger.check(range);
      counts[range.state] = (counts[range.state] ?? 0) + 1;
    }
    for (const [state, count] of Object.entries(task.ranges))
      expect([state, counts[state] ?? 0]).toEqual([state, count]);
  } finally {
    await reader.close();
  }
}

describe('a program that is killed', () => {
  it(`${KILLS} times finds all that it was told, and comes to its end`, {
    timeout: 60_000 + KILLS * 3000,
  }, async () => {
    process.stdout.write(`crash test: seed ${SEED}\n`);
    const random = createRandom(SEED);
    const path = makeFolder();
    const ledger = new Ledger();
    try {
      for (let kill = 0; kill < KILLS; kill += 1) {
        // Also before it has done anything at all.
        const lineCount = 1 + Math.floor(random.uniform() * (random.uniform() < 0.2 ? 4 : 400));
        await runVictim(path, SEED + kill, lineCount, ledger);
        await checkStore(path, ledger);
        if (ledger.done) break;
      }
      expect(ledger.done).toBe(false);
      await runVictim(path, SEED + KILLS, Number.POSITIVE_INFINITY, ledger);
      expect(ledger.done).toBe(true);
      await checkStore(path, ledger);
      expect(ledger.ranges.size).toBe(RANGES);
    } finally {
      removeFolder(path);
    }
  });
});
