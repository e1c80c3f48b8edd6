/**
 * The pilot: keeps the flow fed. Runs on the main thread. Leases ranges from the dispatcher ahead of the workers, sends
 * them to the token extractor, sends heartbeats, and gives back what a drain leaves over.
 *
 * States: *feeding* → *draining* (takes nothing new; begun executions end) → *over*. It is over when nothing it leased is
 * unanswered and there is nothing more to lease.
 */
import type { DispatcherApi, Job, LeasedRange } from '../core/dispatcher-api.ts';
import {
  HEARTBEAT_MS,
  LEASE_AHEAD_FETCHED_MS,
  LEASE_AHEAD_MAX,
  LEASE_AHEAD_MS,
  LEASE_AHEAD_UNMEASURED,
  QUEUED_FRAMES_BYTES_MAX,
} from '../core/limits.ts';
import type { TokenScatterer } from './scattering/token-scatterer.ts';
import type { Stager } from './stager.ts';

/** What the pilot must know of the task beyond the dispatcher's answers. */
export interface WorkSource {
  /** Makes a file known to the extractor before the first range of it is sent. */
  announceFile(fileIndex: number): Promise<void>;
  /** True when no range of the task can become ready any more: nothing is open and all files are known. */
  isExhausted(): boolean;
  /** Merges what is left to merge. What is damaged is found out by that, and becomes ready again. */
  mergeRest(): Promise<void>;
}

export interface PilotOptions {
  readonly consumerID: string;
  readonly job: Job;
  readonly workerCount: number;
  /** ranges this start may lease; Infinity for no limit */
  readonly rangeLimit: number;
}

/** Where leased ranges go: the token extractor. */
export interface RangeSink {
  extract(ranges: readonly LeasedRange[]): Promise<void>;
  /** Ranges sent whose tokens have not come back. */
  readonly pendingCount: number;
  /** whether it has to fetch bytes: then more is leased ahead, to hide the way to a server */
  readonly fetches: boolean;
  /** Refuses, soon, every range whose tokens have not come back. */
  giveBack(): Promise<void>;
}

export interface PilotParts {
  readonly dispatcher: DispatcherApi;
  readonly scatterer: TokenScatterer;
  readonly extractor: RangeSink;
  readonly stager: Stager;
  readonly source: WorkSource;
}

export interface PilotListeners {
  onLeased(ranges: readonly LeasedRange[]): void;
  onReturned(rangeCount: number): void;
  /** Nothing is left to hand out for now, or again something is. */
  onTail(atTail: boolean): void;
  /** The dispatcher wants this consumer to stop. */
  onStopped(): void;
  onFatal(error: unknown): void;
}

export class Pilot {
  readonly #parts: PilotParts;
  readonly #options: PilotOptions;
  readonly #listeners: PilotListeners;
  readonly #announced = new Set<number>();
  #rangesLeft: number;
  #state: 'feeding' | 'draining' | 'over' = 'feeding';
  #feeding = false;
  #feedAgain = false;
  #heartbeat: NodeJS.Timeout | undefined;
  readonly #over: Promise<void>;
  #setOver: () => void = () => undefined;

