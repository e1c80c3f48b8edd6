/**
 * Kills the whole process group of a run at random moments and starts it again, until it is complete: the merged file must
 * equal that of an undisturbed run, and no event that was recorded as finished may be executed again.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { openTableReader } from '../../../dispatcher/table-reader.ts';
import { toyEventText, toyFooter, toyHeader } from '../../../payloads/generator/toy-generator.ts';
import type { RunSummary } from '../../../runtime/run/run-summary.ts';
import { PROPERTY_SEED } from '../../property-seed.ts';
import { granule, PROGRAM } from '../../runtime/cli/program.ts';

const EVENTS = 2000;
const KILLS = Number(process.env['GRANULE_RUN_KILLS'] ?? 20);
const SEED = PROPERTY_SEED;
const STARTS_MAX = 10 * KILLS;

const folder = mkdtempSync(join(tmpdir(), 'granule-kill-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const LOG = join(folder, 'executions.log');

/** Appends a line per execution: `<start> <position>`. */
const PAYLOAD = `import { appendFileSync } from 'node:fs';
export default {
  name: 'logged',
  outputs: { OUT: { format: 'ndjson' }, PART: { format: 'gev' } },
  execute(event, context) {
    appendFileSync(${JSON.stringify(LOG)}, process.env.TEST_START + ' ' + event.position + '\\n');
    const until = performance.now() + 4;
    while (performance.now() < until);
    context.output('OUT').write({ position: event.position, seed: context.seed, particles: event.decode().particles.length });
    if (event.position % 3 === 0) context.output('PART').write([event.position]);
  },
};
`;

/** A linear congruential generator: moments are replayable by GRANULE_TEST_SEED. */
function randomMoments(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 0x1_0000_0000;
  };
}

function argsFor(out: string): string[] {
  return [
    ...['run', '--input', join(folder, 'toy.hepmc3'), '--payload', join(folder, 'logged.mjs')],
    ...['--out', join(folder, out), '--workers', '2', '--json', '--quiet'],
  ];
}

/** Bytes that executions have logged so far: how far the work has got, whatever the machine's speed. */
function loggedBytes(): number {
  return existsSync(LOG) ? statSync(LOG).size : 0;
}

/**
 * Starts a run in a process group of its own and kills the group once it has logged `bytes` more and `delayMs` are over.
 *
 * @returns false when the run ended before
 */
function startAndKill(start: number, bytes: number, delayMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const until = loggedBytes() + bytes;
    const earliestMs = performance.now() + delayMs;
    const child = spawn(process.execPath, [PROGRAM, ...argsFor('killed')], {
      detached: true,
      stdio: 'ignore',
      env: { ...process.env, TEST_START: String(start) },
    });
    let killed = false;
    const timer = setInterval(() => {
      if (performance.now() < earliestMs || loggedBytes() < until) return;
      killed = true;
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, 2);
    child.once('exit', () => {
      clearInterval(timer);
      resolve(killed);
    });
  });
}

/** Positions recorded as finished or merged, as another process sees them. */
async function recordedPositions(): Promise<number[]> {
  const store = join(folder, 'killed/.granule/store');
  if (!existsSync(join(store, 'data.mdb'))) return [];
  const reader = openTableReader(store);
  try {
    const [task] = reader.tasks();
    if (task === undefined) return [];
    const { ranges } = reader.events({ taskID: task.record.taskID, states: ['finished', 'merged'], limit: EVENTS });
    return ranges.map((range) => range.startEvent);
  } finally {
    await reader.close();
  }
}

function hashes(out: string): Record<string, string> {
  const names = readdirSync(join(folder, out)).filter((name) => /\.(ndjson|gev)$/.test(name));
  return Object.fromEntries(
    names.map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(folder, out, name)))
        .digest('hex'),
    ]),
  );
}

function filesLeft(kind: string): string[] {
  const entries = readdirSync(join(folder, 'killed/.granule', kind), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}

it(`loses nothing and doubles nothing over ${KILLS} kills (GRANULE_TEST_SEED=${SEED})`, async () => {
  const settings = { seed: 7, energyGeV: 91.2, meanPrimaries: 4 };
  const events = Array.from({ length: EVENTS }, (_, index) => toyEventText(settings, index + 1));
  writeFileSync(join(folder, 'toy.hepmc3'), toyHeader() + events.join('') + toyFooter());
  writeFileSync(join(folder, 'logged.mjs'), PAYLOAD);
  const undisturbed = await granule(argsFor('whole'), { environment: { TEST_START: 'whole' } });
  expect(undisturbed.code, undisturbed.stderr).toBe(0);
  const lineBytes = loggedBytes() / EVENTS;
  const random = randomMoments(SEED);
  const recordedBefore: number[][] = [];
  let kills = 0;
  for (let start = 0; kills < KILLS && start < STARTS_MAX; start += 1) {
    recordedBefore.push(await recordedPositions());
    if (recordedBefore[start]?.length === EVENTS) break;
    // One in four falls into the start, the others after a random part of the work.
    const bytes = random() < 0.25 ? 0 : (random() * 2 * lineBytes * EVENTS) / KILLS;
    if (await startAndKill(start, bytes, random() * 300)) kills += 1;
  }
  expect(kills).toBeGreaterThan(KILLS / 2);
  const lastStart = recordedBefore.length;
  recordedBefore.push(await recordedPositions());
  const last = await granule(argsFor('killed'), { environment: { TEST_START: String(lastStart) } });
  expect(last.code, last.stderr).toBe(0);
  expect((JSON.parse(last.stdout) as RunSummary).events).toMatchObject({ total: EVENTS, finished: EVENTS, failed: 0 });
  expect(hashes('killed')).toEqual(hashes('whole'));

  const executions = readFileSync(LOG, 'utf8').trimEnd().split('\n');
  const again = executions.filter((line) => {
    const [start, position] = line.split(' ').map(Number);
    return recordedBefore[start ?? Number.NaN]?.includes(position ?? Number.NaN) === true;
  });
  expect(again).toEqual([]);
  expect(filesLeft('unmerged')).toEqual([]);
  expect(filesLeft('merge')).toEqual([]);
  expect(filesLeft('workers').filter((name) => name.endsWith('.part'))).toEqual([]);
}, 240_000);
