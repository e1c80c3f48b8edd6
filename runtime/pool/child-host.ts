/**
 * Sessions in child processes, for payloads with native code: whatever a payload does to its process, it costs the
 * event in execution. One process per session, started ahead.
 *
 * A child leads a process group of its own, which is killed as a whole when the session is over, and by a watcher when
 * this process dies, however it dies. Its stdout and stderr go to its worker's log.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { builtModuleUrl } from '../../core/own-files.ts';
import { unwatchGroup, watchGroup } from '../../payloads/children/group-watcher.ts';
import { BOARD_NAME, BoardFile } from '../board/board-file.ts';
import type { SupervisedBoard } from '../board/board-sides.ts';
import { failureOfProcess } from '../worker/failures.ts';
import { SESSION_OVER, type SessionData } from '../worker/session-data.ts';
import { writeSharedData } from '../worker/shared-data.ts';
import { tellsOfHeapLimit, WORKER_LOG_NAME } from '../worker/worker-log.ts';
import { SessionDeath, type SessionHost } from './session-host.ts';

export interface ChildHostOptions {
  /** workers whose first process is started at once: `[0, workerCount)` */
  readonly workerCount: number;
  /** each worker's folder is `worker_<index>` in it */
  readonly workersFolder: string;
  /** heap limit of a process */
  readonly heapMaxMB: number;
}

interface Child {
  readonly process: ChildProcess;
  /** length of the worker's log when it was started */
  readonly logBytesBefore: number;
  readonly ended: Promise<{ readonly exitCode: number | null; readonly signal: NodeJS.Signals | null }>;
}

export class ChildHost implements SessionHost {
  readonly #options: ChildHostOptions;
  readonly #entry = fileURLToPath(builtModuleUrl('runtime/worker/worker-session.child.ts'));
  /** started, without a session: by workerIndex */
  readonly #spare = new Map<number, Child>();
  readonly #alive = new Set<Child>();
  /** what `prepare` returned, in a file */
  #sharedPath: string | undefined;

  constructor(options: ChildHostOptions) {
    this.#options = options;
    for (let workerIndex = 0; workerIndex < options.workerCount; workerIndex += 1) {
      this.#spare.set(workerIndex, this.#start(workerIndex));
    }
  }

  createBoard(workerIndex: number): SupervisedBoard {
    return new BoardFile(join(this.#folderOf(workerIndex), BOARD_NAME));
  }

  async run(data: SessionData, _board: SupervisedBoard, signal: AbortSignal): Promise<void> {
    const { workerIndex } = data;
    const child = this.#spare.get(workerIndex) ?? this.#start(workerIndex);
    this.#spare.delete(workerIndex);
    const end = (): void => killGroup(child.process);
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    // A child that is gone cannot be told; its end is noticed below.
    child.process.send(
      { ...data, recentOutputs: undefined, shared: undefined, sharedPath: this.#share(data.shared) },
      () => undefined,
    );
    let isOver = false;
    child.process.on('message', (message) => {
      isOver ||= message === SESSION_OVER;
    });
    const { exitCode, signal: endedBy } = await child.ended;
    signal.removeEventListener('abort', end);
    if (isOver) return;
    const ranOutOfMemory = tellsOfHeapLimit(join(data.folder, WORKER_LOG_NAME), child.logBytesBefore);
    throw new SessionDeath(failureOfProcess(exitCode, endedBy, ranOutOfMemory));
  }

  async close(): Promise<void> {
    this.#spare.clear();
    for (const child of this.#alive) killGroup(child.process);
    await Promise.all([...this.#alive].map((child) => child.ended));
  }

  #folderOf(workerIndex: number): string {
    const folder = join(this.#options.workersFolder, `worker_${workerIndex}`);
    mkdirSync(folder, { recursive: true });
    return folder;
  }

  #share(shared: unknown): string | null {
    if (shared === undefined) return null;
    if (this.#sharedPath === undefined) {
      this.#sharedPath = join(this.#options.workersFolder, 'shared');
      writeSharedData(this.#sharedPath, shared);
    }
    return this.#sharedPath;
  }

  #start(workerIndex: number): Child {
    const { heapMaxMB } = this.#options;
    const log = openSync(join(this.#folderOf(workerIndex), WORKER_LOG_NAME), 'a');
    const started = fork(this.#entry, [], {
      detached: true,
      serialization: 'advanced',
      execArgv: [`--max-old-space-size=${heapMaxMB}`],
      stdio: ['ignore', log, log, 'ipc'],
    });
    const logBytesBefore = fstatSync(log).size;
    closeSync(log);
    if (started.pid !== undefined) watchGroup(started.pid);
    const child: Child = { process: started, logBytesBefore, ended: endOf(started) };
    this.#alive.add(child);
    void child.ended.then(() => this.#alive.delete(child));
    return child;
  }
}

function endOf(child: ChildProcess): Child['ended'] {
  return new Promise((resolve) => {
    const settle = (exitCode: number | null, signal: NodeJS.Signals | null): void => {
      killGroup(child);
      if (child.pid !== undefined) unwatchGroup(child.pid);
      resolve({ exitCode, signal });
    };
    child.once('exit', settle);
    // It could not even be started.
    child.once('error', () => {
      if (child.pid === undefined) settle(null, null);
    });
  });
}

/** The child and everything it left in its group. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Nothing of the group is left.
  }
}
