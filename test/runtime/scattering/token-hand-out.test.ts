import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BATCHES_PER_WORKER } from '../../../core/limits.ts';
import type { RangeReport, RangeToken } from '../../../core/messages.ts';
import { ExecutionBoard } from '../../../runtime/board/execution-board.ts';
import type { HeldToken } from '../../../runtime/scattering/held-tokens.ts';
import { ServedWorker } from '../../../runtime/scattering/served-worker.ts';
import { TokenHandOut } from '../../../runtime/scattering/token-hand-out.ts';

function held(rangeIndex: number): HeldToken {
  return { token: { rangeIndex, suspect: false } as RangeToken, bytes: undefined, copy: false };
}

function finished(wallMs: number): RangeReport {
  return { kind: 'finished', wallMs } as RangeReport;
}

/** Ranges that a worker puts into one file. */
const RANGES_PER_FILE = 3;

/** Does in one thread what a worker's session does in its own, step by step. */
class SteppedWorker {
  readonly board = ExecutionBoard.forNewSession();
  readonly served: ServedWorker;
  readonly executed: number[] = [];
  isEnded = false;
  /** executed, in a file that waits for further ranges */
  #inOpenFile: number[] = [];
  /** those it will report when it asks */
  #closed: number[] = [];
  readonly #inbox: { readonly kind: 'tokens' | 'flush' | 'end'; readonly batch: number; readonly tokens: number[] }[] =
    [];
  #batch: { readonly number: number; readonly tokens: readonly number[] } | undefined;
  #lastBatch = 0;
  #hasAsked = false;

  constructor(peer: string, workerIndex: number) {
    this.served = new ServedWorker(peer, { workerIndex, board: this.board, takes: 'all-but-suspects' });
  }

  get inHands(): number {
    return this.#inbox.length + (this.#batch === undefined ? 0 : 1);
  }

  receive(kind: 'tokens' | 'flush' | 'end', batch = 0, tokens: readonly HeldToken[] = []): void {
    this.#inbox.push({ kind, batch, tokens: tokens.map(({ token }) => token.rangeIndex) });
  }

