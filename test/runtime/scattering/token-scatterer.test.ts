import { afterEach, describe, expect, it } from 'vitest';
import { CREDIT_MAX } from '../../../core/limits.ts';
import { silentLogger } from '../../../core/log.ts';
import type { FromWorker, RangeReport, RangeToken, ToWorker, WorkerTokens } from '../../../core/messages.ts';
import { ExecutionBoard } from '../../../runtime/board/execution-board.ts';
import { PeerChannel, ServerChannel } from '../../../runtime/channel/channel.ts';
import { type ScattererListeners, TokenScatterer } from '../../../runtime/scattering/token-scatterer.ts';

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function token(rangeIndex: number, fileIndex = 0): RangeToken {
  return {
    rangeIndex,
    attemptNr: 1,
    fileIndex,
    startEvent: rangeIndex + 1,
    lastEvent: rangeIndex + 1,
    failures: 0,
    offsetBytes: 0,
    lengthBytes: 1,
    cuts: null,
    frame: -1,
    failedEvents: null,
    suspect: false,
  };
}

function finished(rangeIndex: number, wallMs = 0.01): RangeReport {
  return {
    kind: 'finished',
    rangeIndex,
    attemptNr: 1,
    eventCount: 1,
    failedEvents: null,
    outputs: [],
    wallMs,
    cpuMs: 0,
    copy: false,
  };
}

/** A scripted worker: asks when told to, having finished the batch it was sent last; executes nothing. */
class TestWorker {
  readonly board = ExecutionBoard.forNewSession();
  /** the last batch it has received */
  #batch = 0;
  readonly #channel: PeerChannel<ToWorker, FromWorker>;

