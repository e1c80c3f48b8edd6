/** Entry of the merger's helper: sums what the merger has read (`checksum-board.ts`). Ends when the merger thread does. */
import { workerData } from 'node:worker_threads';
import { ChecksumBoard, type ChecksumBoardMemory } from './checksum-board.ts';

new ChecksumBoard(workerData as ChecksumBoardMemory).serve();
