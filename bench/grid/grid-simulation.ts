/**
 * A grid in virtual time, on one thread, repeatable by its seed: many consumers with random event lengths, silent deaths,
 * late returns, lost answers, jumps of the clock and deaths of the dispatcher, all on the real dispatcher. What the
 * dispatcher promises is checked at every step.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { assert } from '../../core/assert.ts';
import type { TaskFile } from '../../core/dispatcher-api.ts';
import { parseGuid } from '../../core/ids.ts';
import { LEASE_CHECKS } from '../../core/limits.ts';
import { createRandom, type Random } from '../../core/random.ts';
import { GridClock } from './grid-clock.ts';
import { GridDispatcher } from './grid-dispatcher.ts';
import { GridPopulation } from './grid-population.ts';
import type { GridOutcome, GridSettings } from './grid-settings.ts';
import { Ledger } from './ledger.ts';

const HOUR_MS = 3_600_000;
const EVENTS_PER_FILE = 10_000;
const MERGE_EVERY_MS = 10_000;
const MERGE_RANGES_MAX = 4000;
/** Real time between two words to the user. */
const REPORT_EVERY_MS = 2000;
const WALL_JUMP_MS_MAX = 12 * HOUR_MS;

export class GridSimulation {
  readonly #settings: GridSettings;
  readonly #random: Random;
  readonly #clock = new GridClock();
  readonly #dispatcher: GridDispatcher;
  readonly #ledger: Ledger;
  readonly #population: GridPopulation;
  readonly #deathsAtMs: number[];
  #taskID = 0;
  #nowMs = 0;
  #callCount = 0;
  #isDone = false;

  constructor(settings: GridSettings) {
    this.#settings = settings;
    this.#random = createRandom(settings.seed);
    this.#dispatcher = new GridDispatcher(this.#clock, settings.leaseMs);
    this.#ledger = new Ledger(settings.events, settings.leaseMs);
    const grid = { random: this.#random, clock: this.#clock, ledger: this.#ledger };
    this.#population = new GridPopulation(settings, grid);
    const idealMs = (settings.events * settings.meanEventMs) / settings.consumers;
    this.#deathsAtMs = Array.from({ length: settings.dispatcherDeaths }, () => this.#random.uniform() * idealMs).sort(
      (one, other) => one - other,
    );
  }