  /** One step: asks, takes a message, or claims and executes a token. */
  step(handOut: TokenHandOut): void {
    if (this.isEnded) return;
    if (this.#batch !== undefined) {
      const index = this.board.claim();
      if (index >= 0) {
        const rangeIndex = this.#batch.tokens[index] ?? Number.NaN;
        this.executed.push(rangeIndex);
        this.#inOpenFile.push(rangeIndex);
        if (this.#inOpenFile.length === RANGES_PER_FILE) this.#closeFile();
      } else {
        this.#lastBatch = this.#batch.number;
        this.#batch = undefined;
        this.#hasAsked = false;
      }
      return;
    }
    if (!this.#hasAsked) {
      this.#hasAsked = true;
      this.served.noteAsk(this.#lastBatch);
      for (const rangeIndex of this.#closed.splice(0)) this.served.held.remove(rangeIndex);
      handOut.serve(this.served);
      return;
    }
    const message = this.#inbox.shift();
    if (message?.kind === 'tokens') {
      this.#batch = { number: message.batch, tokens: message.tokens };
      this.board.beginBatch(message.batch);
    } else if (message?.kind === 'end') this.isEnded = true;
    else if (message?.kind === 'flush') {
      this.#closeFile();
      this.#hasAsked = false;
    }
  }

  /** Its session ends without a word: what it has not reported goes back. */
  die(handOut: TokenHandOut): void {
    const back = this.served.held.values();
    this.isEnded = true;
    this.executed.splice(0, this.executed.length, ...this.executed.filter((index) => !isAmong(back, index)));
    handOut.removeWorker(this.served.peer);
    if (back.length > 0) handOut.putBack(back);
  }

  #closeFile(): void {
    this.#closed.push(...this.#inOpenFile.splice(0));
  }
}

function isAmong(tokens: readonly HeldToken[], rangeIndex: number): boolean {
  return tokens.some(({ token }) => token.rangeIndex === rangeIndex);
}

function setUp(workerCount: number): { readonly handOut: TokenHandOut; readonly workers: SteppedWorker[] } {
  const workers = Array.from({ length: workerCount }, (_, index) => new SteppedWorker(`worker-${index}`, index));
  const of = (served: ServedWorker): SteppedWorker => workers[served.workerIndex] as SteppedWorker;
  const handOut = new TokenHandOut({
    sendTokens: (worker, batch, tokens) => of(worker).receive('tokens', batch, tokens),
    sendFlush: (worker) => of(worker).receive('flush'),
    sendEnd: (worker) => of(worker).receive('end'),
    onHungry: () => undefined,
  });
  for (const { served } of workers) handOut.addWorker(served);
  return { handOut, workers };
}

/** Lets a worker die, and another one take its place. */
function replace(handOut: TokenHandOut, workers: SteppedWorker[], index: number): void {
  const next = new SteppedWorker(`worker-${workers.length}`, workers.length);
  workers.push(next);
  handOut.addWorker(next.served);
  living(workers)[index]?.die(handOut);
}

function living(workers: readonly SteppedWorker[]): readonly SteppedWorker[] {
  return workers.filter(({ isEnded }) => !isEnded);
}

function stepUntil(isDone: () => boolean, handOut: TokenHandOut, workers: readonly SteppedWorker[]): void {
  for (let turn = 0; !isDone(); turn += 1) {
    if (turn > 10_000) throw new Error('it goes on for ever');
    for (const worker of workers) worker.step(handOut);
  }
}

/** Nobody waits beside tokens that nobody holds, or that wait behind others in a worker's hands. */
function expectNobodyWaitsInVain(handOut: TokenHandOut, workers: readonly SteppedWorker[]): void {
  if (!workers.some(({ served }) => served.isWaiting)) return;
  expect(handOut.queuedCount).toBe(0);
  expect(Math.max(...workers.map(({ served }) => served.spareCount))).toBe(0);
}

describe('the hand-out of tokens', () => {
  it('lets each token be executed once by somebody who never has too much, while nobody waits in vain', () => {
    const step = { weight: 12, arbitrary: fc.record({ kind: fc.constant('step' as const), worker: fc.nat(3) }) };
    const death = { weight: 1, arbitrary: fc.record({ kind: fc.constant('die' as const), worker: fc.nat(3) }) };
    const action = fc.oneof(
      step,
      death,
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant('add' as const), count: fc.integer({ min: 1, max: 40 }) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constant('learn' as const),
          wallMs: fc.double({ min: 0.01, max: 40, noNaN: true }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('take back' as const) }) },
    );
    /** when nothing new comes any more */
    const lastAction = fc.oneof(step, death);
    const size = { maxLength: 250, size: 'max' } as const;
    fc.assert(
      fc.property(fc.array(action, size), fc.array(lastAction, size), (actions, lastActions) => {
        const { handOut, workers } = setUp(4);
        let added = 0;
        const takenBack: number[] = [];
        for (const one of [...actions, ...lastActions]) {
          if (one.kind === 'step') living(workers)[one.worker]?.step(handOut);
          else if (one.kind === 'die') replace(handOut, workers, one.worker);
          else if (one.kind === 'learn') handOut.size.learn([finished(one.wallMs)]);
          else if (one.kind === 'take back') {
            takenBack.push(...handOut.takeBackAll().map(({ rangeIndex }) => rangeIndex));
          } else {
            handOut.add(Array.from({ length: one.count }, (_, index) => held(added + index)));
            added += one.count;
          }
          expect(Math.max(...workers.map(({ inHands }) => inHands))).toBeLessThanOrEqual(BATCHES_PER_WORKER);
          expectNobodyWaitsInVain(handOut, living(workers));
        }
        // A run ends its workers when everything is reported.
        stepUntil(() => living(workers).every(({ served }) => served.held.size === 0), handOut, workers);
        expect(handOut.queuedCount).toBe(0);
        handOut.end();
        stepUntil(() => living(workers).length === 0, handOut, workers);
        const seen = [...takenBack, ...workers.flatMap(({ executed }) => executed)];
        expect(seen.sort((left, right) => left - right)).toEqual(Array.from({ length: added }, (_, index) => index));
      }),
      { numRuns: 60 },
    );
  });

  it('gives each of the workers that wait a token before it gives any of them two', () => {
    const { handOut, workers } = setUp(2);
    for (const worker of workers) worker.step(handOut);
    handOut.add([held(0), held(1), held(2), held(3)]);
    for (let step = 0; step < 2; step += 1) for (const worker of workers) worker.step(handOut);
    expect(workers.map(({ executed }) => executed)).toEqual([[0], [1]]);
  });

  it('lets a worker close its files again when it has executed what another one gave back', () => {
    const { handOut, workers } = setUp(2);
    const [one, two] = workers as [SteppedWorker, SteppedWorker];
    handOut.add([held(0), held(1)]);
    for (let step = 0; step < 2; step += 1) for (const worker of workers) worker.step(handOut);
    // The other executes its token, is told to close its files, and waits.
    stepUntil(() => two.served.isWaiting && two.served.held.size === 0, handOut, [two]);
    one.die(handOut);
    stepUntil(() => two.served.isWaiting && two.served.held.size === 0, handOut, [two]);
    expect(two.executed).toEqual([1, 0]);
  });

  it('lets nothing wait behind a long token for a worker that is about to ask', () => {
    const { handOut, workers } = setUp(3);
    handOut.size.learn([finished(1000)]);
    handOut.add(Array.from({ length: 6 }, (_, index) => held(index)));
    // Each asks, takes its batch and begins it before the next one is there.
    for (const worker of workers) for (let step = 0; step < 3; step += 1) worker.step(handOut);
    expect(workers.map(({ executed }) => executed)).toEqual([[0], [1], [2]]);
  });

  it('follows the order of the queue: where all take equally long, so does the execution', () => {
    const { handOut, workers } = setUp(3);
    handOut.size.learn([finished(1000)]);
    handOut.add(Array.from({ length: 60 }, (_, index) => held(index)));
    const order: number[] = [];
    while (order.length < 60) {
      for (const worker of workers) {
        const before = worker.executed.length;
        worker.step(handOut);
        order.push(...worker.executed.slice(before));
      }
    }
    const furthest = Math.max(...order.map((rangeIndex, place) => Math.abs(rangeIndex - place)));
    expect(furthest).toBeLessThanOrEqual(BATCHES_PER_WORKER * workers.length);
  });
});
