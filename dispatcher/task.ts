/** One task with all its parts: its record, its files, its ranges, what they put out, and what is merged of it. */
import type { RangeUpdate, TaskFile } from '../core/dispatcher-api.ts';
import { GranuleError } from '../core/errors.ts';
import { FILES_PER_BLOCK } from '../core/limits.ts';
import type { HeldJob } from './consumers.ts';
import { FailureLog, readFailure } from './failure-log.ts';
import type { GroupCommit } from './group-commit.ts';
import { HandOut } from './hand-out.ts';
import { MergeTrigger } from './merge-trigger.ts';
import { OutputBook } from './output-book.ts';
import { OutputLog } from './output-log.ts';
import { PayloadEpochs } from './payload-epochs.ts';
import { ProgramDeaths } from './program-deaths.ts';
import { RangePlan } from './range-plan.ts';
import { RangeTable } from './range-table.ts';
import { attemptOf, isFinished } from './range-word.ts';
import { packRecord, unpackRecord } from './record-codec.ts';
import { STORE_KEYS, type TableStore } from './table-store.ts';
import type { ProgressRecord, TaskRecord } from './task-record.ts';

/** A file without its place, which is that of its row. */
type FileRow = Omit<TaskFile, 'fileIndex'>;

export class Task {
  readonly table: RangeTable;
  readonly outputLog: OutputLog;
  readonly outputs: OutputBook;
  readonly merge: MergeTrigger;
  readonly handOut: HandOut;
  readonly failures: FailureLog;
  readonly deaths: ProgramDeaths;
  readonly epochs: PayloadEpochs;
  readonly #store: TableStore;
  readonly #commit: GroupCommit;
  #record: TaskRecord;

  constructor(
    record: TaskRecord,
    environment: {
      readonly store: TableStore;
      readonly commit: GroupCommit;
      readonly jobOf: (jobID: number) => HeldJob | undefined;
      readonly onMergeable: (taskID: number) => void;
    },
  ) {
    const { store, commit } = environment;
    this.#record = record;
    this.#store = store;
    this.#commit = commit;
    const plan = new RangePlan(record.eventsPerRange, record.eventsPerOutput);
    for (const file of readFiles(store, record.taskID)) plan.add(file);
    const progress = store.get(STORE_KEYS.progress(record.taskID));
    this.table = new RangeTable({
      taskID: record.taskID,
      plan,
      limits: record,
      store,
      commit,
      jobOf: environment.jobOf,
      progress: progress === undefined ? undefined : unpackRecord<ProgressRecord>(progress),
    });
    this.outputLog = new OutputLog(record.taskID, commit);
    this.outputs = new OutputBook(record.taskID, plan, store, commit);
    this.merge = new MergeTrigger({
      table: this.table,
      outputLog: this.outputLog,
      outputs: this.outputs,
      onCandidate: () => environment.onMergeable(record.taskID),
    });
    this.handOut = new HandOut(this.table);
    this.failures = new FailureLog(this.table, commit);
    this.deaths = new ProgramDeaths(record.taskID, store, commit);
    this.epochs = new PayloadEpochs(record.taskID, store, commit);
    for (const suspect of this.deaths.suspects()) this.table.suspects.add(suspect);
    this.table.watch({
      becameTerminal: (rangeIndex) => this.merge.becameTerminal(rangeIndex),
      becameOpen: (rangeIndex) => this.merge.becameOpen(rangeIndex),
      leftFinished: (rangeIndex) => this.outputLog.drop(rangeIndex),
      becameVoid: (rangeIndex) => {
        this.epochs.forget(rangeIndex);
        this.#forgetFailedEvents(rangeIndex);
      },
    });
  }

  get taskID(): number {
    return this.#record.taskID;
  }

  get record(): TaskRecord {
    return this.#record;
  }