  constructor(parts: PilotParts, options: PilotOptions, listeners: PilotListeners) {
    this.#parts = parts;
    this.#options = options;
    this.#listeners = listeners;
    this.#rangesLeft = options.rangeLimit;
    this.#over = new Promise((resolve) => {
      this.#setOver = resolve;
    });
  }

  start(): void {
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    this.poke();
  }

  /** Resolves when every leased range is answered and nothing more is to be leased. */
  over(): Promise<void> {
    return this.#over;
  }

  /** Something changed: workers are hungry, ranges became ready, reports were answered. Cheap, may be called often. */
  poke(): void {
    if (this.#feeding) {
      this.#feedAgain = true;
      return;
    }
    this.#feeding = true;
    this.#feed()
      .catch((error: unknown) => this.#listeners.onFatal(error))
      .finally(() => {
        this.#feeding = false;
        if (this.#feedAgain) {
          this.#feedAgain = false;
          this.poke();
        }
      });
  }

  /** Takes nothing new; gives back what no worker has begun. Executions under way go on. */
  async drain(): Promise<void> {
    if (this.#state !== 'feeding') return;
    this.#state = 'draining';
    await this.#parts.extractor.giveBack();
    await this.returnUnbegun();
    this.poke();
  }

  /** Gives tokens back to the dispatcher that no worker has begun. */
  async returnUnbegun(): Promise<void> {
    const ranges = this.#parts.scatterer.takeBackAll();
    if (ranges.length === 0) return;
    await this.#parts.dispatcher.release({
      consumerID: this.#options.consumerID,
      jobID: this.#options.job.jobID,
      ranges: ranges.map(({ rangeIndex, attemptNr }) => ({ rangeIndex, attemptNr })),
    });
    this.#listeners.onReturned(ranges.length);
  }

  /** Ranges that will be handed out once more do not count against the limit again. */
  noteRetries(rangeCount: number): void {
    this.#rangesLeft += rangeCount;
  }

  get isDraining(): boolean {
    return this.#state === 'draining';
  }

  /** Leaves the dispatcher. */
  async close(): Promise<void> {
    clearInterval(this.#heartbeat);
    await this.#parts.dispatcher.leave({ consumerID: this.#options.consumerID });
  }

  async #feed(): Promise<void> {
    let atTail = false;
    while (this.#state === 'feeding') {
      const room = this.#room();
      if (room <= 0) break;
      const ranges = await this.#parts.dispatcher.getEventRanges({
        consumerID: this.#options.consumerID,
        jobID: this.#options.job.jobID,
        rangeCount: room,
      });
      if (ranges.length === 0) {
        atTail = true;
        break;
      }
      this.#rangesLeft -= ranges.length;
      await this.#send(ranges);
    }
    if (this.#rangesLeft <= 0) atTail = true;
    this.#parts.scatterer.setAtTail(atTail);
    this.#listeners.onTail(atTail && this.#parts.scatterer.queuedCount === 0);
    if (this.#state === 'draining' && this.#parts.scatterer.queuedCount > 0) await this.returnUnbegun();
    if (this.#isOver()) await this.#endUnlessDamaged();
  }

  /** The last outputs are merged while there are workers yet, to make again what turns out to be damaged. */
  async #endUnlessDamaged(): Promise<void> {
    if (this.#state === 'feeding') await this.#parts.source.mergeRest();
    if (this.#isOver()) this.#end();
    else this.#feedAgain = true;
  }

  async #send(ranges: readonly LeasedRange[]): Promise<void> {
    for (const range of ranges) {
      if (this.#announced.has(range.fileIndex)) continue;
      this.#announced.add(range.fileIndex);
      await this.#parts.source.announceFile(range.fileIndex);
    }
    this.#listeners.onLeased(ranges);
    await this.#parts.extractor.extract(ranges);
  }

  /** How many more ranges to lease: enough work ahead to keep every worker busy, bounded in number and bytes. */
  #room(): number {
    const { scatterer, extractor } = this.#parts;
    const ahead = scatterer.queuedCount + extractor.pendingCount;
    if (scatterer.queuedBytes > QUEUED_FRAMES_BYTES_MAX) return 0;
    const meanMs = scatterer.meanExecutionMs;
    const aheadMs = extractor.fetches ? LEASE_AHEAD_FETCHED_MS : LEASE_AHEAD_MS;
    const unmeasured = extractor.fetches ? LEASE_AHEAD_UNMEASURED : 0;
    const byTime = meanMs > 0 ? (this.#options.workerCount * aheadMs) / meanMs : unmeasured;
    const target = Math.min(LEASE_AHEAD_MAX, Math.max(2 * this.#options.workerCount, byTime));
    // Half a target at once: fewer, larger requests.
    if (ahead > target / 2) return 0;
    return Math.min(Math.ceil(target - ahead), this.#rangesLeft);
  }

  #isOver(): boolean {
    const { scatterer, extractor, stager, source } = this.#parts;
    if (this.#state === 'over') return false;
    const open = scatterer.queuedCount + scatterer.heldCount + extractor.pendingCount + stager.pendingCount;
    if (open > 0) return false;
    return this.#state === 'draining' || this.#rangesLeft <= 0 || source.isExhausted();
  }

  #end(): void {
    this.#state = 'over';
    this.#setOver();
  }

  #beat(): void {
    this.#parts.dispatcher.heartbeat({ consumerID: this.#options.consumerID }).then(
      ({ command }) => {
        if (command === 'stop') this.#listeners.onStopped();
      },
      (error: unknown) => this.#listeners.onFatal(error),
    );
  }
}
