/** `order: longest-first`: what looks long by its size is handed out first, whatever the order in the file. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { readExecutions } from '../../bench/program-run.ts';
import { moduleUrl } from '../../core/own-files.ts';
import { createRandom } from '../../core/random.ts';
import { runHere } from './run-here.ts';

const EVENT_COUNT = 400;
const folder = mkdtempSync(join(tmpdir(), 'granule-longest-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const random = createRandom(3);
/** distinct, so that there is one order */
const paddings = Array.from({ length: EVENT_COUNT }, (_, index) => ({ index, key: random.uniform() }))
  .sort((left, right) => left.key - right.key)
  .map(({ index }) => index);
const input = join(folder, 'events.ndjson');
writeFileSync(input, paddings.map((padding) => `{"pad":"${'x'.repeat(2 * padding)}"}\n`).join(''));

const longestFirst = paddings
  .map((padding, index) => ({ padding, position: index + 1 }))
  .sort((left, right) => right.padding - left.padding)
  .map(({ position }) => position);

async function run(name: string, order: 'file' | 'longest-first', limit?: number): Promise<readonly number[]> {
  const log = join(folder, `${name}.log`);
  const summary = await runHere({
    input,
    payload: fileURLToPath(moduleUrl('bench/payloads/logged-events.ts')),
    options: { log, units: 0 },
    out: join(folder, name),
    workers: 1,
    order,
    ...(limit === undefined ? {} : { limit }),
  });
  expect(summary.events.failed).toBe(0);
  return readExecutions(log).map(({ position }) => position);
}

it('events are executed longest first, and merged in the order of the file', async () => {
  expect(await run('hinted', 'longest-first')).toEqual(longestFirst);
  const inFile = Array.from({ length: EVENT_COUNT }, (_, index) => index + 1);
  expect(await run('plain', 'file')).toEqual(inFile);
  const merged = (name: string): string => readFileSync(join(folder, name, 'events.ndjson.SUM.ndjson'), 'utf8');
  expect(merged('hinted')).toBe(merged('plain'));
  expect(
    merged('hinted')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).position),
  ).toEqual(inFile);
});

it('a later start goes on with the longest that are left', async () => {
  const first = await run('later', 'longest-first', 100);
  expect(first).toEqual(longestFirst.slice(0, 100));
  expect((await run('later', 'longest-first')).slice(100)).toEqual(longestFirst.slice(100));
});
