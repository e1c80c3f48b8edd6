/**
 * The event table against its model: random lives of a task, on a real LMDB store that is opened again in the middle.
 * GRANULE_MODEL_RUNS sets the number of lives.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { silentLogger } from '../../../core/log.ts';
import { Dispatcher } from '../../../dispatcher/dispatcher.ts';
import { LmdbTableStore } from '../../../dispatcher/lmdb-table-store.ts';
import type { StoreKey, StoreWrite, TableStore } from '../../../dispatcher/table-store.ts';
import { PROPERTY_SEED } from '../../property-seed.ts';
import { LEASE_MS, ManualClock, makeFile, makeFolder, removeFolder, TASK } from '../fixture.ts';
import { check, commands, type Ending, type Real } from './commands.ts';
import { costOf, EventTableModel, type ModelOptions } from './event-table-model.ts';

const RUNS = Number(process.env['GRANULE_MODEL_RUNS'] ?? 10_000);

/** A store that a dead dispatcher can write no more, and that stays open for the next one. */
class CutStore implements TableStore {
  readonly #store: TableStore;
  isCut = false;
  constructor(store: TableStore) {
    this.#store = store;
  }
  get: TableStore['get'] = (key) => this.#store.get(key);
  entries: TableStore['entries'] = (prefix, from) => this.#store.entries(prefix, from);
  keys: TableStore['keys'] = (prefix) => this.#store.keys(prefix);
  compareAndSet: TableStore['compareAndSet'] = (...change) =>
    this.isCut ? false : this.#store.compareAndSet(...change);
  liveBytes(): number {
    return this.#store.liveBytes();
  }
  async commit(writes: readonly StoreWrite[], fence?: StoreKey): Promise<void> {
    if (this.isCut) throw new Error('written by a dead dispatcher');
    await this.#store.commit(writes, fence);
  }
  async close(): Promise<void> {
    this.isCut = true;
  }
}

let path: string;
let store: LmdbTableStore;

beforeAll(() => {
  path = makeFolder();
  store = new LmdbTableStore(path);
});

afterAll(async () => {
  await store.close();
  removeFolder(path);
});

async function emptyStore(): Promise<void> {
  await store.commit([...store.entries([])].map(({ key }) => ({ key, value: undefined })));
}

async function startDispatcher(clock: ManualClock): Promise<{ dispatcher: Dispatcher; cut: CutStore }> {
  const cut = new CutStore(store);
  const dispatcher = await Dispatcher.start(
    { clock, logger: silentLogger, leaseMs: LEASE_MS, force: true, onFatal: () => undefined },
    { store: cut, path, defer: queueMicrotask, timers: false },
  );
  return { dispatcher, cut };
}

async function begin(options: ModelOptions): Promise<{ model: EventTableModel; real: Real }> {
  await emptyStore();
  const clock = new ManualClock();
  let { dispatcher, cut } = await startDispatcher(clock);
  const taskID = await dispatcher.submitTask({
    ...TASK,
    eventsPerRange: options.eventsPerRange,
    failuresMax: options.failuresMax,
    lossesMax: options.lossesMax,
    unmergedFilesMax: options.unmergedFilesMax,
    order: options.longestFirst ? 'longest-first' : 'file',
    ...(options.rangesPerOutput === undefined
      ? {}
      : { eventsPerOutput: options.rangesPerOutput * options.eventsPerRange }),
  });
  const model = new EventTableModel(options);
  const setHints = (of: Dispatcher): void =>
    of.setCostHints(taskID, ({ fileIndex, startEvent }) => {
      const before = real.fileCounts.slice(0, fileIndex).map((events) => Math.ceil(events / options.eventsPerRange));
      const inFile = Math.floor((startEvent - 1) / options.eventsPerRange);
      return costOf(before.reduce((sum, ranges) => sum + ranges, 0) + inFile);
    });
  const real: Real = {
    dispatcher,
    taskID,
    clock,
    jobs: new Map(),
    leases: [],
    fileCounts: [],
    restart: async (ending: Ending) => {
      if (ending === 'die') cut.isCut = true;
      else await dispatcher.close();
      if (ending === 'close-files') {
        await store.close();
        store = new LmdbTableStore(path);
      }
      ({ dispatcher, cut } = await startDispatcher(clock));
      real.dispatcher = dispatcher;
      setHints(dispatcher);
    },
  };
  setHints(dispatcher);
  for (const eventCount of [5, 3]) {
    await dispatcher.addFiles(taskID, [makeFile(real.fileCounts.length, eventCount)]);
    real.fileCounts.push(eventCount);
    model.addFile(eventCount);
  }
  return { model, real };
}

const options: fc.Arbitrary<ModelOptions> = fc.record({
  eventsPerRange: fc.constantFrom(1, 1, 2),
  rangesPerOutput: fc.constantFrom(undefined, undefined, 3, 4),
  failuresMax: fc.integer({ min: 1, max: 3 }),
  lossesMax: fc.integer({ min: 1, max: 3 }),
  unmergedFilesMax: fc.constantFrom(1, 3, 6, 1000),
  longestFirst: fc.boolean(),
});

describe('the event table', () => {
  it(`does what its model does, over ${RUNS} random lives`, { timeout: 60_000 + RUNS * 60 }, async () => {
    process.stdout.write(`event table against its model: seed ${PROPERTY_SEED}\n`);
    await fc.assert(
      fc.asyncProperty(options, fc.commands(commands, { maxCommands: 60, size: 'max' }), async (chosen, series) => {
        const { model, real } = await begin(chosen);
        check(model, real);
        await fc.asyncModelRun(() => ({ model, real }), series);
        await real.dispatcher.close();
      }),
      { numRuns: RUNS, endOnFailure: false },
    );
  });
});