  /** Takes up where the store stands; what is held, waits or is unmerged is read, and nothing else. */
  load(): void {
    this.table.loadWork();
    this.outputLog.load(this.#store, (rangeIndex, attemptNr) => {
      const word = this.table.wordAt(rangeIndex);
      return isFinished(word) && attemptOf(word) === attemptNr;
    });
    this.merge.load();
  }

  change(changes: Partial<TaskRecord>): void {
    this.#record = { ...this.#record, ...changes };
    this.#commit.write(STORE_KEYS.task(this.taskID), packRecord(this.#record));
  }

  /** Appends files; their ranges are ready at once. */
  addFiles(files: readonly TaskFile[]): void {
    if (this.#record.sealed) throw invalid(`task ${this.taskID} is sealed: its files are known`);
    const { plan } = this.table;
    for (const [index, file] of files.entries()) checkFile(file, plan.fileCount + index);
    const rangesBefore = plan.rangeCount;
    const eventsBefore = plan.eventCount;
    for (let first = 0; first < files.length; first += FILES_PER_BLOCK) {
      const block = files.slice(first, first + FILES_PER_BLOCK);
      const rows: FileRow[] = block.map(({ fileIndex: _, ...row }) => row);
      this.#commit.write(STORE_KEYS.files(this.taskID, plan.fileCount), packRecord(rows));
      for (const file of block) plan.add(file);
    }
    this.table.noteAdded(plan.rangeCount - rangesBefore, plan.eventCount - eventsBefore);
  }

  /** A range has been finished: what comes with it is kept, what was known of its failures is not needed any more. */
  noteFinished(update: Extract<RangeUpdate, { kind: 'finished' }>, nowMs: number): void {
    const { table } = this;
    table.totals.finished += 1;
    table.totals.wallMs += update.wallMs;
    table.totals.cpuMs += update.cpuMs;
    table.filesPerRange = Math.max(table.filesPerRange, update.outputs.length);
    this.outputLog.add(update.rangeIndex, update.attemptNr, update.outputs);
    if (update.attemptNr > 1) this.failures.remove(update.rangeIndex);
    if (update.failedEvents != null) {
      table.totals.failedEvents += update.failedEvents.length;
      this.failures.addEvents(update.rangeIndex, update.attemptNr, update.failedEvents, nowMs);
    }
    this.clearDeaths(update.rangeIndex);
  }

  /** An execution of a range has ended badly. */
  noteFailed(update: Extract<RangeUpdate, { kind: 'failed' }>, nowMs: number): void {
    const { rangeIndex, attemptNr, failure, failedEvents } = update;
    this.table.totals.failed += 1;
    if (failedEvents == null) this.failures.add(rangeIndex, attemptNr, failure, nowMs);
    else this.failures.addEvents(rangeIndex, attemptNr, failedEvents, nowMs);
  }

  /** The range was finished without these, and is so no longer. */
  #forgetFailedEvents(rangeIndex: number): void {
    if (this.table.totals.failedEvents === 0) return;
    const { failedEvents } = readFailure(this.#store, this.taskID, rangeIndex) ?? {};
    if (failedEvents === undefined) return;
    this.table.totals.failedEvents -= failedEvents.length;
    this.failures.remove(rangeIndex);
  }

  /** The range has come to an end that is its own: it is no suspect any more. */
  clearDeaths(rangeIndex: number): void {
    if (this.deaths.clear(rangeIndex)) this.table.setSuspect(rangeIndex, false);
  }

  attemptOf(rangeIndex: number): number {
    return attemptOf(this.table.wordAt(rangeIndex));
  }

  seal(): void {
    if (this.#record.sealed) return;
    this.change({ sealed: true });
    this.merge.noteSealed();
  }

  unseal(): void {
    if (this.#record.eventsPerOutput !== undefined) {
      throw invalid(`task ${this.taskID} has outputs across files: those that are complete would change`);
    }
    if (!this.#record.sealed) return;
    this.change({ sealed: false });
    // What is added belongs to the tail, too.
    this.handOut.forgetTail();
  }

  /** So many output files may still be brought into being: made and not merged, or being made, all count. */
  get freshMax(): number {
    const { filesPerRange, heldCount } = this.table;
    const room = this.#record.unmergedFilesMax - this.outputLog.fileCount - heldCount * filesPerRange;
    // Were nothing under way and nothing to merge, a bound below one range's files would stop the task for ever.
    if (room < filesPerRange && heldCount === 0 && this.outputLog.fileCount === 0) return 1;
    return Math.floor(room / filesPerRange);
  }

  /** The hand-out waits, or soon will, for the merge. */
  get underPressure(): boolean {
    return this.outputLog.fileCount * 2 >= this.#record.unmergedFilesMax || this.freshMax <= 0;
  }
}

/** Rows of the store, in order, with their places. */
export function* readFiles(store: TableStore, taskID: number, fromFile = 0): Iterable<TaskFile> {
  for (const { key, value } of store.entries(['files', taskID])) {
    let fileIndex = Number((key as readonly unknown[])[2]);
    if (fileIndex + FILES_PER_BLOCK <= fromFile) continue;
    for (const row of unpackRecord<readonly FileRow[]>(value)) {
      if (fileIndex >= fromFile) yield { fileIndex, ...row };
      fileIndex += 1;
    }
  }
}

function checkFile(file: TaskFile, fileIndex: number): void {
  const place = `file ${file.fileIndex} (${file.lfn})`;
  if (file.fileIndex !== fileIndex) throw invalid(`${place} comes at place ${fileIndex}: files are added in order`);
  if (!Number.isSafeInteger(file.eventCount) || file.eventCount < 0) throw invalid(`${place} has no event count`);
  let after = 0;
  for (const [first, last] of file.selection ?? []) {
    if (!(first > after && last >= first && last <= file.eventCount)) {
      throw invalid(`${place}: selection ${first}-${last} is not within 1-${file.eventCount}, or out of order`);
    }
    after = last;
  }
}

function invalid(message: string): GranuleError {
  return new GranuleError('REQUEST_INVALID', message);
}
