/**
 * What a worker does from its first to its last moment, in a thread or in a process. Keeps what surrounds the payload
 * alive whatever the payload does: late errors do not end the worker by themselves, and the standard descriptors cannot
 * be closed.
 */
import { join } from 'node:path';
// Not the global one: a payload may remove that.
import process from 'node:process';
import { isMainThread } from 'node:worker_threads';
import { describeThrown } from '../../core/errors.ts';
import type { FromWorker, LeaveReason, ToWorker } from '../../core/messages.ts';
import type { WorkerBoard } from '../board/board-sides.ts';
import { PeerChannel } from '../channel/channel.ts';
import { importPayload } from '../payload-loading/import-payload.ts';
import type { SessionData } from './session-data.ts';
import { divertStandardOutput, guardStandardDescriptors } from './standard-descriptors.ts';
import { ThreadCpuClock } from './thread-cpu-clock.ts';
import { WORKER_LOG_NAME, WorkerLog } from './worker-log.ts';
import { WorkerSession } from './worker-session.ts';

/**
 * Resolves when the session is over; `end`: nothing foreign is left, the thread may be used again.
 *
 * @throws what the payload has made of what everything here rests on
 */
export async function runSession(data: SessionData, board: WorkerBoard): Promise<LeaveReason> {
  const channel = PeerChannel.connectClient<ToWorker, FromWorker>(data.channelAddress, data.peer, board.arrivals);
  const log = new WorkerLog(join(data.folder, WORKER_LOG_NAME), data.logLevel);
  const cpuClock = new ThreadCpuClock();
  guardStandardDescriptors();
  log.captureConsole();
  // A process of its own has its worker's log there.
  if (!isMainThread) divertStandardOutput();
  const session = new WorkerSession({
    data,
    board,
    channel,
    log,
    cpuClock,
    loadPayload: () => importPayload(data.payloadUrl),
  });

  // A thread that ends while a receive is pending would abort the process: the socket goes first.
  process.once('exit', () => board.callNative(() => channel.destroy()));
  process.on('uncaughtException', (error) => session.noteLateError(error, 'exception'));
  process.on('unhandledRejection', (error) => session.noteLateError(error, 'rejection'));

  try {
    return await session.run();
  } catch (error) {
    log.error(`the session broke: ${describeThrown(error).message}`);
    throw error;
  } finally {
    await channel.close();
    cpuClock.close();
    log.close();
  }
}