  /** @param progress told now and then how far it is */
  async run(signal: AbortSignal, progress: (text: string) => void): Promise<GridOutcome> {
    await this.#dispatcher.start();
    await this.#submit();
    this.#population.begin(this.#taskID);
    const { leaseMs, flushMs } = this.#settings;
    let tickMs = 0;
    let mergeMs = 0;
    let reportedMs = performance.now();
    while (!this.#isDone) {
      this.#nowMs = Math.max(this.#nowMs + flushMs, Math.min(this.#population.nextWakeMs, tickMs, mergeMs));
      this.#clock.moveTo(this.#nowMs);
      await this.#moment();
      if (this.#nowMs >= tickMs) {
        tickMs = this.#nowMs + leaseMs / LEASE_CHECKS;
        if (this.#random.uniform() < 0.01) this.#clock.jumpWall((this.#random.uniform() - 0.5) * WALL_JUMP_MS_MAX);
        await this.#dispatcher.tick();
      }
      if (this.#nowMs >= mergeMs) {
        mergeMs = this.#nowMs + MERGE_EVERY_MS;
        await this.#merge();
        reportedMs = await this.#breathe(reportedMs, signal, progress);
      }
    }
    return this.#finish();
  }

  /** Everything else runs without a turn of the event loop: here an interrupt is noticed. */
  async #breathe(reportedMs: number, signal: AbortSignal, progress: (text: string) => void): Promise<number> {
    await nextTurn();
    signal.throwIfAborted();
    const now = performance.now();
    if (now - reportedMs < REPORT_EVERY_MS) return reportedMs;
    progress(this.#describe());
    return now;
  }

  async #submit(): Promise<void> {
    const { events } = this.#settings;
    const dispatcher = this.#dispatcher.api;
    this.#taskID = await dispatcher.submitTask({
      name: 'grid',
      record: null,
      payload: 'grid',
      eventsPerRange: 1,
      unmergedFilesMax: Number.MAX_SAFE_INTEGER,
    });
    const files: TaskFile[] = [];
    for (let fileIndex = 0; fileIndex * EVENTS_PER_FILE < events; fileIndex += 1) {
      const guid = parseGuid(`00000000-0000-8000-8000-${String(fileIndex).padStart(12, '0')}`);
      const eventCount = Math.min(EVENTS_PER_FILE, events - fileIndex * EVENTS_PER_FILE);
      files.push({ fileIndex, guid, lfn: `grid-${fileIndex}`, format: 'hepmc3', eventCount });
    }
    await dispatcher.addFiles(this.#taskID, files);
    await dispatcher.sealTask(this.#taskID);
  }

  /** Everything that is due, as one group of the dispatcher's; then the answers. */
  async #moment(): Promise<void> {
    const calls = this.#population.wake();
    const dies = (this.#deathsAtMs[0] ?? Number.POSITIVE_INFINITY) <= this.#nowMs;
    if (dies) this.#deathsAtMs.shift();
    if (calls.length > 0 || dies) {
      this.#callCount += calls.length;
      const answers = await this.#dispatcher.dispatch(calls, dies);
      for (const [index, { take }] of calls.entries()) take(answers[index]);
    }
    this.#population.sleep();
  }

  async #merge(): Promise<void> {
    const { api } = this.#dispatcher;
    const request = { taskID: this.#taskID, rangeCountMin: 1, rangeCountMax: MERGE_RANGES_MAX, busyOutputs: [] };
    for (let job = api.nextMergeJob(request); job !== undefined; job = api.nextMergeJob(request)) {
      const { outputIndex, last, items, firstRange, rangeCount } = job;
      const throughRange = last ? firstRange + rangeCount - 1 : (items.at(-1)?.rangeIndex ?? -1);
      for (const item of items) {
        const finished = item.kind === 'finished';
        assert(
          finished === this.#ledger.isCommitted(item.rangeIndex),
          `range ${item.rangeIndex} is merged if committed`,
        );
      }
      const merged = { taskID: this.#taskID, outputIndex, throughRange, progress: [], gaps: [] };
      const commit = last ? { ...merged, completed: [] } : merged;
      await this.#dispatcher.dispatch([{ send: (dispatcher) => dispatcher.commitMerge(commit) }], false);
    }
    const { merged, fatal } = api.getTask(this.#taskID).ranges;
    this.#isDone = merged + fatal === this.#settings.events;
  }

  #finish(): GridOutcome {
    const { ranges, totals, rangeCount } = this.#dispatcher.api.getTask(this.#taskID);
    const committed = this.#ledger.countCommitted();
    assert(rangeCount === this.#settings.events, 'all events are there');
    assert(ranges.merged === committed, 'what was committed is merged, and nothing else');
    assert(committed + ranges.fatal === rangeCount, 'every event came to its end');
    this.#dispatcher.close();
    return {
      elapsedMs: this.#nowMs,
      executed: this.#population.executed,
      committed,
      fatal: ranges.fatal,
      wastedMs: this.#population.wastedMs,
      executedMs: this.#population.executedMs,
      stale: totals.stale,
      duplicate: totals.duplicate,
      consumerDeaths: this.#population.deaths,
      lost: totals.lost,
      dispatcherDeaths: this.#settings.dispatcherDeaths - this.#deathsAtMs.length,
      calls: this.#callCount,
      dispatcherCpuMs: this.#dispatcher.cpuMs,
      longestTickMs: this.#dispatcher.longestTickMs,
      digest: this.#ledger.digest,
    };
  }

  #describe(): string {
    const { merged } = this.#dispatcher.api.getTask(this.#taskID).ranges;
    const hours = (this.#nowMs / HOUR_MS).toFixed(2);
    return `${hours} h: ${this.#population.executed} executed, ${merged} of ${this.#settings.events} merged`;
  }
}
