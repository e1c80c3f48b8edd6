/**
 * Decides which worker gets which tokens, and when it is told to close its files or to end. On the main thread; part of
 * the token scatterer, which talks to the workers.
 *
 * - Tokens are handed out in the order of the queue to whoever has room: first to workers that wait, then one batch ahead
 *   to those that execute. Nobody is given work ahead while another worker waits or is about to ask for its first: where
 *   events are long, what comes early in the queue would wait behind one of them.
 * - At the tail, when the queue holds all that is left, batches shrink, so that its order holds to the end.
 * - A worker that waits beside an empty queue gets half of what waits in the hands of another one, so nothing waits behind
 *   a long event while a core is idle. One that still has a batch takes nothing from others.
 * - With nothing to get, a worker closes the files that wait for further ranges; at the end it is dismissed.
 */
import { CREDIT_MAX } from '../../core/limits.ts';
import type { RangeToken } from '../../core/messages.ts';
import { BatchSize } from './batch-size.ts';
import type { HeldToken } from './held-tokens.ts';
import type { ServedWorker } from './served-worker.ts';
import { TokenQueue } from './token-queue.ts';

/** Where decisions go. */
export interface HandOutOutlet {
  /** The batch is in the worker's hands already. */
  sendTokens(worker: ServedWorker, batch: number, tokens: readonly HeldToken[]): void;
  sendFlush(worker: ServedWorker): void;
  sendEnd(worker: ServedWorker): void;
  /** The queue has run low: more ranges are welcome. */
  onHungry(): void;
}

export class TokenHandOut {
  readonly size = new BatchSize();
  readonly #outlet: HandOutOutlet;
  readonly #workers = new Map<string, ServedWorker>();
  readonly #queue = new TokenQueue();
  #isEnding = false;
  #atTail = false;

  constructor(outlet: HandOutOutlet) {
    this.#outlet = outlet;
  }

  addWorker(worker: ServedWorker): void {
    this.#workers.set(worker.peer, worker);
  }

  worker(peer: string): ServedWorker | undefined {
    return this.#workers.get(peer);
  }

  /** Its session is over. What it holds stays with it until it is put back. */
  removeWorker(peer: string): void {
    this.#workers.delete(peer);
  }

  workers(): IterableIterator<ServedWorker> {
    return this.#workers.values();
  }

  get waitingCount(): number {
    let count = 0;
    for (const worker of this.#workers.values()) if (worker.isWaiting && worker.takes !== 'suspects') count += 1;
    return count;
  }

  /** Tokens nobody holds. */
  get queuedCount(): number {
    return this.#queue.count;
  }

  /** Bytes that ride with queued tokens. */
  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  add(tokens: readonly HeldToken[]): void {
    for (const held of tokens) this.#queue.add(held);
    this.#serveAll();
  }

  /** To the front of the queue, in order. */
  putBack(tokens: readonly HeldToken[]): void {
    this.#queue.putBack(tokens);
    this.#serveAll();
  }

  /** Takes every token back that no worker has begun, and hands out no more of them. */
  takeBackAll(): RangeToken[] {
    const taken = this.#queue.takeAll();
    for (const worker of this.#workers.values()) taken.push(...worker.takeBack(Number.MAX_SAFE_INTEGER));
    return taken.map(({ token }) => token);
  }

  /** Gives a waiting worker a copy of a range that another one executes. False when none waits. */
  speculate(held: HeldToken): boolean {
    for (const worker of this.#workers.values()) {
      if (!worker.isWaiting || worker.takes === 'suspects') continue;
      this.#give(worker, [{ ...held, copy: true }]);
      return true;
    }
    return false;
  }

  /** Nothing is left to be leased for now, or again something is. */
  setAtTail(atTail: boolean): void {
    this.#atTail = atTail;
  }

  /** From now on a worker that waits and finds nothing is dismissed. */
  end(): void {
    this.#isEnding = true;
    this.#serveAll();
  }

  /** Gives a worker as many batches as it may have, as far as the queue reaches. */
  supply(worker: ServedWorker): void {
    while (worker.hasRoom && (worker.isWaiting || !this.#othersComeFirst())) {
      const tokens = this.#takeQueued(worker);
      if (tokens.length === 0) return;
      this.#give(worker, tokens);
      if (this.queuedCount < this.#workers.size) this.#outlet.onHungry();
    }
  }

  /** Sees to a worker that has asked: once its reports are taken, since they say what it still holds. */
  serve(worker: ServedWorker): void {
    this.supply(worker);
    if (!worker.isWaiting) return;
    const stolen = worker.takes === 'suspects' ? [] : this.#steal();
    if (stolen.length > 0) {
      this.#give(worker, stolen);
      return;
    }
    if (!this.#isEnding) this.#outlet.onHungry();
    if (worker.held.size > 0 && !worker.isFlushed) {
      // Executed ranges wait in open files for further ones that may never come.
      worker.isFlushed = true;
      worker.noteTold();
      this.#outlet.sendFlush(worker);
    } else if (this.#isEnding) {
      worker.noteTold();
      this.#outlet.sendEnd(worker);
    }
  }

  #serveAll(): void {
    for (const worker of this.#workers.values()) if (worker.isWaiting) this.serve(worker);
    for (const worker of this.#workers.values()) this.supply(worker);
  }

  /** Some worker has nothing to do, or is about to ask for its first batch. */
  #othersComeFirst(): boolean {
    for (const { isAbsent, isWaiting, takes } of this.#workers.values()) {
      if ((isAbsent || isWaiting) && takes !== 'suspects') return true;
    }
    return false;
  }

  #takeQueued({ takes, board }: ServedWorker): HeldToken[] {
    if (takes !== 'all-but-suspects') {
      const suspect = this.#queue.takeSuspect();
      if (suspect !== undefined) return [suspect];
      if (takes === 'suspects') return [];
    }
    if (this.#queue.ordinaryCount === 0) return [];
    const queued = { count: this.queuedCount, atTail: this.#atTail };
    return this.#queue.take(this.size.next(board.claims !== undefined, queued, this.#workers.size));
  }

  /** Half of what waits in the hands of the worker with most. */
  #steal(): HeldToken[] {
    let victim: ServedWorker | undefined;
    let most = 0;
    for (const worker of this.#workers.values()) {
      const { spareCount } = worker;
      if (spareCount <= most) continue;
      victim = worker;
      most = spareCount;
    }
    return victim?.takeBack(Math.min(Math.ceil(most / 2), CREDIT_MAX)) ?? [];
  }

  #give(worker: ServedWorker, tokens: HeldToken[]): void {
    const batch = worker.give(tokens);
    this.#outlet.sendTokens(worker, batch, tokens);
  }
}
