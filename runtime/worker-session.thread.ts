/**
 * Entry of a worker's thread: one long-running task of the pool. Keeps the process alive whatever the payload does:
 * late errors close the channel before the thread ends, and the process's standard descriptors cannot be closed.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import type { FromWorker, ToWorker } from '../core/messages.ts';
import { PeerChannel } from './channel.ts';
import { importPayload } from './payload-loading/import-payload.ts';
import type { SessionData } from './session-data.ts';
import { ThreadCpuClock } from './thread-cpu-clock.ts';
import { WorkerLog } from './worker-log.ts';
import { WorkerSession } from './worker-session.ts';

/** Threads share file descriptors: a payload that closed stdout would make the next file opened become stdout. */
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

export default async function runSession(data: SessionData): Promise<void> {
  const channel = PeerChannel.connectClient<ToWorker, FromWorker>(data.channelAddress, data.peer);
  const log = new WorkerLog(join(data.folder, 'worker.log'), data.logLevel);
  const cpuClock = new ThreadCpuClock();
  if (!isMainThread) guardStandardDescriptors();
  log.captureConsole();
  const session = new WorkerSession({
    data,
    channel,
    log,
    cpuClock,
    loadPayload: () => importPayload(data.payloadUrl),
  });

  const endThread = (): void => {
    channel.destroy();
    process.exit(0);
  };
  // A thread that ends while a receive is pending would abort the process: the socket goes first.
  process.once('exit', () => channel.destroy());
  process.on('uncaughtException', (error) => {
    session.noteLateError(error, 'exception').then(endIfLeft, endThread);
  });
  process.on('unhandledRejection', (error) => {
    session.noteLateError(error, 'rejection').then(endIfLeft, endThread);
  });
  const endIfLeft = (left: boolean): void => {
    if (left) void channel.close().then(endThread, endThread);
  };

  const outcome = await session.run();
  await channel.close();
  cpuClock.close();
  log.close();
  // A thread whose payload may still be at work is not used again.
  if (outcome !== 'end') process.exit(0);
  process.removeAllListeners('uncaughtException');
  process.removeAllListeners('unhandledRejection');
}
