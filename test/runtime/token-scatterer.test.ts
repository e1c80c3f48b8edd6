import { afterEach, describe, expect, it } from 'vitest';
import { CREDIT_MAX } from '../../core/limits.ts';
import { silentLogger } from '../../core/log.ts';
import type { FromWorker, RangeReport, RangeToken, ToWorker, WorkerTokens } from '../../core/messages.ts';
import { PeerChannel, ServerChannel } from '../../runtime/channel.ts';
import { ExecutionBoard } from '../../runtime/execution-board.ts';
import { type ScattererListeners, TokenScatterer } from '../../runtime/token-scatterer.ts';

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

/** A scripted worker: asks when told to, executes nothing. */
class TestWorker {
  readonly board = ExecutionBoard.forNewSession();
  readonly #channel: PeerChannel<ToWorker, FromWorker>;

  constructor(scatterer: TokenScatterer, address: string, name: string, index: number) {
    scatterer.expect(name, index, this.board, 'all');
    this.#channel = PeerChannel.connectClient(address, name);
    cleanups.push(() => this.#channel.close());
  }

  async ask(reports: readonly RangeReport[] = []): Promise<ToWorker> {
    await this.#channel.send({ kind: 'ask', reports, readyAfterMs: null, threadCpuMs: 0 });
    return this.receive();
  }

  async receive(): Promise<ToWorker> {
    const received = await this.#channel.receive();
    if (received === undefined) throw new Error('the channel closed');
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

describe('the token scatterer', () => {
  it('gives tokens in order to whoever asks, and describes a file once to each worker', async () => {
    const { scatterer, worker } = await setUp();
    const [one, two] = [worker('one'), worker('two')];
    scatterer.add([token(0), token(1), token(2)], []);
    const first = await one.tokens();
    const second = await two.tokens();
    expect([first, second].map((message) => message.tokens[0]?.rangeIndex)).toEqual([0, 1]);
    expect([first, second].map((message) => message.files.length)).toEqual([1, 1]);
    const third = await one.tokens([finished(0)]);
    expect(third.tokens[0]?.rangeIndex).toBe(2);
    expect(third.files).toEqual([]);
  });

  it('lets a worker wait until tokens come', async () => {
    const { scatterer, worker } = await setUp();
    const one = worker('one');
    const pending = one.tokens();
    scatterer.add([token(0)], []);
    expect((await pending).tokens.map((held) => held.rangeIndex)).toEqual([0]);
  });

  it('makes batches of short events, and single tokens of long ones', async () => {
    const { scatterer, worker } = await setUp();
    const one = worker('one');
    scatterer.add(
      Array.from({ length: 2 * CREDIT_MAX }, (_, index) => token(index)),
      [],
    );
    expect((await one.tokens()).tokens.length).toBe(1);
    const batch = await one.tokens([finished(0, 0.001)]);
    expect(batch.tokens.length).toBeGreaterThan(32);
    const reports = batch.tokens.map((held) => finished(held.rangeIndex, 1000));
    expect((await one.tokens(reports)).tokens.length).toBe(1);
  });

  it('takes tokens back from a full worker for an idle one', async () => {
    const { scatterer, worker } = await setUp();
    const [full, idle] = [worker('full'), worker('idle')];
    scatterer.add(
      Array.from({ length: 41 }, (_, index) => token(index)),
      [],
    );
    await full.tokens();
    const batch = await full.tokens([finished(0, 0.001)]);
    full.board.claim();
    let own: WorkerTokens = await idle.tokens();
    while (scatterer.queuedCount > 0) {
      own = await idle.tokens(own.tokens.map((held) => finished(held.rangeIndex, 0.001)));
    }
    const stolen = await idle.tokens(own.tokens.map((held) => finished(held.rangeIndex, 0.001)));
    expect(stolen.tokens.length).toBe(Math.ceil((batch.tokens.length - 1) / 2));
    expect(full.board.unclaimed() + stolen.tokens.length + 1).toBe(batch.tokens.length);
    expect(stolen.tokens.every((held) => batch.tokens.some((other) => other.rangeIndex === held.rangeIndex))).toBe(
      true,
    );
    expect(scatterer.heldCount).toBe(batch.tokens.length);
  });

  it('fails only what a lost worker executed; the rest goes to others with the same attempt', async () => {
    const { scatterer, worker, reports } = await setUp();
    const [doomed, other] = [worker('doomed'), worker('other')];
    scatterer.add([token(0), token(1), token(2), token(3)], []);
    await doomed.tokens();
    doomed.board.claim();
    doomed.board.begin(0, 1);
    const returnedCount = scatterer.lose('doomed', () => ({ cause: 'payload-exit', message: 'gone', logTail: [] }));
    expect(returnedCount).toBe(0);
    expect(reports).toMatchObject([{ kind: 'failed', rangeIndex: 0, failure: { cause: 'payload-exit', position: 1 } }]);
    const next = await other.tokens();
    expect(next.tokens[0]).toMatchObject({ rangeIndex: 1, attemptNr: 1 });
  });

  it('returns everything unbegun for a drain', async () => {
    const { scatterer, worker } = await setUp();
    const one = worker('one');
    scatterer.add(
      Array.from({ length: 20 }, (_, index) => token(index)),
      [],
    );
    await one.tokens();
    const batch = await one.tokens([finished(0, 0.001)]);
    one.board.claim();
    const back = scatterer.takeBackAll();
    expect(back.length).toBe(20 - 1 - 1);
    expect(scatterer.queuedCount).toBe(0);
    expect(scatterer.heldCount).toBe(1);
    expect(batch.tokens[0]?.rangeIndex).toBe(1);
  });

  it('ends workers by a message when there is nothing more', async () => {
    const { scatterer, worker } = await setUp();
    const [one, two] = [worker('one'), worker('two')];
    const waiting = one.ask();
    scatterer.add([token(0)], []);
    expect((await waiting).kind).toBe('tokens');
    one.board.claim();
    scatterer.end();
    expect((await two.ask()).kind).toBe('end');
    expect((await one.ask([finished(0)])).kind).toBe('end');
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
