/** Entry of a worker's thread: one long-running task of the pool. */
import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
// Not the global one: a payload may remove that.
import process from 'node:process';
import { threadId } from 'node:worker_threads';
import type { LeaveReason } from '../../core/messages.ts';
import { openWorkerBoard } from '../board/board-file.ts';
import type { WorkerBoard } from '../board/board-sides.ts';
import type { SessionData } from './session-data.ts';
import { runSession } from './session-main.ts';

export default async function runInThread(data: SessionData): Promise<void> {
  const board = openWorkerBoard(data.board);
  board.noteThread(threadId, systemThreadID());
  const outcome = await outcomeOf(data, board);
  // A thread whose payload may still be at work is not used again.
  if (outcome !== 'end') process.exit(0);
  process.removeAllListeners('uncaughtException');
  process.removeAllListeners('unhandledRejection');
}

async function outcomeOf(data: SessionData, board: WorkerBoard): Promise<LeaveReason> {
  try {
    return await runSession(data, board);
  } catch {
    // Its log says why.
    process.exit(1);
  }
}

/** 0 where there is no `/proc`. */
function systemThreadID(): number {
  try {
    return Number(basename(readlinkSync('/proc/thread-self')));
  } catch {
    return 0;
  }
}
