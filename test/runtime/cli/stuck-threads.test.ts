/** Threads that cannot be terminated: synchronous native code that does not return. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { echoing, RunFolder } from '../whole-run.ts';
import { type Ended, granule } from './program.ts';

const folders: RunFolder[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

function run(folder: RunFolder, ...options: string[]): Promise<Ended> {
  folders.push(folder);
  const { inputPath, payloadPath, outPath } = folder;
  const args = ['--input', inputPath, '--payload', payloadPath, '--out', outPath, '--workers', '2', '--quiet'];
  return granule(['run', ...args, '--timeout', '300ms', '--failures-max', '2', ...options]);
}

function processesWith(text: string): string[] {
  const list = execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' });
  return list.split('\n').filter((line) => line.includes(text));
}

let hasProc = false;
beforeAll(() => {
  hasProc = process.platform === 'linux';
});

describe('a payload that never comes back from native code', () => {
  it('waits for a child process: the child is killed, the thread ends, the exit code is kept', async ({ skip }) => {
    skip(!hasProc, 'needs /proc');
    const body = `if (n === 5) (await import('node:child_process')).execSync('sleep 4711; true');`;
    const folder = new RunFolder(echoing(body), 30);
    expect(await run(folder)).toMatchObject({ code: 4, signal: null });
    expect(folder.failed).toEqual([[5, 'timeout']]);
    expect(folder.merged()).toHaveLength(29);
    expect(processesWith('sleep 4711')).toEqual([]);
  });

  it('waits on shared memory: the thread is ended', async () => {
    const body = `if (n === 5) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);`;
    const folder = new RunFolder(echoing(body), 30);
    expect(await run(folder)).toMatchObject({ code: 4, signal: null });
    expect(folder.failed).toEqual([[5, 'timeout']]);
  });

  it('waits for ever: another thread takes over, and the process ends hard after all is written', async () => {
    const folder = new RunFolder('', 30);
    const pipe = join(folder.path, 'pipe');
    execFileSync('mkfifo', [pipe]);
    folder.setPayload(echoing(`if (n === 5) (await import('node:fs')).openSync(${JSON.stringify(pipe)});`));
    const ended = await run(folder);
    expect(ended).toMatchObject({ code: null, signal: 'SIGKILL' });
    expect(ended.stderr).toContain('its exit code would have been 4');
    expect(ended.stdout).toContain('timeout');
    expect(JSON.parse(readFileSync(join(folder.outPath, 'report.json'), 'utf8'))).toMatchObject({ exitCode: 4 });
    expect(folder.failed).toEqual([[5, 'timeout']]);
    expect(folder.merged()).toHaveLength(29);
  });

  it('waits for ever in a process: it is killed, and the exit code is kept', async () => {
    const folder = new RunFolder('', 30);
    const pipe = join(folder.path, 'pipe');
    execFileSync('mkfifo', [pipe]);
    folder.setPayload(echoing(`if (n === 5) (await import('node:fs')).openSync(${JSON.stringify(pipe)});`));
    expect(await run(folder, '--isolation', 'process')).toMatchObject({ code: 4, signal: null });
    expect(folder.failed).toEqual([[5, 'timeout']]);
    expect(folder.merged()).toHaveLength(29);
  });
});
