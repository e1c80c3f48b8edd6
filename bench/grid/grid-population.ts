/**
 * The consumers of a grid, and what happens to them: they ask, execute and report, die without a word, fall silent and
 * come back late, lose answers. Each call says what it sends and what it does with the answer; the simulation brings the
 * calls to the dispatcher.
 */
import type { LeasedRange, UpdateOutcome } from '../../core/dispatcher-api.ts';
import type { Random } from '../../core/random.ts';
import type { Dispatcher } from '../../dispatcher/dispatcher.ts';
import type { GridClock } from './grid-clock.ts';
import { type GridConsumer, isSilent, newConsumer, nextWakeMs, type Report, wantsToAsk } from './grid-consumer.ts';
import type { GridSettings } from './grid-settings.ts';
import type { Ledger } from './ledger.ts';
import { WakeQueue } from './wake-queue.ts';

const HOUR_MS = 3_600_000;
/** Between a death and the life after it, and before a consumer that found nothing asks again. */
const PAUSE_MS = 60_000;
/** Who finds nothing again and again asks more and more seldom: each pause is twice the last, so many times. */
const PAUSE_DOUBLINGS_MAX = 4;
const HEARTBEATS_PER_LEASE = 3;

/** A consumer's request: what it sends, and what it does with the answer (undefined: none came). */
export interface Call {
  send(dispatcher: Dispatcher): Promise<unknown>;
  take(answer: unknown): void;
}

function call<Answer>(
  send: (dispatcher: Dispatcher) => Promise<Answer>,
  take: (answer: Answer | undefined) => void,
): Call {
  return { send, take: (answer) => take(answer as Answer | undefined) };
}

export class GridPopulation {
  readonly #settings: GridSettings;
  readonly #random: Random;
  readonly #clock: GridClock;
  readonly #ledger: Ledger;
  readonly #consumers: GridConsumer[];
  readonly #queue: WakeQueue;
  #taskID = 0;
  #woken: GridConsumer[] = [];
  executed = 0;
  executedMs = 0;
  wastedMs = 0;
  deaths = 0;

  constructor(
    settings: GridSettings,
    grid: { readonly random: Random; readonly clock: GridClock; readonly ledger: Ledger },
  ) {
    this.#settings = settings;
    this.#random = grid.random;
    this.#clock = grid.clock;
    this.#ledger = grid.ledger;
    this.#consumers = Array.from({ length: settings.consumers }, (_, place) => newConsumer(place));
    this.#queue = new WakeQueue(settings.consumers);
  }

  /** They do not all begin at once. */
  begin(taskID: number): void {
    this.#taskID = taskID;
    for (const consumer of this.#consumers) {
      consumer.asksMs = this.#random.uniform() * PAUSE_MS;
      this.#beginLife(consumer, 0);
      this.#queue.push(consumer.place, consumer.asksMs);
    }
  }

  /** Infinity when nothing will ever happen. */
  get nextWakeMs(): number {
    return this.#queue.nextTime;
  }

  /** What is called by all whose time has come; they wait until {@link sleep}. */
  wake(): readonly Call[] {
    const calls: Call[] = [];
    for (const place of this.#queue.popUntil(this.#nowMs)) {
      const consumer = this.#consumers[place] as GridConsumer;
      this.#woken.push(consumer);
      this.#wake(consumer, calls);
    }
    return calls;
  }

  /** After the answers. */
  sleep(): void {
    for (const consumer of this.#woken) this.#queue.push(consumer.place, nextWakeMs(consumer, this.#nowMs));
    this.#woken = [];
  }

  get #nowMs(): number {
    return this.#clock.monotonicMs();
  }

  #wake(consumer: GridConsumer, calls: Call[]): void {
    const now = this.#nowMs;
    if (consumer.diesMs <= now) {
      this.#die(consumer);
      return;
    }
    while (consumer.endsMs <= now) this.#endExecution(consumer);
    if (isSilent(consumer, now)) return;
    if (consumer.silentToMs <= now) this.#planSilence(consumer, now);
    if (consumer.jobID === 0) {
      if (consumer.asksMs <= now) calls.push(this.#askJob(consumer));
      return;
    }
    if (consumer.heartbeatMs <= now) calls.push(this.#beat(consumer));
    if (wantsToAsk(consumer) && consumer.asksMs <= now) {
      if (consumer.unreported.length > 0) calls.push(this.#report(consumer));
      else calls.push(this.#askRanges(consumer));
    }
  }

  // --- what consumers call -------------------------------------------------------------------------------------------

  #askJob(consumer: GridConsumer): Call {
    const identity = { consumerID: consumer.name, host: 'grid', pid: 1 };
    return call(
      (dispatcher) => dispatcher.getJob({ consumer: identity, taskID: this.#taskID }),
      (job) => {
        if (job === undefined) this.#findNothing(consumer);
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
      (dispatcher) => dispatcher.getEventRanges({ consumerID: consumer.name, jobID, rangeCount }),
      (ranges: readonly LeasedRange[] | undefined) => {
        if (ranges === undefined) {
          this.#askLater(consumer);
          return;
        }
        if (ranges.length === 0) {
          this.#findNothing(consumer);
          // Its lease may have ended, or its dispatcher died before it knew of it: it begins anew.
          consumer.jobID = 0;
          return;
        }
        this.#heard(consumer);
        consumer.emptyAnswers = 0;
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
      (dispatcher) => dispatcher.updateEventRanges({ consumerID: consumer.name, jobID, updates }),
      (outcomes: readonly UpdateOutcome[] | undefined) => {
        if (outcomes === undefined) {
          this.#askLater(consumer);
          return;
        }
        this.#heard(consumer);
        for (const [index, update] of updates.entries()) {
          this.#ledger.noteAnswer(update, outcomes[index] as UpdateOutcome, this.#nowMs);
          if (outcomes[index] === 'stale') this.wastedMs += update.kind === 'finished' ? update.wallMs : 0;
        }
        // An answer that does not arrive is a report that is made again.
        if (echoes) this.#askLater(consumer);
        else consumer.unreported = [];
      },
    );
  }

  #beat(consumer: GridConsumer): Call {
    return call(
      (dispatcher) => dispatcher.heartbeat({ consumerID: consumer.name }),
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
    consumer.name = `${consumer.place}.${consumer.lifeNumber}`;
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
    this.deaths += 1;
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
      this.executedMs += this.#nowMs - consumer.beganMs;
      this.wastedMs += this.#nowMs - consumer.beganMs;
    }
    for (const report of consumer.unreported) {
      if (report.kind === 'finished' && !this.#ledger.isCommitted(report.rangeIndex)) this.wastedMs += report.wallMs;
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
    this.executed += 1;
    this.executedMs += wallMs;
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

  #findNothing(consumer: GridConsumer): void {
    const doublings = Math.min(consumer.emptyAnswers, PAUSE_DOUBLINGS_MAX);
    consumer.emptyAnswers += 1;
    consumer.asksMs = this.#nowMs + 2 ** doublings * PAUSE_MS * (0.5 + this.#random.uniform());
  }
}
