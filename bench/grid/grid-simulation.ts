/**
 * A grid in virtual time, on one thread, repeatable by its seed: many consumers with random event lengths, silent deaths,
 * late returns, lost answers, jumps of the clock and deaths of the dispatcher, all on the real dispatcher. What the
 * dispatcher promises is checked at every step.
 */
import { assert } from '../../core/assert.ts';
import type { LeasedRange, TaskFile, UpdateOutcome } from '../../core/dispatcher-api.ts';
import { parseGuid } from '../../core/ids.ts';
import { LEASE_CHECKS } from '../../core/limits.ts';
import { createRandom, type Random } from '../../core/random.ts';
import type { Dispatcher } from '../../dispatcher/dispatcher.ts';
import { GridClock } from './grid-clock.ts';
import {
  type GridConsumer,
  isSilent,
  nameOf,
  newConsumer,
  nextWakeMs,
  type Report,
  wantsToAsk,
} from './grid-consumer.ts';
import { GridDispatcher } from './grid-dispatcher.ts';
import type { GridOutcome, GridSettings } from './grid-settings.ts';
import { Ledger } from './ledger.ts';
import { WakeQueue } from './wake-queue.ts';

const HOUR_MS = 3_600_000;
const EVENTS_PER_FILE = 10_000;
/** Between a death and the life after it, and before a consumer that found nothing asks again. */
const PAUSE_MS = 60_000;
const MERGE_EVERY_MS = 10_000;
const MERGE_RANGES_MAX = 4000;
const HEARTBEATS_PER_LEASE = 3;
/** Moments between two words to the user. */
const MOMENTS_PER_REPORT = 20_000;
const WALL_JUMP_MS_MAX = 12 * HOUR_MS;

/** A consumer's request: what it sends, and what it does with the answer (undefined: none came). */
interface Call {
  send(dispatcher: Dispatcher): Promise<unknown>;
  take(answer: unknown): void;
}

function call<Answer>(
  send: (dispatcher: Dispatcher) => Promise<Answer>,
  take: (answer: Answer | undefined) => void,
): Call {
  return { send, take: (answer) => take(answer as Answer | undefined) };
}

export class GridSimulation {
  readonly #settings: GridSettings;
  readonly #random: Random;
  readonly #clock = new GridClock();
  readonly #dispatcher: GridDispatcher;
  readonly #consumers: GridConsumer[];
  readonly #queue: WakeQueue;
  readonly #ledger: Ledger;
  readonly #deathsAtMs: number[];
  #taskID = 0;
  #nowMs = 0;
  #callCount = 0;
  #executed = 0;
  #executedMs = 0;
  #wastedMs = 0;
  #consumerDeaths = 0;
  #isDone = false;

