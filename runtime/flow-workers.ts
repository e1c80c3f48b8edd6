/**
 * The workers of a flow: starts them, hears how they begin, leave and die, and tells the run's events of it. On the main
 * thread, between the pool, which has the sessions, and the token scatterer, which knows what each of them holds.
 */
import { join } from 'node:path';
import { CLOSE_MS } from '../core/limits.ts';
import type { LeaveReason } from '../core/messages.ts';
import { type FlowInput, sessionTemplate } from './flow-input.ts';
import { CodeOptimization } from './pool/helper-threads.ts';
import type { Supervisor } from './pool/supervisor.ts';
import type { DeadSession } from './pool/worker-pool.ts';
import { failureWithLog, removeTraces } from './pool/worker-traces.ts';
import type { TokenScatterer } from './scattering/token-scatterer.ts';
import { GIVEN_UP } from './worker/failures.ts';

export interface FlowWorkersStart {
  readonly scatterer: TokenScatterer;
  readonly supervisor: Supervisor;
  readonly channelAddress: string;
  /** what the payload's `prepare` returned */
  readonly shared: unknown;
  readonly recentOutputs: SharedArrayBuffer | undefined;
  /** a worker died: what it held is in the queue again, or of no use any more */
  readonly onDeath: () => void;
}

export class FlowWorkers {
  readonly #input: FlowInput;
  readonly #jobID: number;
  readonly #optimization = new CodeOptimization();

  constructor(input: FlowInput, jobID: number) {
    this.#input = input;
    this.#jobID = jobID;
  }

  /** Once. */
  start({ scatterer, supervisor, channelAddress, shared, recentOutputs, onDeath }: FlowWorkersStart): void {
    const { options, pool, recordExecutions } = this.#input;
    if (recordExecutions) pool.recordExecutions();
    pool.start(sessionTemplate(this.#input, { jobID: this.#jobID, channelAddress, shared, recentOutputs }), {
      onSession: (peer, { workerIndex, board, apart }) => {
        board.setTimeoutMs(supervisor.timeoutMs);
        const takes = apart ? 'suspects' : options.isolation === 'process' ? 'all' : 'all-but-suspects';
        scatterer.expect(peer, workerIndex, board, takes);
      },
      onDeath: (dead) => {
        this.#noteDeath(dead, scatterer);
        onDeath();
      },
      onFatal: this.#input.onFatal,
    });
  }

  noteReady(workerIndex: number, readyAfterMs: number): void {
    this.#input.pool.noteReady(workerIndex);
    this.#input.events.emit('worker:started', { workerIndex, readyAfterMs });
  }

  noteLeave(workerIndex: number, reason: LeaveReason, error: { readonly message: string } | undefined): void {
    const { events, pool, onFatal } = this.#input;
    pool.noteLeft(workerIndex, reason === 'recycle' || reason === 'broken');
    if (reason === 'storage-gone') {
      events.emit('worker:ended', { workerIndex });
      onFatal(error);
      return;
    }
    if (error !== undefined && reason !== 'broken') this.#noteNotFinalized(workerIndex, error.message);
    if (reason === 'end') events.emit('worker:ended', { workerIndex });
    else {
      const cause = reason === 'recycle' ? 'recycled' : 'payload-late-error';
      events.emit('worker:replaced', { workerIndex, cause, message: error?.message ?? reason });
    }
  }

  /** @param meanMs mean time in `execute` per range of late */
  noteExecutions(meanMs: number): void {
    this.#optimization.noteExecutions(meanMs);
  }

  /**
   * Resolves when all sessions are over. They have been told to end, which lets them finalize their payload; whoever takes
   * longer than a hook may is ended.
   *
   * @param signal ends them now
   */
  async finalized(signal: AbortSignal): Promise<void> {
    const { pool, options } = this.#input;
    pool.endStarting();
    const end = (): void => pool.terminateAll(GIVEN_UP);
    const timer = setTimeout(() => pool.terminateAll(GIVEN_UP, true), options.hookTimeoutMs + CLOSE_MS);
    signal.addEventListener('abort', end, { once: true });
    await pool.sessionsOver();
    signal.removeEventListener('abort', end);
    clearTimeout(timer);
  }

  /** Ends whoever executes. Idle workers have been told to end, which lets them finalize their payload; not for ever. */
  async givenUp(): Promise<void> {
    const { pool } = this.#input;
    pool.terminateAll(GIVEN_UP);
    const again = setInterval(() => pool.terminateAll(GIVEN_UP, true), CLOSE_MS);
    await pool.sessionsOver();
    clearInterval(again);
    this.#optimization.reset();
  }

  /**
   * What the worker executed has failed, the rest of what it held goes back, and nothing of it stays on disk.
   *
   * @returns tokens that went back
   */
  #noteDeath({ peer, workerIndex, failure, replaced, hook }: DeadSession, scatterer: TokenScatterer): void {
    const { events, folders, payload, task } = this.#input;
    const { taskID } = task;
    const jobID = this.#jobID;
    const folder = join(folders.workers, `worker_${workerIndex}`);
    const culprit = scatterer.culpritOf(peer);
    const streams = Object.keys(payload.outputs);
    // Before anybody else can begin the same range, whose files have the same names.
    removeTraces({ folder, aggregationFolder: folders.aggregation, streams, taskID, jobID, culprit });
    scatterer.lose(peer, failureWithLog(failure, { folder, taskID, jobID }));
    if (hook === 'finalize') this.#noteNotFinalized(workerIndex, failure.message);
    if (replaced) events.emit('worker:replaced', { workerIndex, cause: failure.cause, message: failure.message });
    else events.emit('worker:ended', { workerIndex });
  }

  #noteNotFinalized(workerIndex: number, message: string): void {
    this.#input.loggers.forComponent('worker-pool').warn({ workerIndex, message }, 'payload not finalized');
    this.#input.events.emit('worker:not-finalized', { workerIndex, message });
  }
}
