/**
 * The ranges of one task: the only place where a range changes. Every change goes through the rule book
 * (`transitions.ts`), and all that is counted is counted here in the same step: per state, held by whom, waiting to be
 * handed out once more, open or closed for the merge.
 */
import { RANGES_PER_CHUNK } from '../core/limits.ts';
import { type CountsPerState, RANGE_STATE_NAMES, RANGE_STATES } from '../core/states.ts';
import type { Chunk } from './chunk.ts';
import { ChunkCache } from './chunk-cache.ts';
import type { HeldJob } from './consumers.ts';
import { lengthCode } from './execution-length.ts';
import type { GroupCommit, WriteSource } from './group-commit.ts';
import type { RangePlan } from './range-plan.ts';
import {
  isCommitted,
  isFinished,
  isHeld,
  isOpen,
  isTerminal,
  type RangeWord,
  SUBMITTED,
  stateOf,
} from './range-word.ts';
import { packRecord } from './record-codec.ts';
import { ReturnedChunks } from './returned-chunks.ts';
import { STORE_KEYS, type StoreKey, type TableStore } from './table-store.ts';
import { emptyTotals, type ProgressRecord, STATE_COUNT, type TaskTotals } from './task-record.ts';
import { type ChargeLimits, RANGE_ACTIONS, type RangeActionNumber, transition } from './transitions.ts';

const { ready, running } = RANGE_STATES;

/** Told what a change of a range means to the other parts of its task. */
export interface RangeWatch {
  /** it is out of the way of the merge */
  becameTerminal(rangeIndex: number): void;
  /** it stands in the way of the merge */
  becameOpen(rangeIndex: number): void;
  /** its output records are not needed any more: merged, damaged or given up */
  leftFinished(rangeIndex: number): void;
  /** what was committed of it does not count any more */
  becameVoid(rangeIndex: number): void;
}

export class RangeTable implements WriteSource {
  readonly taskID: number;
  readonly plan: RangePlan;
  readonly chunks: ChunkCache;
  readonly returned = new ReturnedChunks();
  /** ranges that were in flight at several deaths of the program: never among {@link returned} */
  readonly suspects = new Set<number>();
  readonly totals: TaskTotals;
  /** in file order, nothing from here on was handed out (except longest first, see `hand-out.ts`) */
  cursor = 0;
  filesPerRange = 1;
  failuresWithLog = 0;
  readonly #rangeCounts = new Float64Array(STATE_COUNT);
  readonly #eventCounts = new Float64Array(STATE_COUNT);
  readonly #limits: ChargeLimits;
  readonly #commit: GroupCommit;
  readonly #jobOf: (jobID: number) => HeldJob | undefined;
  #watch: RangeWatch | undefined;

  constructor(options: {
    readonly taskID: number;
    readonly plan: RangePlan;
    readonly limits: ChargeLimits;
    readonly store: TableStore;
    readonly commit: GroupCommit;
    readonly jobOf: (jobID: number) => HeldJob | undefined;
    readonly progress: ProgressRecord | undefined;
  }) {
    this.taskID = options.taskID;
    this.plan = options.plan;
    this.#limits = options.limits;
    this.#commit = options.commit;
    this.#jobOf = options.jobOf;
    this.chunks = new ChunkCache(
      options.taskID,
      options.store,
      options.commit,
      (chunk) => chunk.heldCount > 0 || this.returned.has(chunk.index) || this.#holdsSuspect(chunk),
    );
    const { progress } = options;
    this.totals = { ...emptyTotals(), ...progress?.totals };
    if (progress === undefined) return;
    this.#rangeCounts.set(progress.ranges);
    this.#eventCounts.set(progress.events);
    this.cursor = progress.cursor;
    this.filesPerRange = progress.filesPerRange;
    this.failuresWithLog = progress.failuresWithLog;
  }

  /** One watch, which is all the others. */
  watch(watch: RangeWatch): void {
    this.#watch = watch;
  }

