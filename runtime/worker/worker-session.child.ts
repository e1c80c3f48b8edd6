/**
 * Entry of a worker's process. Receives its session by IPC and serves it over the same channel as a thread would. Ends
 * with its session, and with its parent.
 */
// Not the global one: a payload may remove that.
import process from 'node:process';
import { openWorkerBoard } from '../board/board-file.ts';
import { SESSION_OVER, type SessionData } from './session-data.ts';
import { runSession } from './session-main.ts';
import { readSharedData } from './shared-data.ts';

/** As sent by `child-host.ts`: what `prepare` returned comes in a file. */
export interface ChildSessionData extends SessionData {
  readonly sharedPath: string | null;
}

/** Whoever stops the run stops it through the parent, which lets this event end. (SIGUSR1 would open the inspector.) */
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1'] as const) process.on(signal, () => undefined);

process.once('disconnect', () => process.exit(0));
process.once('message', (received: ChildSessionData) => {
  void serve(received);
});

async function serve({ sharedPath, ...data }: ChildSessionData): Promise<void> {
  try {
    const shared = sharedPath === null ? undefined : readSharedData(sharedPath);
    await runSession({ ...data, shared }, openWorkerBoard(data.board));
  } catch {
    // Its log says why.
    process.exit(1);
  }
  process.send?.(SESSION_OVER, () => process.exit(0));
}
