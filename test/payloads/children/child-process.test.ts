/** Children end with the thread that started them and with the whole program, however either dies. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { moduleForNode } from '../../module-for-node.ts';
import { isGone } from './payload-session.ts';

const childProcessUrl = moduleForNode('payloads/children/child-process.ts').href;

it('a thread that is terminated in the middle of a loop takes its children, and theirs, along', async () => {
  const worker = new Worker(new URL('orphans.thread.mjs', import.meta.url), { workerData: { childProcessUrl } });
  const [pids] = (await once(worker, 'message')) as [number[]];
  expect(pids.map(isGone)).toEqual([false, false]);
  await worker.terminate();
  await expect.poll(() => pids.map(isGone)).toEqual([true, true]);
});

it('a program that is killed without notice takes the children of its threads along', async () => {
  const program = spawn(process.execPath, [
    fileURLToPath(new URL('orphans.child.mjs', import.meta.url)),
    childProcessUrl,
  ]);
  const [line] = (await once(program.stdout, 'data')) as [Buffer];
  const pids = line.toString().trim().split(' ').map(Number);
  expect(pids.map(isGone)).toEqual([false, false]);
  program.kill('SIGKILL');
  await expect.poll(() => pids.map(isGone)).toEqual([true, true]);
});
