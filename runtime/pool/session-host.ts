/** Where sessions of workers run: in threads (`thread-host.ts`) or in child processes (`child-host.ts`). */
import type { Failure } from '../../core/dispatcher-api.ts';
import type { SupervisedBoard } from '../board/board-sides.ts';
import type { SessionData } from '../worker/session-data.ts';

export interface SessionHost {
  /** A board for the session that is about to start in this worker. The caller closes it after the session. */
  createBoard(workerIndex: number): SupervisedBoard;
  /**
   * Runs a session. Resolves when it is over.
   *
   * @param signal ends the session at once; only when its board has granted that
   * @throws SessionDeath when it ended without being told to
   */
  run(data: SessionData, board: SupervisedBoard, signal: AbortSignal): Promise<void>;
  /** Ends threads or processes that wait for sessions. Only when no session runs. */
  close(): Promise<void>;
}

/** A session ended without a word of its own. */
export class SessionDeath extends Error {
  readonly failure: Failure;

  constructor(failure: Failure, cause?: unknown) {
    super(failure.message, { cause });
    this.failure = failure;
  }
}
