/**
 * Ends the process. Explicitly: with native sockets loaded, running out of work is not a safe end.
 *
 * A thread that is stuck in native code would keep `process.exit` waiting for ever, and nothing Node offers
 * (`process.reallyExit` neither) ends a process past such a thread with an exit code of one's own: only a signal does. So
 * what the thread waits for is killed first, if it can be found. When that does not help, the process ends by SIGKILL and
 * says so; everything is flushed by then, and `report.json` holds the exit code.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ExitCode } from '../../core/errors.ts';
import { STUCK_CHECK_MS, STUCK_END_MS } from '../../core/limits.ts';
import { endingThreadCount, releaseEnding } from '../pool/stuck-threads.ts';
import type { NoticeOutput } from './surroundings.ts';

/** Does not return. */
export async function endProcess(exitCode: ExitCode, notices: NoticeOutput): Promise<void> {
  const deadlineMs = performance.now() + STUCK_END_MS;
  while (endingThreadCount() > 0 && performance.now() < deadlineMs) {
    releaseEnding();
    await delay(STUCK_CHECK_MS);
  }
  const stuck = endingThreadCount();
  if (stuck > 0) {
    const what = stuck === 1 ? 'a worker thread is' : `${stuck} worker threads are`;
    notices.write(
      `${what} stuck in native code, so this process ends by SIGKILL; its exit code would have been ${exitCode}` +
        ' (--isolation process avoids this)\n',
    );
    process.kill(process.pid, 'SIGKILL');
  }
  process.exit(exitCode);
}
