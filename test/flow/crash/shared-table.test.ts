/** A table that `prepare` returns in a SharedArrayBuffer exists once, however many workers use it: looked at from outside. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { PROGRAM } from '../../runtime/cli/program.ts';
import { RunFolder } from '../../runtime/whole-run.ts';

const TABLE_MB = 200;
/** What one more worker may cost: its heap, its modules, its stack. */
const WORKER_MB_MAX = 30;
/** What the program has beside the table and its workers. */
const PROGRAM_MB_MAX = 120;
const FEW = 1;
const MANY = 5;

const folders: RunFolder[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

/** Each worker sums the whole table, says so with a file, and waits until it may go on. */
const PAYLOAD = `import { existsSync, writeFileSync } from 'node:fs';
export default {
  name: 'lookup', outputs: { OUT: { format: 'ndjson' } },
  prepare() {
    const table = new Float64Array(new SharedArrayBuffer(${TABLE_MB} * 1024 * 1024));
    for (let i = 0; i < table.length; i += 1) table[i] = i % 7;
    return { table };
  },
  async execute(event, context) {
    const { table } = context.shared;
    let sum = 0;
    for (let i = 0; i < table.length; i += 1) sum += table[i];
    writeFileSync(context.folder + '/summed', '');
    while (!existsSync(context.folder + '/../go')) await new Promise((resolve) => setTimeout(resolve, 20));
    context.output('OUT').write({ sum });
  },
};`;

/** Bytes that belong to this process alone and are no file's, in MB. */
function rssAnonMB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
}

/** Memory of the program while every worker has used the table and is in the middle of its event. */
async function memoryWith(workerCount: number): Promise<number> {
  const folder = new RunFolder(PAYLOAD, workerCount);
  folders.push(folder);
  const args = ['--input', folder.inputPath, '--payload', folder.payloadPath, '--out', folder.outPath, '--quiet'];
  const child = spawn(process.execPath, [PROGRAM, 'run', ...args, '--workers', String(workerCount)], {
    stdio: 'ignore',
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const workers = join(folder.outPath, '.granule/workers');
  const summed = (): number =>
    existsSync(workers) ? readdirSync(workers).filter((name) => existsSync(join(workers, name, 'summed'))).length : 0;
  await expect.poll(summed, { timeout: 60_000 }).toBe(workerCount);
  const usedMB = rssAnonMB(child.pid ?? 0);
  writeFileSync(join(workers, 'go'), '');
  expect(await ended).toBe(0);
  return usedMB;
}

describe.skipIf(process.platform !== 'linux')(
  'a table of 200 MB that prepare returns (Linux only: reads /proc)',
  () => {
    it('exists once: a further worker costs at most 30 MB', async () => {
      const few = await memoryWith(FEW);
      expect(few).toBeGreaterThan(TABLE_MB);
      expect(few).toBeLessThan(TABLE_MB + PROGRAM_MB_MAX);
      const many = await memoryWith(MANY);
      expect((many - few) / (MANY - FEW)).toBeLessThan(WORKER_MB_MAX);
    }, 120_000);
  },
);
