/**
 * The execution board: what a worker is doing, readable at any moment by whoever supervises it, without a message.
 *
 * One board per worker, in shared memory. The worker claims the tokens of its batch one by one and says which event it
 * executes; the supervisor sees how long that has taken, and may take back tokens that are not claimed yet (so that a
 * token never waits behind a long event while another core is idle).
 *
 * Layout: 10 Int32 words, then 4 Float64 values.
 * - two words for the claims of its two batches, see `batch-claims.ts`
 * - `sequence`: odd while an event is in execution; grows by one at each begin and end. A reader takes the values as
 *   one when the sequence is the same before and after.
 * - `aborting`: the sequence of the execution whose time-out the worker has noticed and is ending itself.
 * - `phase`: starting → running ⇄ waiting ⇄ parked, and doomed; see {@link ExecutionBoard.doom}.
 * - `nodeThreadID`, `systemThreadID`: which thread this is.
 * - `sent`, `taken`: how many messages the worker was sent, and has begun to do what they say.
 * - values: rangeIndex (negative for a hook), position, start (ms, {@link boardTimeMs}), time-out in ms (0: none).
 */
import { setImmediate } from 'node:timers/promises';
import { BATCHES_PER_WORKER } from '../../core/limits.ts';
import type { Arrivals } from '../channel/channel.ts';
import { BatchClaims } from './batch-claims.ts';
import { boardTimeMs } from './board-clock.ts';
import {
  type BoardPlace,
  eventOf,
  type HookInExecution,
  hookOf,
  type InExecution,
  indexOfHook,
  type SupervisedBoard,
  type WorkerBoard,
  type WorkerHook,
} from './board-sides.ts';

/** Claims come first. */
const SEQUENCE = BATCHES_PER_WORKER;
const ABORTING = 3;
const PHASE = 4;
const NODE_THREAD_ID = 5;
const SYSTEM_THREAD_ID = 6;
const SENT = 7;
const TAKEN = 8;
/** even, so that the Float64 values that follow are aligned */
const INT_WORDS = 10;

/** The worker sends or receives: ending its thread now would abort the process. */
const PHASE_WAITING = 0;
/** The worker runs foreign code, or is about to; no receive is pending. */
const PHASE_RUNNING = 1;
/** The supervisor has decided to end the thread. */
const PHASE_DOOMED = 2;
/** The thread loads ZeroMQ and opens its channel: ending it in there would abort the process. */
const PHASE_STARTING = 3;
/** The worker waits for a message in its event loop, where what its payload has left behind may run: nothing of ZeroMQ does. */
const PHASE_PARKED = 4;

const RANGE_INDEX = 0;
const POSITION = 1;
const STARTED_AT = 2;
const TIMEOUT = 3;
const FLOAT_VALUES = 4;

const BOARD_BYTES = INT_WORDS * 4 + FLOAT_VALUES * 8;

export class ExecutionBoard implements SupervisedBoard, WorkerBoard {
  readonly memory: SharedArrayBuffer;
  readonly claims: BatchClaims;
  readonly #recordPath: string | null;
  readonly #words: Int32Array;
  readonly #values: Float64Array;
  /** the one in execution, on the worker's side */
  #batch = 0;

