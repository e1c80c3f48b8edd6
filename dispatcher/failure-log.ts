/** Why ranges failed: kept in the store, bounded, while a range is not finished; the latest failure of each. */
import type { FailedEvent, Failure } from '../core/dispatcher-api.ts';
import { FAILURE_BYTES_MAX, FAILURES_WITH_LOG_MAX, LOG_LINE_CHARS_MAX } from '../core/limits.ts';
import type { GroupCommit } from './group-commit.ts';
import type { RangeTable } from './range-table.ts';
import { packRecord, unpackRecord } from './record-codec.ts';
import { STORE_KEYS, type TableStore } from './table-store.ts';

export interface RecordedFailure extends Failure {
  readonly rangeIndex: number;
  readonly attemptNr: number;
  /** wall clock */
  readonly recordedMs: number;
  /** which events of a range of several failed, each by itself; {@link message} and so on are those of the first */
  readonly failedEvents?: readonly FailedEvent[];
}

/** The parts that matter most, within the bound: message, newest log lines, stack. */
function boundFailure(failure: Failure, bytesMax: number): Failure {
  let left = bytesMax;
  const take = (text: string): string => {
    const taken = text.slice(0, Math.min(LOG_LINE_CHARS_MAX, Math.max(0, left)));
    left -= taken.length;
    return taken;
  };
  const message = take(failure.message.split('\n', 1)[0] ?? '');
  const { stack: given = '', ...facts } = failure;
  const stack = take(given);
  const logTail: string[] = [];
  for (const line of failure.logTail.toReversed()) {
    if (left <= 0) break;
    logTail.unshift(take(line));
  }
  return { ...facts, message, logTail, ...(stack === '' ? {} : { stack }) };
}

export class FailureLog {
  readonly #table: RangeTable;
  readonly #commit: GroupCommit;

  constructor(table: RangeTable, commit: GroupCommit) {
    this.#table = table;
    this.#commit = commit;
  }

  add(rangeIndex: number, attemptNr: number, failure: Failure, nowMs: number): void {
    this.#write(rangeIndex, { ...this.#bound(failure), rangeIndex, attemptNr, recordedMs: nowMs });
  }

  /** Each of these events failed by itself, be the others of its range finished or not. */
  addEvents(rangeIndex: number, attemptNr: number, failedEvents: readonly FailedEvent[], nowMs: number): void {
    const [first, ...others] = failedEvents;
    if (first === undefined) return;
    const share = Math.floor(FAILURE_BYTES_MAX / failedEvents.length);
    const bound = others.map(({ position, failure }) => ({ position, failure: boundFailure(failure, share) }));
    const kept = this.#bound(first.failure);
    const events = [{ position: first.position, failure: kept }, ...bound];
    this.#write(rangeIndex, { ...kept, rangeIndex, attemptNr, recordedMs: nowMs, failedEvents: events });
  }

  #bound(failure: Failure): Failure {
    const withLog = this.#table.failuresWithLog < FAILURES_WITH_LOG_MAX;
    if (withLog && failure.logTail.length > 0) this.#table.failuresWithLog += 1;
    if (withLog) return boundFailure(failure, FAILURE_BYTES_MAX);
    const { stack: _, ...facts } = failure;
    return boundFailure({ ...facts, logTail: [] }, LOG_LINE_CHARS_MAX);
  }

  #write(rangeIndex: number, record: RecordedFailure): void {
    this.#commit.write(STORE_KEYS.failure(this.#table.taskID, rangeIndex), packRecord(record));
  }

  remove(rangeIndex: number): void {
    this.#commit.write(STORE_KEYS.failure(this.#table.taskID, rangeIndex), undefined);
  }
}

/** In the order of ranges, from `fromRange` on; what is not durable yet is not seen. */
export function* readFailures(store: TableStore, taskID: number, fromRange = 0): Iterable<RecordedFailure> {
  for (const { value } of store.entries(['failure', taskID], STORE_KEYS.failure(taskID, fromRange))) {
    yield unpackRecord<RecordedFailure>(value);
  }
}

export function readFailure(store: TableStore, taskID: number, rangeIndex: number): RecordedFailure | undefined {
  const bytes = store.get(STORE_KEYS.failure(taskID, rangeIndex));
  return bytes === undefined ? undefined : unpackRecord<RecordedFailure>(bytes);
}
