/** Workers as child processes: what a payload does to its process costs the event in execution. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { PROGRAM } from '../cli/program.ts';
import { echoing, RunFolder } from '../whole-run.ts';

const folders: RunFolder[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

function folderOf(payload: string, eventCount: number): RunFolder {
  const folder = new RunFolder(payload, eventCount);
  folders.push(folder);
  return folder;
}

function numbersBut(eventCount: number, ...missing: number[]): unknown[] {
  return Array.from({ length: eventCount }, (_, index) => index + 1)
    .filter((n) => !missing.includes(n))
    .map((n) => ({ n }));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie is dead already.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function until(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { timeout: 20_000, interval: 20 }).toBe(true);
}

describe('a run with isolation "process"', () => {
  it.each(['SIGSEGV', 'SIGKILL', 'SIGABRT'] as const)(
    'loses one event to %s, and keeps its last words',
    async (signal) => {
      const folder = folderOf(
        echoing(`if (n === 5) {
        context.log.warn('about to fall');
        (await import('node:fs')).writeSync(2, 'native words\\n');
        process.kill(process.pid, '${signal}');
        await new Promise(() => {});
      }`),
        30,
      );
      const summary = await folder.run({ isolation: 'process' });
      expect(summary).toMatchObject({ ending: 'failed-events', exitCode: 4 });
      expect(folder.manifest.failedEvents).toMatchObject([
        { position: 5, cause: 'signal', message: expect.stringContaining(signal), attempts: 3 },
      ]);
      expect(folder.merged()).toEqual(numbersBut(30, 5));
      const { table } = await opened(folder);
      const shown = table.show(1, 0, 5);
      await table.close();
      expect(shown.failure).toMatchObject({ signal, logTail: ['warn: about to fall', 'native words'] });
    },
  );

  it('gives workers what prepare returned, with SharedArrayBuffers that are views of one memory in each', async () => {
    const folder = folderOf(
      `export default {
        name: 'shared', outputs: { OUT: { format: 'ndjson' } },
        prepare() {
          const table = new Float64Array(new SharedArrayBuffer(8 * 1000)).fill(1.5);
          return { table, same: new Uint8Array(table.buffer), map: new Map([['a', [1, 2]]]) };
        },
        execute(event, context) {
          const { table, same, map } = context.shared;
          const kind = table.buffer.constructor.name;
          context.output('OUT').write({ sum: table.reduce((a, b) => a + b), one: same.buffer === table.buffer, kind, a: map.get('a') });
        },
      };`,
      3,
    );
    expect(await folder.run({ isolation: 'process' })).toMatchObject({ ending: 'complete' });
    expect(folder.merged()[0]).toEqual({ sum: 1500, one: true, kind: 'SharedArrayBuffer', a: [1, 2] });
  });

  it('makes the same bytes as threads do', async () => {
    const body = 'n += context.seed % 1000 + context.random.uniform();';
    const payload = echoing(body).replace('const { n }', 'let { n }');
    const inThreads = folderOf(payload, 50);
    const inProcesses = folderOf(payload, 50);
    await inThreads.run({ isolation: 'thread' });
    await inProcesses.run({ isolation: 'process', workers: 3 });
    expect(inProcesses.merged()).toEqual(inThreads.merged());
  });

  it('has no worker left when the program is killed, however busy it is', async () => {
    const folder = folderOf(
      echoing(`(await import('node:fs')).writeFileSync(context.folder + '/pid', String(process.pid)); for (;;);`),
      4,
    );
    const args = ['run', folder.inputPath, '--payload', folder.payloadPath, '--out', folder.outPath];
    const program = spawn(process.execPath, [PROGRAM, ...args, '--isolation', 'process', '--workers', '2'], {
      stdio: 'ignore',
    });
    const ended = new Promise((resolve) => program.once('close', resolve));
    const files = [0, 1].map((index) => join(folder.outPath, '.granule/workers', `worker_${index}`, 'pid'));
    await until(() => files.every((file) => existsSync(file) && readFileSync(file, 'utf8') !== ''));
    const pids = files.map((file) => Number(readFileSync(file, 'utf8')));
    expect(pids.map(isAlive)).toEqual([true, true]);
    program.kill('SIGKILL');
    await ended;
    await until(() => !pids.some(isAlive));
  });
});

async function opened(folder: RunFolder) {
  const { openTableReader } = await import('../../../dispatcher/table-reader.ts');
  return { table: openTableReader(join(folder.outPath, '.granule/store')) };
}
