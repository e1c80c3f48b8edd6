/** Entry of a worker's thread: one long-running task of the pool. */
import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { threadId } from 'node:worker_threads';
import { openWorkerBoard } from './board-file.ts';
import type { SessionData } from './session-data.ts';
import { runSession } from './session-main.ts';

export default async function runInThread(data: SessionData): Promise<void> {
  const board = openWorkerBoard(data.board);
  board.noteThread(threadId, systemThreadID());
  const outcome = await runSession(data, board);
  // A thread whose payload may still be at work is not used again.
  if (outcome !== 'end') process.exit(0);
  process.removeAllListeners('uncaughtException');
  process.removeAllListeners('unhandledRejection');
}

/** 0 where there is no `/proc`. */
function systemThreadID(): number {
  try {
    return Number(basename(readlinkSync('/proc/thread-self')));
  } catch {
    return 0;
  }
}
