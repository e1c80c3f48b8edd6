/**
 * One worker as the token scatterer sees it: what it was given, in which batches, and whether it waits. On the main
 * thread.
 *
 * A worker executes one batch and has the next one in its socket meanwhile: where all cores compute, a round trip to the
 * scatterer takes some ms, which nobody waits for then. It asks whenever it has finished a batch.
 *
 * States: *absent* (has not asked yet) → *waiting* (has asked, and no batch is in its hands) ⇄ *supplied* (with one batch
 * or as many as it may have) → *dismissed* (told to end). A waiting worker that is told to close its files is
 * *absent* until it asks again.
 */
import { assert } from '../../core/assert.ts';
import { BATCHES_PER_WORKER } from '../../core/limits.ts';
import type { InExecution, SupervisedBoard } from '../board/board-sides.ts';
import { type HeldToken, HeldTokens } from './held-tokens.ts';

/** What a worker is given: a suspect runs in a process, anything else in either. */
export type WorkerTakes = 'all' | 'all-but-suspects' | 'suspects';

/** A token in its hands, and how its execution goes. */
interface ExecutedToken {
  readonly held: HeldToken;
  readonly execution: InExecution;
}

interface Batch {
  readonly number: number;
  /** in the order of execution, without what was taken back from its end */
  readonly tokens: HeldToken[];
}

export class ServedWorker {
  readonly workerIndex: number;
  /** how the channel addresses its session */
  readonly peer: string;
  readonly board: SupervisedBoard;
  readonly takes: WorkerTakes;
  /** given to it and not reported yet, executed or not */
  readonly held = new HeldTokens();
  /** what it executes when it dies is given back, like the rest: it is not the event's fault */
  isGivenUp = false;
  /** told to close its files since it was given something last: it has no open ones */
  isFlushed = false;
  readonly #batchesMax: number;
  /** those it has not finished, in order: the first is in execution, or about to be */
  #batches: readonly Batch[] = [];
  #lastNumber = 0;
  /** has asked, and was told nothing since but batches */
  #asks = false;
  readonly #knownFiles = new Set<number>();

  constructor(
    peer: string,
    session: { readonly workerIndex: number; readonly board: SupervisedBoard; readonly takes: WorkerTakes },
  ) {
    this.peer = peer;
    this.workerIndex = session.workerIndex;
    this.board = session.board;
    this.takes = session.takes;
    // What waits behind a long event must be there to be taken back.
    this.#batchesMax = session.board.claims === undefined ? 1 : BATCHES_PER_WORKER;
  }

  /** True when it will ask soon: it starts, or closes its files. */
  get isAbsent(): boolean {
    return !this.#asks && this.#batches.length === 0;
  }

  /** True when it has nothing to execute until it is given something. */
  get isWaiting(): boolean {
    return this.#asks && this.#batches.length === 0;
  }

  /** True when it may be given another batch. */
  get hasRoom(): boolean {
    return this.#asks && this.#batches.length < this.#batchesMax;
  }

  /** It asks, having finished its batches up to this number. */
  noteAsk(finishedBatch: number): void {
    this.#asks = true;
    this.#batches = this.#batches.filter(({ number }) => number > finishedBatch);
  }

  /** It is told to close its files, or to end: only when it waits. Until it asks again nothing can be given to it. */
  noteTold(): void {
    assert(this.isWaiting, 'only a worker without a batch is told anything');
    this.#asks = false;
  }

  /** Puts a batch into its hands. Returns the batch's number, by which the worker claims its tokens. */
  give(tokens: HeldToken[]): number {
    assert(this.hasRoom, 'a worker has a bounded number of batches');
    this.#lastNumber += 1;
    this.#batches = [...this.#batches, { number: this.#lastNumber, tokens }];
    for (const held of tokens) this.held.add(held);
    this.isFlushed = false;
    this.board.claims?.open(this.#lastNumber, tokens.length);
    return this.#lastNumber;
  }

  /** True once for each file: its description goes to the worker with the first token of it. */
  learnsFile(fileIndex: number): boolean {
    if (this.#knownFiles.has(fileIndex)) return false;
    this.#knownFiles.add(fileIndex);
    return true;
  }

  /** Tokens that wait behind another one: what others may take. The first it can begin at once is not among them. */
  get spareCount(): number {
    const { claims } = this.board;
    if (claims === undefined) return 0;
    let count = 0;
    let isBusy = false;
    for (const batch of this.#batches) {
      if (isCopy(batch) || claims.isBegun(batch.number)) isBusy = true;
      if (!isCopy(batch)) count += claims.unclaimed(batch.number);
    }
    return isBusy ? count : Math.max(0, count - 1);
  }

  /**
   * Takes back up to `countMax` tokens that it has not begun, those it would begin last. A copy stays where it is: its
   * range is another worker's.
   *
   * @returns the tokens, in order
   */
  takeBack(countMax: number): HeldToken[] {
    const { claims } = this.board;
    let taken: HeldToken[] = [];
    if (claims === undefined) return taken;
    for (const batch of [...this.#batches].reverse()) {
      if (isCopy(batch)) continue;
      const count = claims.takeBack(batch.number, countMax - taken.length);
      if (count > 0) taken = [...batch.tokens.splice(-count), ...taken];
    }
    for (const { token } of taken) this.held.remove(token.rangeIndex);
    return taken;
  }

  /** What it executes right now. */
  get executed(): ExecutedToken | undefined {
    return this.#heldIn(this.board.inExecution());
  }

  /**
   * What it died of: the event it executed, or else the one it began last, if that is not reported yet: what an event
   * has left behind (a timer, say) ends a worker, too, and would do so again and again.
   */
  get diedOf(): ExecutedToken | undefined {
    return this.#heldIn(this.board.lastBegun());
  }

  #heldIn(execution: InExecution | undefined): ExecutedToken | undefined {
    const held = execution === undefined ? undefined : this.held.get(execution.rangeIndex);
    return execution === undefined || held === undefined ? undefined : { held, execution };
  }
}

/** A copy travels alone. */
function isCopy({ tokens }: Batch): boolean {
  return tokens[0]?.copy ?? false;
}
