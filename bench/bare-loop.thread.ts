/** One thread of the bare loop: writes its share of the files as fast as it can. See `bare-loop.ts`. */
import { parentPort, workerData } from 'node:worker_threads';
import { boardTimeMs } from '../runtime/board/board-clock.ts';
import type { BareLoopData } from './bare-loop.ts';
import { SingleFileWriter } from './single-files.ts';

const { folder, thread, firstIndex, count, sizeBytes, gate } = workerData as BareLoopData;
const STEP = 64;

const writer = new SingleFileWriter(folder, `bare-${thread}`, sizeBytes);
const words = new Int32Array(gate);
parentPort?.postMessage('ready');
Atomics.wait(words, 0, 0);
const timeline: (readonly [number, number])[] = [];
for (let done = 0; done < count; done += 1) {
  writer.write(firstIndex + done);
  if ((done + 1) % STEP === 0 || done + 1 === count) timeline.push([boardTimeMs(), done + 1]);
}
parentPort?.postMessage(timeline);
