/**
 * An execution board in a small file, for workers that share no memory with their supervisor: child processes. Threads
 * write the same file beside their board in memory when it must be known, after a death of the whole program, what was
 * in execution.
 *
 * Layout, Float64 values: 0 to 8 are the worker's (`version`, `phase`, `sequence`, rangeIndex (negative for a hook),
 * position, start, aborted sequence, messages taken, `version` again), 9 is the supervisor's (time-out in ms). A reader
 * takes the worker's values as one when both versions are the same. The file is never flushed: it has to outlive
 * processes, not the machine.
 *
 * Tokens of a batch cannot be taken back from a process: that would need a lock that a killed one may hold. Its batches
 * are small instead (`PROCESS_BATCH_WORK_MS`).
 */
import { closeSync, openSync, readdirSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
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
import { ExecutionBoard } from './execution-board.ts';

const VERSION = 0;
const PHASE = 1;
const SEQUENCE = 2;
const RANGE_INDEX = 3;
const POSITION = 4;
const STARTED_AT = 5;
const ABORTING = 6;
const TAKEN = 7;
const VERSION_AGAIN = 8;
const WORKER_VALUES = 9;
const WORKER_BYTES = WORKER_VALUES * 8;
const TIMEOUT_BYTES = 8;

const PHASE_RUNNING = 1;
const PHASE_WAITING = 2;

/** A writer is between its two versions for less than a microsecond. */
const READS_MAX = 100;

/** Name of the file in a worker's folder. */
export const BOARD_NAME = 'board';

/** The supervisor's side. */
export class BoardFile implements SupervisedBoard {
  readonly place: BoardPlace;
  readonly claims = undefined;
  readonly nodeThreadID = 0;
  readonly systemThreadID = 0;
  readonly #values = new Float64Array(WORKER_VALUES);
  #sent = 0;
  #fd: number;

  /** Begins the file anew. @param path in a folder that exists */
  constructor(path: string) {
    this.place = { kind: 'file', path };
    this.#fd = openSync(path, 'w+');
    writeSync(this.#fd, new Uint8Array(WORKER_BYTES + TIMEOUT_BYTES), 0, WORKER_BYTES + TIMEOUT_BYTES, 0);
  }

  inExecution(): InExecution | undefined {
    return this.#read() ? eventOf(underWayIn(this.#values)) : undefined;
  }

  inHook(): HookInExecution | undefined {
    return this.#read() ? hookOf(underWayIn(this.#values)) : undefined;
  }

  isAborting(execution: InExecution): boolean {
    return this.#read() && this.#values[ABORTING] === execution.sequence;
  }

  /** A process may be ended at any moment; one that waits for tokens is left to end by itself, unless told otherwise. */
  doom(alsoIdle = false): boolean {
    return this.#fd >= 0 && (alsoIdle || !this.#read() || this.#values[PHASE] !== PHASE_WAITING);
  }

  stepsBetweenEvents(): number | undefined {
    if (!this.#read()) return undefined;
    const { [PHASE]: phase, [SEQUENCE]: sequence = 0, [TAKEN]: taken = 0 } = this.#values;
    if (sequence === 0 || sequence % 2 === 1) return undefined;
    if (phase === PHASE_WAITING && taken === this.#sent) return undefined;
    return sequence + taken;
  }

  lastBegun(): InExecution | undefined {
    return this.#read() && this.#values[SEQUENCE] !== 0 ? eventOf(executionIn(this.#values)) : undefined;
  }

  setTimeoutMs(timeoutMs: number): void {
    if (this.#fd >= 0) writeSync(this.#fd, Float64Array.of(timeoutMs), 0, TIMEOUT_BYTES, WORKER_BYTES);
  }

  noteSent(): void {
    this.#sent += 1;
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #read(): boolean {
    return this.#fd >= 0 && readBoard(this.#fd, this.#values);
  }
}

/** The worker's side. */
class BoardFileWriter implements WorkerBoard {
  readonly arrivals = undefined;
  readonly #fd: number;
  readonly #values = new Float64Array(WORKER_VALUES);
  readonly #timeout = new Float64Array(1);
  #next = 0;
  #end = 0;

  /** @param path a file that {@link BoardFile} began */
  constructor(path: string) {
    this.#fd = openSync(path, 'r+');
    this.#values[PHASE] = PHASE_RUNNING;
    this.#write();
  }

  noteThread(): void {
    // A process is known to who started it.
  }

  tryStart(): boolean {
    // A process can be killed at any moment.
    return true;
  }

  tryEnterWaiting(): boolean {
    this.#values[PHASE] = PHASE_WAITING;
    this.#write();
    return true;
  }

  enterRunning(): void {
    this.#values[PHASE] = PHASE_RUNNING;
    this.#values[TAKEN] = (this.#values[TAKEN] ?? 0) + 1;
    this.#write();
  }

  callNative(call: () => void): void {
    call();
  }

  beginBatch(_batch: number, count: number): void {
    this.#next = 0;
    this.#end = count;
  }

  claim(): number {
    if (this.#next >= this.#end) return -1;
    this.#next += 1;
    return this.#next - 1;
  }

  begin(rangeIndex: number, position: number): void {
    this.#values[SEQUENCE] = (this.#values[SEQUENCE] ?? 0) + 1;
    this.#values[RANGE_INDEX] = rangeIndex;
    this.#values[POSITION] = position;
    this.#values[STARTED_AT] = boardTimeMs();
    this.#write();
  }

  beginHook(hook: WorkerHook): void {
    this.begin(indexOfHook(hook), 0);
  }

  end(): void {
    this.#values[SEQUENCE] = (this.#values[SEQUENCE] ?? 0) + 1;
    this.#write();
  }

  noteAborting(): void {
    this.#values[ABORTING] = this.#values[SEQUENCE] ?? 0;
    this.#write();
  }

  runningMs(): number {
    const execution = underWayIn(this.#values);
    return execution === undefined ? 0 : boardTimeMs() - execution.startedAtMs;
  }

  get timeoutMs(): number {
    readSync(this.#fd, this.#timeout, 0, TIMEOUT_BYTES, WORKER_BYTES);
    return this.#timeout[0] ?? 0;
  }

  #write(): void {
    const version = (this.#values[VERSION] ?? 0) + 1;
    this.#values[VERSION] = version;
    this.#values[VERSION_AGAIN] = version;
    writeSync(this.#fd, this.#values, 0, WORKER_BYTES, 0);
  }
}

/** A thread's board that is also written to a file, event by event. */
class RecordedBoard extends ExecutionBoard {
  readonly #record: BoardFileWriter;

  constructor(memory: SharedArrayBuffer, recordPath: string) {
    super(memory, recordPath);
    this.#record = new BoardFileWriter(recordPath);
  }

  override begin(rangeIndex: number, position: number): void {
    this.#record.begin(rangeIndex, position);
    super.begin(rangeIndex, position);
  }

  override end(): void {
    super.end();
    this.#record.end();
  }
}

/** The worker opens its side. */
export function openWorkerBoard(place: BoardPlace): WorkerBoard {
  if (place.kind === 'file') return new BoardFileWriter(place.path);
  return place.recordPath === null
    ? new ExecutionBoard(place.memory)
    : new RecordedBoard(place.memory, place.recordPath);
}

/**
 * What workers of an earlier start executed when it died, from the files in their folders, which are removed.
 *
 * @returns rangeIndices; undefined when that start wrote no such files
 */
export function takeBoardFiles(workersFolder: string): ReadonlySet<number> | undefined {
  let inExecution: Set<number> | undefined;
  for (const worker of readdirSync(workersFolder)) {
    const path = join(workersFolder, worker, BOARD_NAME);
    const values = readBoardFile(path);
    if (values === undefined) continue;
    rmSync(path, { force: true });
    inExecution ??= new Set();
    const execution = eventOf(underWayIn(values));
    if (execution !== undefined) inExecution.add(execution.rangeIndex);
  }
  return inExecution;
}

function readBoardFile(path: string): Float64Array | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    const values = new Float64Array(WORKER_VALUES);
    return readBoard(fd, values) ? values : undefined;
  } finally {
    closeSync(fd);
  }
}

/** False when the values are not whole: the worker died between two of them. */
function readBoard(fd: number, values: Float64Array): boolean {
  for (let count = 0; count < READS_MAX; count += 1) {
    readSync(fd, values, 0, WORKER_BYTES, 0);
    if (values[VERSION] === values[VERSION_AGAIN]) return true;
  }
  return false;
}

function underWayIn(values: Float64Array): InExecution | undefined {
  return (values[SEQUENCE] ?? 0) % 2 === 0 ? undefined : executionIn(values);
}

function executionIn(values: Float64Array): InExecution {
  return {
    rangeIndex: values[RANGE_INDEX] ?? 0,
    position: values[POSITION] ?? 0,
    startedAtMs: values[STARTED_AT] ?? 0,
    sequence: values[SEQUENCE] ?? 0,
  };
}
