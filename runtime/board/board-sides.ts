/**
 * The two sides of an execution board: what a worker says of itself and reads, and what its supervisor sees of it and may do.
 * Threads meet in shared memory (`execution-board.ts`), processes in a small file (`board-file.ts`).
 */
import type { Arrivals } from '../channel/channel.ts';
import type { BatchClaims } from './batch-claims.ts';

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
  /** Calls something native while foreign code runs: the thread is not ended meanwhile. Not called if it is doomed. */
  callNative(call: () => void): void;
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
