/**
 * Threads that were told to end and have not. `terminate()` cannot stop synchronous native code: such a thread lives on
 * until the call returns, and a process that ends waits for it. All but the truly endless calls wait for a child process
 * (`execSync`, `spawnSync`): when that child and its descendants are killed, the call returns and the thread ends.
 *
 * Linux only: elsewhere `/proc` is missing, nothing is found, and stuck threads are only counted.
 */
import { readFileSync } from 'node:fs';
import type { Worker } from 'node:worker_threads';
import { STUCK_CHECK_MS, STUCK_CHECKS_MAX } from '../../core/limits.ts';

/** of this process: threads that are ending, with their ID in the operating system */
const ending = new Map<Worker, number>();
let timer: NodeJS.Timeout | undefined;
let checksLeft = 0;

/** A thread is about to be terminated. @param threadID the operating system's */
export function watchEnding(thread: Worker, threadID: number): void {
  ending.set(thread, threadID);
  thread.once('exit', () => ending.delete(thread));
  checksLeft = STUCK_CHECKS_MAX;
  timer ??= setInterval(releaseEnding, STUCK_CHECK_MS).unref();
}

/** Threads of this process that were told to end and have not. */
export function endingThreadCount(): number {
  return ending.size;
}

/** Kills the child processes that ending threads wait for. */
export function releaseEnding(): void {
  for (const threadID of ending.values()) {
    for (const pid of descendantsOf(`/proc/self/task/${threadID}/children`)) kill(pid);
  }
  checksLeft -= 1;
  if (ending.size > 0 && checksLeft > 0) return;
  clearInterval(timer);
  timer = undefined;
}

/** Children first found last: when a parent is killed its children go to others, so all are collected before. */
function descendantsOf(childrenPath: string): number[] {
  let text: string;
  try {
    text = readFileSync(childrenPath, 'utf8');
  } catch {
    return [];
  }
  const pids = text.split(' ').filter((pid) => pid.trim() !== '');
  return pids.flatMap((pid) => [Number(pid), ...descendantsOf(`/proc/${pid}/task/${pid}/children`)]);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}
