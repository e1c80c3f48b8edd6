// A program with such a thread, which waits to be killed.
import { Worker } from 'node:worker_threads';

const worker = new Worker(new URL('orphans.thread.mjs', import.meta.url), {
  workerData: { childProcessUrl: process.argv[2] },
});
worker.on('message', (pids) => process.stdout.write(`${pids.join(' ')}\n`));
