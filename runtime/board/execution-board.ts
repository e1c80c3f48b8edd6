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

/** What a worker calls of its payload outside any event: it may hang there like anywhere else. */
const HOOKS = ['initialize', 'finalize'] as const;
export type WorkerHook = (typeof HOOKS)[number];

export interface HookInExecution {
  readonly hook: WorkerHook;
  readonly startedAtMs: number;
}

/** What a worker executes right now. */
export interface InExecution {
  readonly rangeIndex: number;
  /** 1-based position of the event in its file */
  readonly position: number;
  readonly startedAtMs: number;
  /** differs between two executions, even of the same event */
  readonly sequence: number;
}

/** What the supervisor sees of a worker, and may do to it. */
export interface SupervisedBoard {
  /** how the worker opens its side */
  readonly place: BoardPlace;
  /** which tokens of its batches the worker has claimed; undefined where none can be taken back */
  readonly claims: BatchClaims | undefined;
  inExecution(): InExecution | undefined;
  /** The event that is in execution, or else was last. Only of a worker that is not at work any more. */
  lastBegun(): InExecution | undefined;
  inHook(): HookInExecution | undefined;
  /** True when the worker knows that this execution is over its time-out: it gets its grace. */
  isAborting(execution: InExecution): boolean;
  /**
   * Asks for the right to end the worker. Granted only while it runs foreign code; one that starts will end by itself.
   *
   * @param alsoIdle granted, too, while it waits for a message and nothing native runs
   */
  doom(alsoIdle?: boolean): boolean;
  /**
   * Changes with whatever a worker does that has something to do, but is in no event and no hook (which have time-outs of
   * their own): it takes a message that it was sent, closes files, leaves. Undefined while that does not apply, and before
   * the first hook.
   */
  stepsBetweenEvents(): number | undefined;
  setTimeoutMs(timeoutMs: number): void;
  /** A message to the worker is with ZeroMQ. */
  noteSent(): void;
  /** Which thread runs the session, to Node and to the operating system; 0 while it is not known. */
  readonly nodeThreadID: number;
  readonly systemThreadID: number;
  /** Lets go of what it holds. Twice is harmless. */
  close(): void;
}

/** What a worker says of itself, and reads. */
export interface WorkerBoard {
  /** A thread says who it is: to Node, and to the operating system (0 when that is not known). */
  noteThread(nodeThreadID: number, systemThreadID: number): void;
  /** Once its channel is open, before anything foreign is loaded. False when the worker is not needed any more. */
  tryStart(): boolean;
  /** Before it sends or receives. False when it is doomed: then it must do neither, but wait for its end. */
  tryEnterWaiting(): boolean;
  /** After a message was received. */
  enterRunning(): void;
  /** Begins a batch of `count` tokens. It may find that all of them were taken back. */
  beginBatch(batch: number, count: number): void;
  /** The index of the next token of the batch it has begun, or -1 when none is left. */
  claim(): number;
  begin(rangeIndex: number, position: number): void;
  /** Like an event, it is ended by {@link end}. */
  beginHook(hook: WorkerHook): void;
  end(): void;
  /** The worker has aborted the execution's signal. */
  noteAborting(): void;
  /** How long the event in execution has been running, in ms; 0 when there is none. */
  runningMs(): number;
  /** Time-out in force, in ms; 0 for none. */
  readonly timeoutMs: number;
  /** How a worker that dies with its thread learns of messages; undefined for a process, which may just receive. */
  readonly arrivals: Arrivals | undefined;
}

/** Where the two sides of a board meet: memory shared by threads, or a small file (see `board-file.ts`). */
export type BoardPlace =
  | { readonly kind: 'memory'; readonly memory: SharedArrayBuffer; readonly recordPath: string | null }
  | { readonly kind: 'file'; readonly path: string };

/** What stands for a hook where an event has its rangeIndex. */
export function indexOfHook(hook: WorkerHook): number {
  return -1 - HOOKS.indexOf(hook);
}

/** Undefined for the execution of an event. */
export function hookOf(execution: InExecution | undefined): HookInExecution | undefined {
  const hook = execution === undefined ? undefined : HOOKS[-1 - execution.rangeIndex];
  return execution === undefined || hook === undefined ? undefined : { hook, startedAtMs: execution.startedAtMs };
}

/** Undefined for a hook. */
export function eventOf(execution: InExecution | undefined): InExecution | undefined {
  return hookOf(execution) === undefined ? execution : undefined;
}

/** From `performance.now()` of this thread to the system's monotonic clock. */
const MONOTONIC_OFFSET_MS = monotonicOffsetMs();

/** The two clocks are read one after the other: a thread that loses its core in between would be off by that much. */
function monotonicOffsetMs(): number {
  let offsetMs = 0;
  let leastMs = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const beforeMs = performance.now();
    const monotonicMs = Number(process.hrtime.bigint() / 1000n) / 1000;
    const afterMs = performance.now();
    if (afterMs - beforeMs >= leastMs) continue;
    leastMs = afterMs - beforeMs;
    offsetMs = monotonicMs - (beforeMs + afterMs) / 2;
  }
  return offsetMs;
}

/** Milliseconds on one axis for all threads and processes of a host. */
export function boardTimeMs(): number {
  return MONOTONIC_OFFSET_MS + performance.now();
}

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
