import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { granule } from '../runtime/cli/program.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-retry-'));
  const lines = Array.from({ length: 30 }, (_, index) => `{"n":${index + 1}}\n`);
  writeFileSync(join(folder, 'in.ndjson'), lines.join(''));
  writeFileSync(
    join(folder, 'payload.mjs'),
    `import { existsSync } from 'node:fs';
export default {
  name: 'fragile',
  outputs: { OUT: { format: 'ndjson' } },
  async execute(event, context) {
    if ([4, 11].includes(event.position) && !existsSync(${JSON.stringify(join(folder, 'repaired'))})) throw new Error('not now');
    if (process.env.TEST_SLOW) await new Promise((resolve) => setTimeout(resolve, 200));
    context.output('OUT').write({ position: event.position });
  },
};
`,
  );
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const RUN = ['run', '--input', 'in.ndjson', '--payload', './payload.mjs', '--out', 'out', '--workers', '2', '--json'];

function positions(): number[] {
  const lines = readFileSync(join(folder, 'out/in.ndjson.OUT.ndjson'), 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line).position);
}

it('puts events that failed for good back, and the next run puts them where they belong', async () => {
  const first = await granule(RUN, { cwd: folder });
  expect(first.code, first.stderr).toBe(4);
  expect(positions()).toHaveLength(28);

  const other = await granule(['retry', '--out', 'out', '--cause', 'timeout'], { cwd: folder });
  expect(other.stdout).toBe('out: nothing to try again\n');
  const one = await granule(['retry', '--out', 'out', 'in.ndjson:4', '--json'], { cwd: folder });
  expect(JSON.parse(one.stdout)).toEqual({ schema: 1, ranges: 1 });
  const rest = await granule(['retry', '--out', 'out', '--status', 'fatal'], { cwd: folder });
  expect(rest.stdout).toContain('1 to be tried again');

  writeFileSync(join(folder, 'repaired'), '');
  const second = await granule(RUN, { cwd: folder });
  expect(second.code, second.stderr).toBe(0);
  expect(positions()).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
});

it('refuses a name that is none, with the nearest', async () => {
  await granule(RUN, { cwd: folder });
  const wrong = await granule(['retry', '--out', 'out', '--cause', 'timeot'], { cwd: folder });
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toContain('timeout');
});

it('stops a run from outside, which the same command takes up again', async () => {
  writeFileSync(join(folder, 'repaired'), '');
  let stopped: Promise<{ stdout: string }> | undefined;
  const run = await granule(
    RUN.filter((word) => word !== '--json'),
    {
      cwd: folder,
      environment: { TEST_SLOW: '1' },
      withChild: (child) => {
        child.stderr?.on('data', () => {
          stopped ??= granule(['stop', '--out', 'out'], { cwd: folder });
        });
      },
    },
  );
  const { stdout } = (await stopped) ?? { stdout: '' };
  if (stdout.includes('has stopped')) expect(run.code, run.stderr).toBe(75);
  const again = await granule(RUN, { cwd: folder });
  expect(again.code, again.stderr).toBe(0);
  expect(positions()).toHaveLength(30);
  expect((await granule(['stop', '--out', 'out'], { cwd: folder })).stdout).toBe('out: no run is on\n');
});