  /** Finds out what is held and what waits: reads the chunks with work left, and no others. */
  loadWork(): void {
    for (const index of [...this.chunks.stored('working')]) {
      const chunk = this.chunks.get(index);
      for (let offset = 0; offset < RANGES_PER_CHUNK; offset += 1) {
        const word = chunk.wordAt(offset);
        if (isHeld(word)) {
          const job = this.#jobOf(chunk.ownerAt(offset));
          if (job !== undefined) job.held.add(index);
        } else if (this.#isReturned(word, chunk.firstRange + offset)) this.returned.add(index);
      }
    }
  }

  /** Ranges have been added to the plan. */
  noteAdded(rangeCount: number, eventCount: number): void {
    this.#rangeCounts[ready] = this.countOf('ready') + rangeCount;
    this.#eventCounts[ready] = (this.#eventCounts[ready] as number) + eventCount;
    this.#commit.changed(this);
  }

  countOf(state: keyof CountsPerState): number {
    return this.#rangeCounts[RANGE_STATES[state]] as number;
  }

  get heldCount(): number {
    return this.countOf('sent') + this.countOf('running');
  }

  counts(): CountsPerState {
    return countsByName(this.#rangeCounts);
  }

  eventCounts(): CountsPerState {
    return countsByName(this.#eventCounts);
  }

  wordAt(rangeIndex: number): RangeWord {
    const chunk = this.chunkOf(rangeIndex);
    return chunk.wordAt(rangeIndex - chunk.firstRange);
  }

  /** PandaID of the job that holds the range, 0 when none does. */
  ownerOf(rangeIndex: number): number {
    const chunk = this.chunkOf(rangeIndex);
    return isHeld(chunk.wordAt(rangeIndex - chunk.firstRange)) ? chunk.ownerAt(rangeIndex - chunk.firstRange) : 0;
  }

  chunkOf(rangeIndex: number): Chunk {
    return this.chunks.get(Math.floor(rangeIndex / RANGES_PER_CHUNK));
  }

  /** The word after the action, or a refusal (below zero, see `transitions.ts`) and nothing has changed. */
  apply(rangeIndex: number, action: RangeActionNumber, attemptNr = 0): RangeWord | number {
    const chunk = this.chunkOf(rangeIndex);
    const offset = rangeIndex - chunk.firstRange;
    const before = chunk.wordAt(offset);
    const after = transition(before, action, attemptNr, this.#limits);
    if (after >= 0) this.#set(chunk, offset, before, after);
    return after;
  }

  /** Hands a range to a job. */
  send(rangeIndex: number, job: HeldJob): RangeWord | number {
    const chunk = this.chunkOf(rangeIndex);
    const offset = rangeIndex - chunk.firstRange;
    const before = chunk.wordAt(offset);
    const after = transition(before, RANGE_ACTIONS.send, 0, this.#limits);
    if (after < 0) return after;
    this.#set(chunk, offset, before, after);
    chunk.setOwner(offset, job.jobID);
    job.held.add(chunk.index);
    this.totals.handedOut += 1;
    return after;
  }

  /** How long its last execution took. */
  noteLength(rangeIndex: number, lengthMs: number): void {
    const chunk = this.chunkOf(rangeIndex);
    chunk.lengths[rangeIndex - chunk.firstRange] = lengthCode(lengthMs);
    this.chunks.changed(chunk);
  }

  /** Moves a range in or out of the suspects; it may wait to be handed out. */
  setSuspect(rangeIndex: number, suspect: boolean): void {
    if (this.suspects.has(rangeIndex) === suspect) return;
    const chunk = this.chunkOf(rangeIndex);
    const offset = rangeIndex - chunk.firstRange;
    const word = chunk.wordAt(offset);
    if (this.#isReturned(word, rangeIndex)) this.returned.remove(chunk.index);
    if (suspect) this.suspects.add(rangeIndex);
    else this.suspects.delete(rangeIndex);
    if (this.#isReturned(word, rangeIndex)) this.#noteReturned(chunk, offset);
    this.chunks.changed(chunk);
  }

  /** Counts, cursor or totals have changed. */
  noteProgress(): void {
    this.#commit.changed(this);
  }

  collectWrites(write: (key: StoreKey, value: Uint8Array | undefined) => void): void {
    const progress: ProgressRecord = {
      ranges: [...withoutRunning(this.#rangeCounts)],
      events: [...withoutRunning(this.#eventCounts)],
      cursor: this.cursor,
      filesPerRange: this.filesPerRange,
      failuresWithLog: this.failuresWithLog,
      totals: this.totals,
    };
    write(STORE_KEYS.progress(this.taskID), packRecord(progress));
  }

  /** Waits to be handed out once more; a range that was never handed out waits behind the cursor instead. */
  #isReturned(word: RangeWord, rangeIndex: number): boolean {
    return isOpen(word) && (word !== SUBMITTED || rangeIndex < this.cursor) && !this.suspects.has(rangeIndex);
  }

  #holdsSuspect(chunk: Chunk): boolean {
    for (const suspect of this.suspects) {
      if (Math.floor(suspect / RANGES_PER_CHUNK) === chunk.index) return true;
    }
    return false;
  }

  #set(chunk: Chunk, offset: number, before: RangeWord, after: RangeWord): void {
    const rangeIndex = chunk.firstRange + offset;
    const from = stateOf(before);
    const to = stateOf(after);
    chunk.words[offset] = after;
    this.#count(rangeIndex, from, to);
    if (from === running) chunk.runningCount -= 1;
    if (to === running) chunk.runningCount += 1;
    const held = isHeld(after);
    if (isHeld(before) !== held) {
      chunk.heldCount += held ? 1 : -1;
      if (!held) this.#dropFrom(chunk, offset);
    }
    if (this.#isReturned(before, rangeIndex)) this.returned.remove(chunk.index);
    if (this.#isReturned(after, rangeIndex)) this.#noteReturned(chunk, offset);
    const terminal = isTerminal(after);
    if (terminal !== isTerminal(before)) {
      if (terminal) this.#watch?.becameTerminal(rangeIndex);
      else this.#watch?.becameOpen(rangeIndex);
    }
    if (isFinished(before)) this.#watch?.leftFinished(rangeIndex);
    if (isCommitted(before) && !isCommitted(after)) this.#watch?.becameVoid(rangeIndex);
    // Known in memory only.
    if (to === running) return;
    this.chunks.changed(chunk);
    this.#commit.changed(this);
  }

  #noteReturned(chunk: Chunk, offset: number): void {
    this.returned.add(chunk.index);
    if (offset < chunk.returnedFrom) chunk.returnedFrom = offset;
  }

  #count(rangeIndex: number, from: number, to: number): void {
    if (from === to) return;
    const events = this.plan.eventCountOf(rangeIndex);
    this.#rangeCounts[from] = (this.#rangeCounts[from] as number) - 1;
    this.#rangeCounts[to] = (this.#rangeCounts[to] as number) + 1;
    this.#eventCounts[from] = (this.#eventCounts[from] as number) - events;
    this.#eventCounts[to] = (this.#eventCounts[to] as number) + events;
  }

  #dropFrom(chunk: Chunk, offset: number): void {
    const job = this.#jobOf(chunk.ownerAt(offset));
    if (job !== undefined) job.held.remove(chunk.index);
  }
}

/** On disk `running` is `sent`. */
function withoutRunning(counts: Float64Array): Float64Array {
  const stored = counts.slice();
  stored[RANGE_STATES.sent] = (stored[RANGE_STATES.sent] as number) + (stored[running] as number);
  stored[running] = 0;
  return stored;
}

export function countsByName(counts: ArrayLike<number>): CountsPerState {
  return Object.fromEntries(
    RANGE_STATE_NAMES.map((name) => [name, counts[RANGE_STATES[name]] ?? 0]),
  ) as unknown as CountsPerState;
}
