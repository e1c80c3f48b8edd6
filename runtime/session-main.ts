/**
 * What a worker does from its first to its last moment, in a thread or in a process. Keeps what surrounds the payload
 * alive whatever the payload does: late errors do not end the worker by themselves, and the standard descriptors cannot
 * be closed.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import type { FromWorker, ToWorker } from '../core/messages.ts';
import { PeerChannel } from './channel.ts';
import type { WorkerBoard } from './execution-board.ts';
import { importPayload } from './payload-loading/import-payload.ts';
import type { SessionData } from './session-data.ts';
import { ThreadCpuClock } from './thread-cpu-clock.ts';
import { WORKER_LOG_NAME, WorkerLog } from './worker-log.ts';
import { type SessionEnd, WorkerSession } from './worker-session.ts';

/**
 * Threads share file descriptors: a payload that closed stdout would make the next file opened become stdout. In a
 * process it would be what native code prints to.
 */
function guardStandardDescriptors(): void {
  const { closeSync, close } = fs;
  const isStandard = (fd: number): boolean => fd >= 0 && fd <= 2;
  const refusal = (): Error => new Error('a payload cannot close stdin, stdout or stderr: all workers share them');
  fs.closeSync = (fd: number): void => {
    if (isStandard(fd)) throw refusal();
    closeSync(fd);
  };
  fs.close = ((fd: number, callback?: fs.NoParamCallback): void => {
    if (isStandard(fd)) {
      if (callback !== undefined) process.nextTick(callback, refusal());
      return;
    }
    close(fd, callback);
  }) as typeof fs.close;
  syncBuiltinESMExports();
}

/** Resolves when the session is over; `end`: nothing foreign is left, the thread may be used again. */
export async function runSession(data: SessionData, board: WorkerBoard): Promise<SessionEnd> {
  const channel = PeerChannel.connectClient<ToWorker, FromWorker>(data.channelAddress, data.peer);
  const log = new WorkerLog(join(data.folder, WORKER_LOG_NAME), data.logLevel);
  const cpuClock = new ThreadCpuClock();
  guardStandardDescriptors();
  log.captureConsole();
  const session = new WorkerSession({
    data,
    board,
    channel,
    log,
    cpuClock,
    loadPayload: () => importPayload(data.payloadUrl),
  });

  // A thread that ends while a receive is pending would abort the process: the socket goes first.
  process.once('exit', () => channel.destroy());
  process.on('uncaughtException', (error) => session.noteLateError(error, 'exception'));
  process.on('unhandledRejection', (error) => session.noteLateError(error, 'rejection'));

  try {
    return await session.run();
  } finally {
    await channel.close();
    cpuClock.close();
    log.close();
  }
}
