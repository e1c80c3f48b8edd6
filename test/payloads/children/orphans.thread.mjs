// A worker thread that starts a shell with a child of its own, says who they are and never lets its event loop turn.
import { parentPort, workerData } from 'node:worker_threads';

const { ChildProcess } = await import(workerData.childProcessUrl);
const child = new ChildProcess('sleep 1000 & echo $$ $!; wait');
child.stdout.once('data', (chunk) => {
  parentPort.postMessage(String(chunk).trim().split(' ').map(Number));
  setImmediate(() => {
    for (;;);
  });
});