  constructor(settings: GridSettings) {
    this.#settings = settings;
    this.#random = createRandom(settings.seed);
    this.#dispatcher = new GridDispatcher(this.#clock, settings.leaseMs);
    this.#consumers = Array.from({ length: settings.consumers }, (_, place) => newConsumer(place));
    this.#queue = new WakeQueue(settings.consumers);
    this.#ledger = new Ledger(settings.events, settings.leaseMs);
    const idealMs = (settings.events * settings.meanEventMs) / settings.consumers;
    this.#deathsAtMs = Array.from({ length: settings.dispatcherDeaths }, () => this.#random.uniform() * idealMs).sort(
      (one, other) => one - other,
    );
  }

  /** @param progress told now and then how far it is */
  async run(signal: AbortSignal, progress: (text: string) => void): Promise<GridOutcome> {
    await this.#dispatcher.start();
    await this.#submit();
    for (const consumer of this.#consumers) {
      // They do not all begin at once.
      consumer.asksMs = this.#random.uniform() * PAUSE_MS;
      this.#beginLife(consumer, 0);
      this.#queue.push(consumer.place, consumer.asksMs);
    }
    const { leaseMs, flushMs } = this.#settings;
    let tickMs = 0;
    let mergeMs = 0;
    for (let moment = 0; !this.#isDone; moment += 1) {
      if (moment % MOMENTS_PER_REPORT === 0) {
        signal.throwIfAborted();
        progress(this.#describe());
      }
      this.#nowMs = Math.max(this.#nowMs + flushMs, Math.min(this.#queue.nextTime, tickMs, mergeMs));
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
      }
    }
    return this.#finish();
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
    const woken = this.#queue.popUntil(this.#nowMs).map((place) => this.#consumers[place] as GridConsumer);
    const calls = woken.flatMap((consumer) => this.#wake(consumer));
    const dies = (this.#deathsAtMs[0] ?? Number.POSITIVE_INFINITY) <= this.#nowMs;
    if (dies) this.#deathsAtMs.shift();
    if (calls.length > 0 || dies) {
      this.#callCount += calls.length;
      const answers = await this.#dispatcher.dispatch(
        calls.map(({ send }) => send),
        dies,
      );
      for (const [index, { take }] of calls.entries()) take(answers[index]);
    }
    for (const consumer of woken) this.#queue.push(consumer.place, nextWakeMs(consumer, this.#nowMs));
  }

  #wake(consumer: GridConsumer): Call[] {
    const now = this.#nowMs;
    if (consumer.diesMs <= now) {
      this.#die(consumer);
      return [];
    }
    while (consumer.endsMs <= now) this.#endExecution(consumer);
    if (isSilent(consumer, now)) return [];
    if (consumer.silentToMs <= now) this.#planSilence(consumer, now);
    if (consumer.jobID === 0) return consumer.asksMs <= now ? [this.#askJob(consumer)] : [];
    const calls: Call[] = [];
    if (consumer.heartbeatMs <= now) calls.push(this.#beat(consumer));
    if (wantsToAsk(consumer) && consumer.asksMs <= now) {
      if (consumer.unreported.length > 0) calls.push(this.#report(consumer));
      else calls.push(this.#askRanges(consumer));
    }
    return calls;
  }

  // --- what consumers call -------------------------------------------------------------------------------------------

  #askJob(consumer: GridConsumer): Call {
    const identity = { consumerID: nameOf(consumer), host: 'grid', pid: 1 };
    return call(
      (dispatcher) => dispatcher.getJob({ consumer: identity, taskID: this.#taskID }),
      (job) => {
        if (job === undefined) this.#askLater(consumer);
        else {
          consumer.jobID = job.jobID;
          this.#heard(consumer);
        }
      },
    );
  }

  #askRanges(consumer: GridConsumer): Call {
    const { jobID } = consumer;
    const rangeCount = this.#settings.rangesPerRequest;
    return call(
      (dispatcher) => dispatcher.getEventRanges({ consumerID: nameOf(consumer), jobID, rangeCount }),
      (ranges: readonly LeasedRange[] | undefined) => {
        if (ranges === undefined || ranges.length === 0) {
          this.#askLater(consumer);
          // Its lease may have ended, or its dispatcher died before it knew of it: it begins anew.
          if (ranges !== undefined) consumer.jobID = 0;
          return;
        }
        this.#heard(consumer);
        for (const { rangeIndex, attemptNr } of ranges) {
          this.#ledger.noteGiven(rangeIndex, attemptNr, consumer.life, this.#nowMs);
          consumer.waiting.push({ rangeIndex, attemptNr });
        }
        this.#beginExecution(consumer);
      },
    );
  }

  #report(consumer: GridConsumer): Call {
    const { jobID } = consumer;
    const updates = [...consumer.unreported];
    const echoes = this.#random.uniform() < this.#settings.echoFraction;
    return call(
      (dispatcher) => dispatcher.updateEventRanges({ consumerID: nameOf(consumer), jobID, updates }),
      (outcomes: readonly UpdateOutcome[] | undefined) => {
        if (outcomes === undefined) {
          this.#askLater(consumer);
          return;
        }
        this.#heard(consumer);
        for (const [index, update] of updates.entries()) {
          this.#ledger.noteAnswer(update, outcomes[index] as UpdateOutcome, this.#nowMs);
          if (outcomes[index] === 'stale') this.#wastedMs += update.kind === 'finished' ? update.wallMs : 0;
        }
        // An answer that does not arrive is a report that is made again.
        if (echoes) this.#askLater(consumer);
        else consumer.unreported = [];
      },
    );
  }

  #beat(consumer: GridConsumer): Call {
    return call(
      (dispatcher) => dispatcher.heartbeat({ consumerID: nameOf(consumer) }),
      (answer) => {
        consumer.heartbeatMs = this.#nowMs + this.#settings.leaseMs / HEARTBEATS_PER_LEASE;
        if (answer?.command === 'stop') this.#startOver(consumer);
        else if (answer !== undefined) this.#heard(consumer);
      },
    );
  }

  // --- what happens to consumers -------------------------------------------------------------------------------------

  #beginLife(consumer: GridConsumer, now: number): void {
    this.#rename(consumer);
    consumer.diesMs = now + this.#waitFor(this.#settings.deathsPerHour);
    this.#planSilence(consumer, now);
  }

  /** For the dispatcher it is another one from here on. */
  #rename(consumer: GridConsumer): void {
    consumer.lifeNumber += 1;
    consumer.life = { lastHeardMs: Number.NEGATIVE_INFINITY };
    consumer.jobID = 0;
    consumer.heartbeatMs = Number.POSITIVE_INFINITY;
  }

  #planSilence(consumer: GridConsumer, now: number): void {
    consumer.silentFromMs = now + this.#waitFor(this.#settings.silencesPerHour);
    consumer.silentToMs = consumer.silentFromMs + 2 * this.#settings.leaseMs * this.#random.exponential();
  }

  /** Time to the next of something that happens so often. */
  #waitFor(perHour: number): number {
    return perHour === 0 ? Number.POSITIVE_INFINITY : (this.#random.exponential() / perHour) * HOUR_MS;
  }

  #die(consumer: GridConsumer): void {
    this.#consumerDeaths += 1;
    this.#abandon(consumer);
    this.#beginLife(consumer, this.#nowMs);
    consumer.asksMs = this.#nowMs + PAUSE_MS * this.#random.exponential();
  }

  /** Told to stop, since its lease has ended: it drops everything and comes back under another name. */
  #startOver(consumer: GridConsumer): void {
    this.#abandon(consumer);
    this.#rename(consumer);
    this.#askLater(consumer);
  }

  #abandon(consumer: GridConsumer): void {
    if (consumer.executing !== undefined) {
      this.#executedMs += this.#nowMs - consumer.beganMs;
      this.#wastedMs += this.#nowMs - consumer.beganMs;
    }
    for (const report of consumer.unreported) {
      if (report.kind === 'finished' && !this.#ledger.isCommitted(report.rangeIndex)) this.#wastedMs += report.wallMs;
    }
    consumer.executing = undefined;
    consumer.endsMs = Number.POSITIVE_INFINITY;
    consumer.waiting = [];
    consumer.unreported = [];
  }

  #beginExecution(consumer: GridConsumer): void {
    const next = consumer.waiting.shift();
    consumer.executing = next;
    if (next === undefined) return;
    const { meanEventMs, lengthSigma } = this.#settings;
    const lengthMs = meanEventMs * Math.exp(lengthSigma * this.#random.gaussian() - lengthSigma ** 2 / 2);
    consumer.beganMs = this.#nowMs;
    consumer.endsMs = this.#nowMs + Math.max(1, lengthMs);
  }

  #endExecution(consumer: GridConsumer): void {
    const { executing, beganMs, endsMs } = consumer;
    consumer.endsMs = Number.POSITIVE_INFINITY;
    if (executing === undefined) return;
    const wallMs = endsMs - beganMs;
    this.#executed += 1;
    this.#executedMs += wallMs;
    consumer.unreported.push(this.#outcome(executing, wallMs));
    consumer.asksMs = this.#nowMs;
    this.#beginExecution(consumer);
  }

  #outcome(range: { readonly rangeIndex: number; readonly attemptNr: number }, wallMs: number): Report {
    const { rangeIndex, attemptNr } = range;
    if (this.#random.uniform() >= this.#settings.failureFraction) {
      return { kind: 'finished', rangeIndex, attemptNr, outputs: [], wallMs, cpuMs: wallMs };
    }
    const failure = { cause: 'payload-error', message: 'bad luck', logTail: [] } as const;
    return { kind: 'failed', rangeIndex, attemptNr, failure };
  }

  #heard(consumer: GridConsumer): void {
    consumer.life.lastHeardMs = this.#nowMs;
    consumer.heartbeatMs = this.#nowMs + this.#settings.leaseMs / HEARTBEATS_PER_LEASE;
  }

  #askLater(consumer: GridConsumer): void {
    consumer.asksMs = this.#nowMs + PAUSE_MS * (0.5 + this.#random.uniform());
  }

  // --- the merge, and the end ----------------------------------------------------------------------------------------

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
      await this.#dispatcher.dispatch([(dispatcher) => dispatcher.commitMerge(commit)], false);
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
      executed: this.#executed,
      committed,
      fatal: ranges.fatal,
      wastedMs: this.#wastedMs,
      executedMs: this.#executedMs,
      stale: totals.stale,
      duplicate: totals.duplicate,
      consumerDeaths: this.#consumerDeaths,
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
    return `${hours} h: ${this.#executed} executed, ${merged} of ${this.#settings.events} merged`;
  }
}