  /** @param recordPath where the worker also writes what it executes, for whoever looks after a death of the program */
  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(BOARD_BYTES), recordPath: string | null = null) {
    this.memory = memory;
    this.#recordPath = recordPath;
    this.#words = new Int32Array(memory, 0, INT_WORDS);
    this.#values = new Float64Array(memory, INT_WORDS * 4, FLOAT_VALUES);
    this.claims = new BatchClaims(new Int32Array(memory, 0, BATCHES_PER_WORKER));
  }

  /** A board for a session that is about to start. */
  static forNewSession(recordPath: string | null = null): ExecutionBoard {
    const board = new ExecutionBoard(undefined, recordPath);
    Atomics.store(board.#words, PHASE, PHASE_STARTING);
    return board;
  }

  get place(): BoardPlace {
    return { kind: 'memory', memory: this.memory, recordPath: this.#recordPath };
  }

  // --- the supervisor's side

  inExecution(): InExecution | undefined {
    return eventOf(this.#underWay());
  }

  inHook(): HookInExecution | undefined {
    return hookOf(this.#underWay());
  }

  #underWay(): InExecution | undefined {
    for (;;) {
      const sequence = Atomics.load(this.#words, SEQUENCE);
      if ((sequence & 1) === 0) return undefined;
      const seen = this.#valuesOf(sequence);
      if (Atomics.load(this.#words, SEQUENCE) === sequence) return seen;
    }
  }

  #valuesOf(sequence: number): InExecution {
    return {
      rangeIndex: this.#values[RANGE_INDEX] ?? 0,
      position: this.#values[POSITION] ?? 0,
      startedAtMs: this.#values[STARTED_AT] ?? 0,
      sequence,
    };
  }

  isAborting(execution: InExecution): boolean {
    return Atomics.load(this.#words, ABORTING) === execution.sequence;
  }

  /**
   * Asks for the right to end the worker's thread. Granted only while it runs foreign code, or is parked, and from then on
   * the worker calls nothing of ZeroMQ any more: a thread that is ended in there takes the process with it. A thread that
   * is starting ends by itself once it has started.
   */
  doom(alsoIdle = false): boolean {
    this.#changePhase(PHASE_STARTING, PHASE_DOOMED);
    if (this.#changePhase(PHASE_RUNNING, PHASE_DOOMED)) return true;
    return alsoIdle && this.#changePhase(PHASE_PARKED, PHASE_DOOMED);
  }

  /** The supervisor has decided to end the thread, before its session has started or since. */
  get isDoomed(): boolean {
    return Atomics.load(this.#words, PHASE) === PHASE_DOOMED;
  }

  stepsBetweenEvents(): number | undefined {
    const phase = Atomics.load(this.#words, PHASE);
    const sequence = Atomics.load(this.#words, SEQUENCE);
    const taken = Atomics.load(this.#words, TAKEN);
    if (phase === PHASE_DOOMED || sequence === 0 || (sequence & 1) === 1) return undefined;
    if (phase !== PHASE_RUNNING && taken === Atomics.load(this.#words, SENT)) return undefined;
    return sequence + taken;
  }

  lastBegun(): InExecution | undefined {
    const sequence = Atomics.load(this.#words, SEQUENCE);
    return sequence === 0 ? undefined : eventOf(this.#valuesOf(sequence));
  }

  #changePhase(from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, PHASE, from, to) === from;
  }

  setTimeoutMs(timeoutMs: number): void {
    this.#values[TIMEOUT] = timeoutMs;
  }

  noteSent(): void {
    Atomics.add(this.#words, SENT, 1);
    Atomics.notify(this.#words, SENT);
  }

  get nodeThreadID(): number {
    return Atomics.load(this.#words, NODE_THREAD_ID);
  }

  get systemThreadID(): number {
    return Atomics.load(this.#words, SYSTEM_THREAD_ID);
  }

  close(): void {
    // Memory is given back by the garbage collector.
  }

  // --- the worker's side

  noteThread(nodeThreadID: number, systemThreadID: number): void {
    Atomics.store(this.#words, NODE_THREAD_ID, nodeThreadID);
    Atomics.store(this.#words, SYSTEM_THREAD_ID, systemThreadID);
  }

  tryStart(): boolean {
    return this.#changePhase(PHASE_STARTING, PHASE_RUNNING);
  }

  tryEnterWaiting(): boolean {
    return this.#changePhase(PHASE_RUNNING, PHASE_WAITING);
  }

  enterRunning(): void {
    Atomics.add(this.#words, TAKEN, 1);
    Atomics.store(this.#words, PHASE, PHASE_RUNNING);
  }

  callNative(call: () => void): void {
    const from = [PHASE_RUNNING, PHASE_PARKED].find((phase) => this.#changePhase(phase, PHASE_WAITING));
    if (from === undefined && Atomics.load(this.#words, PHASE) === PHASE_DOOMED) return;
    call();
    if (from !== undefined) this.#changePhase(PHASE_WAITING, from);
  }

  beginBatch(batch: number): void {
    this.#batch = batch;
  }

  claim(): number {
    return this.claims.claim(this.#batch);
  }

  begin(rangeIndex: number, position: number): void {
    this.#values[RANGE_INDEX] = rangeIndex;
    this.#values[POSITION] = position;
    this.#values[STARTED_AT] = boardTimeMs();
    Atomics.add(this.#words, SEQUENCE, 1);
  }

  beginHook(hook: WorkerHook): void {
    this.begin(indexOfHook(hook), 0);
  }

  end(): void {
    Atomics.add(this.#words, SEQUENCE, 1);
  }

  noteAborting(): void {
    Atomics.store(this.#words, ABORTING, Atomics.load(this.#words, SEQUENCE));
  }

  runningMs(): number {
    const execution = this.inExecution();
    return execution === undefined ? 0 : boardTimeMs() - execution.startedAtMs;
  }

  get timeoutMs(): number {
    return this.#values[TIMEOUT] ?? 0;
  }

  get arrivals(): Arrivals {
    return { moreThan: (count) => this.#sentMoreThan(count) };
  }

  async #sentMoreThan(count: number): Promise<void> {
    this.#changePhase(PHASE_WAITING, PHASE_PARKED);
    while (Atomics.load(this.#words, SENT) <= count) await Atomics.waitAsync(this.#words, SENT, count).value;
    // Messages that are always there would keep the event loop from whatever else waits for it.
    await setImmediate();
    if (!this.#changePhase(PHASE_PARKED, PHASE_WAITING)) await new Promise(() => undefined);
  }
}