  constructor(scatterer: TokenScatterer, address: string, name: string, index: number) {
    scatterer.expect(name, index, this.board, 'all');
    this.#channel = PeerChannel.connectClient(address, name);
    cleanups.push(() => this.#channel.close());
  }

  async ask(reports: readonly RangeReport[] = []): Promise<ToWorker> {
    await this.#channel.send({ kind: 'ask', batch: this.#batch, reports, readyAfterMs: null, threadCpuMs: 0 });
    return this.receive();
  }

  /** Claims every token left of the batch it has received last, and says that all of it is finished. */
  async finish(message: WorkerTokens): Promise<WorkerTokens> {
    const reports: RangeReport[] = [];
    for (let index = this.board.claim(); index >= 0; index = this.board.claim()) {
      reports.push(finished(message.tokens[index]?.rangeIndex ?? Number.NaN));
    }
    return this.tokens(reports);
  }

  async receive(): Promise<ToWorker> {
    const received = await this.#channel.receive();
    if (received === undefined) throw new Error('the channel closed');
    if (received.message.kind === 'tokens') {
      this.#batch = received.message.batch;
      this.board.beginBatch(this.#batch);
    }
    return received.message;
  }

  send(message: FromWorker): Promise<void> {
    return this.#channel.send(message);
  }

  async tokens(reports: readonly RangeReport[] = []): Promise<WorkerTokens> {
    const message = await this.ask(reports);
    if (message.kind !== 'tokens') throw new Error(`wanted tokens, received ${message.kind}`);
    return message;
  }
}

let unique = 0;

async function setUp(): Promise<{
  readonly scatterer: TokenScatterer;
  readonly worker: (name: string) => TestWorker;
  readonly reports: RangeReport[];
}> {
  const address = `inproc://scatterer-test-${process.pid}-${unique++}`;
  const channel = await ServerChannel.bind<FromWorker, ToWorker>(address);
  const reports: RangeReport[] = [];
  const listeners: ScattererListeners = {
    onReports: (some) => reports.push(...some),
    onTokensGiven: () => undefined,
    onWorkerReady: () => undefined,
    onInitFailed: () => undefined,
    onLeave: () => undefined,
    onHungry: () => undefined,
    onFatal: (error) => {
      throw error;
    },
  };
  const scatterer = new TokenScatterer(channel, listeners, { failuresMax: 3, log: silentLogger });
  scatterer.addFile({
    fileIndex: 0,
    guid: 'G',
    lfn: 'a',
    format: 'ndjson',
    path: '/a',
    runSegments: [],
    runHeaders: null,
  });
  const served = scatterer.serve();
  cleanups.push(async () => {
    await channel.close();
    await served;
  });
  let count = 0;
  return { scatterer, worker: (name) => new TestWorker(scatterer, address, name, count++), reports };
}

function indices({ tokens }: WorkerTokens): number[] {
  return tokens.map(({ rangeIndex }) => rangeIndex);
}

function many(count: number): RangeToken[] {
  return Array.from({ length: count }, (_, index) => token(index));
}

describe('the token scatterer', () => {
  it('gives tokens in order to whoever asks, and describes a file once to each worker', async () => {
    const { scatterer, worker } = await setUp();
    const [one, two] = [worker('one'), worker('two')];
    scatterer.add(many(4), []);
    const first = await one.tokens();
    const second = await two.tokens();
    expect([first, second].map(indices)).toEqual([[0], [1]]);
    expect([first, second].map((message) => message.files.length)).toEqual([1, 1]);
    const third = await one.finish(first);
    // What is between waits in the hands of the second.
    expect(indices(third)).toEqual([3]);
    expect(third.files).toEqual([]);
  });

  it('lets a worker wait until tokens come', async () => {
    const { scatterer, worker } = await setUp();
    const one = worker('one');
    const pending = one.tokens();
    scatterer.add([token(0)], []);
    expect(indices(await pending)).toEqual([0]);
  });

  it('sends a worker its next batch before it has finished the one it executes', async () => {
    const { scatterer, worker } = await setUp();
    const one = worker('one');
    scatterer.add(many(3), []);
    expect(indices(await one.tokens())).toEqual([0]);
    const ahead = await one.receive();
    expect(ahead.kind === 'tokens' && indices(ahead)).toEqual([1]);
    expect(scatterer.queuedCount).toBe(1);
  });

  it('makes batches of short events, and single tokens of long ones', async () => {
    const { scatterer, worker } = await setUp();
    const one = worker('one');
    scatterer.add(many(3 * CREDIT_MAX), []);
    expect((await one.tokens()).tokens.length).toBe(1);
    await one.tokens([finished(0, 0.001)]);
    const batch = await one.tokens([finished(1, 0.001)]);
    expect(batch.tokens.length).toBeGreaterThan(32);
    const next = await one.tokens(batch.tokens.map((held) => finished(held.rangeIndex, 1000)));
    expect((await one.tokens(next.tokens.map((held) => finished(held.rangeIndex, 1000)))).tokens.length).toBe(1);
  });

  it('takes tokens back from a full worker for an idle one, those it would begin last', async () => {
    const { scatterer, worker } = await setUp();
    const full = worker('full');
    scatterer.add(many(42), []);
    await full.tokens();
    await full.tokens([finished(0, 0.001)]);
    const batch = await full.tokens([finished(1, 0.001)]);
    full.board.claim();
    const heldByFull = scatterer.heldCount;
    const idle = worker('idle');
    let stolen = await idle.tokens();
    while (scatterer.heldCount > heldByFull) stolen = await idle.finish(stolen);
    expect(stolen.tokens.length).toBe(Math.ceil((heldByFull - 1) / 2));
    expect(Math.min(...indices(stolen))).toBeGreaterThan(Math.max(...indices(batch)) - batch.tokens.length / 2);
  });

  it('gives what waits behind a long event to a worker that has nothing, and then asks its holder again', async () => {
    const { scatterer, worker } = await setUp();
    const holder = worker('holder');
    scatterer.add(many(2), []);
    const long = await holder.tokens();
    holder.board.claim();
    const idle = worker('idle');
    expect(indices(await idle.tokens())).toEqual([1]);
    const emptied = await holder.finish(long);
    expect(holder.board.claim()).toBe(-1);
    scatterer.add([token(2)], []);
    expect(indices(await holder.finish(emptied))).toEqual([2]);
  });

  it('fails only what a lost worker executed; the rest goes to others with the same attempt', async () => {
    const { scatterer, worker, reports } = await setUp();
    const doomed = worker('doomed');
    scatterer.add(many(4), []);
    await doomed.tokens();
    doomed.board.claim();
    doomed.board.begin(0, 1);
    const returnedCount = scatterer.lose('doomed', () => ({ cause: 'payload-exit', message: 'gone', logTail: [] }));
    expect(returnedCount).toBe(1);
    expect(reports).toMatchObject([{ kind: 'failed', rangeIndex: 0, failure: { cause: 'payload-exit', position: 1 } }]);
    const next = await worker('other').tokens();
    expect(next.tokens[0]).toMatchObject({ rangeIndex: 1, attemptNr: 1 });
  });

  it('gives what a worker leaves behind to others, in order, and answers it after what was on its way', async () => {
    const { scatterer, worker, reports } = await setUp();
    const leaving = worker('leaving');
    scatterer.add(many(3), []);
    await leaving.tokens();
    leaving.board.claim();
    await leaving.send({ kind: 'leave', reason: 'recycle', reports: [finished(0)], error: null, threadCpuMs: 0 });
    expect([(await leaving.receive()).kind, (await leaving.receive()).kind]).toEqual(['tokens', 'end']);
    expect(reports).toMatchObject([{ kind: 'finished', rangeIndex: 0 }]);
    const other = worker('other');
    const next = await other.tokens();
    expect([...indices(next), ...indices(await other.finish(next))]).toEqual([1, 2]);
  });

  it('returns everything unbegun for a drain, also what is on its way', async () => {
    const { scatterer, worker } = await setUp();
    const one = worker('one');
    scatterer.add(many(20), []);
    await one.tokens();
    await one.tokens([finished(0, 0.001)]);
    const batch = await one.tokens([finished(1, 0.001)]);
    one.board.claim();
    const back = scatterer.takeBackAll();
    expect(back.length).toBe(20 - 2 - 1);
    expect(scatterer.queuedCount).toBe(0);
    expect(scatterer.heldCount).toBe(1);
    expect(indices(batch)[0]).toBe(2);
  });

  it('lets a copy go to a worker that has nothing, and leaves it there', async () => {
    const { scatterer, worker } = await setUp();
    const [slow, idle, third] = [worker('slow'), worker('idle'), worker('third')];
    scatterer.add([token(0)], []);
    await slow.tokens();
    slow.board.claim();
    slow.board.begin(0, 1);
    const pending = idle.tokens();
    while (scatterer.waitingCount === 0) await new Promise((resolve) => setImmediate(resolve));
    const [execution] = scatterer.executing();
    expect(execution !== undefined && scatterer.speculate(execution.held)).toBe(true);
    expect(execution !== undefined && scatterer.speculate(execution.held)).toBe(false);
    expect(await pending).toMatchObject({ copy: true, tokens: [{ rangeIndex: 0 }] });
    const nothing = third.ask();
    while (scatterer.waitingCount === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(scatterer.takeBackAll()).toEqual([]);
    scatterer.end();
    expect((await nothing).kind).toBe('end');
  });

  it('charges what ends a worker between two events to the one begun last, unless that is reported', async () => {
    const { scatterer, worker, reports } = await setUp();
    const [one, two] = [worker('one'), worker('two')];
    const failure = { cause: 'payload-exit', message: 'gone', logTail: [] } as const;
    for (const [dying, rangeIndex, toldOf] of [
      [one, 0, []],
      [two, 1, [finished(1)]],
    ] as const) {
      scatterer.add([token(rangeIndex)], []);
      await dying.tokens();
      dying.board.claim();
      dying.board.begin(rangeIndex, rangeIndex + 1);
      dying.board.end();
      await dying.send({ kind: 'closed', reports: toldOf });
    }
    while (reports.length === 0) await new Promise((resolve) => setImmediate(resolve));
    for (const name of ['one', 'two']) scatterer.lose(name, () => failure);
    expect(reports.map(({ kind, rangeIndex }) => [kind, rangeIndex])).toEqual([
      ['finished', 1],
      ['failed', 0],
    ]);
    expect([scatterer.queuedCount, scatterer.heldCount]).toEqual([0, 0]);
  });

  it('begins nothing again because of a copy that fails when the other has finished', async () => {
    const { scatterer, worker, reports } = await setUp();
    const [first, second] = [worker('first'), worker('second')];
    // Two events, in their last permitted attempt: on a failure the range would go on without the one that failed.
    scatterer.add([{ ...token(0), lastEvent: 2, failures: 2 }], []);
    await first.tokens();
    first.board.claim();
    first.board.begin(0, 1);
    const pending = second.tokens();
    while (scatterer.waitingCount === 0) await new Promise((resolve) => setImmediate(resolve));
    for (const { held } of scatterer.executing()) scatterer.speculate(held);
    await pending;
    second.board.claim();
    second.board.begin(0, 2);
    first.board.end();
    const nothing = first.ask([finished(0)]);
    while (scatterer.waitingCount === 0) await new Promise((resolve) => setImmediate(resolve));
    scatterer.lose('second', () => ({ cause: 'cancelled', message: 'not needed', logTail: [] }));
    expect([scatterer.queuedCount, scatterer.heldCount]).toEqual([0, 0]);
    expect(reports.map(({ kind, copy }) => [kind, copy])).toEqual([
      ['finished', false],
      ['failed', true],
    ]);
    scatterer.end();
    expect((await nothing).kind).toBe('end');
  });

  it('ends workers by a message when there is nothing more, and only those that have nothing', async () => {
    const { scatterer, worker } = await setUp();
    const one = worker('one');
    const waiting = one.tokens();
    scatterer.add(many(2), []);
    const first = await waiting;
    one.board.claim();
    scatterer.end();
    const two = worker('two');
    const second = await two.tokens();
    expect(indices(second)).toEqual([1]);
    two.board.claim();
    const emptied = await one.tokens([finished(0)]);
    expect([one.board.claim(), indices(emptied)]).toEqual([-1, [1]]);
    expect((await one.ask()).kind).toBe('end');
    expect((await two.ask([finished(1)])).kind).toBe('end');
    expect(indices(first)).toEqual([0]);
  });

  it('carries the bytes that ride with tokens to the worker that gets them', async () => {
    const { scatterer, worker } = await setUp();
    const one = worker('one');
    scatterer.add([{ ...token(0), frame: 1 }], [new Uint8Array([1]), new Uint8Array([2, 2])]);
    expect(scatterer.queuedBytes).toBe(2);
    expect((await one.tokens()).tokens[0]?.frame).toBe(0);
    expect(scatterer.queuedBytes).toBe(0);
  });
});
