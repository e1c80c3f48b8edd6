/**
 * The stager: reports what workers closed to the dispatcher. Runs on the main thread. Outputs lie at the aggregation
 * point already (the worker that wrote a file put it in place), so a report is all that is missing; a range is finished
 * when the dispatcher has accepted the report, durably.
 *
 * One request is under way at a time; what arrives meanwhile goes with the next, so that batches grow with the load. Where
 * few reports come, they gather for {@link REPORTS_GATHER_MS} after the last request: each costs about the same, whatever is in it.
 * States: *idle* → *gathering* → *sending* → *idle*, or *gathering* again.
 */
import type { DispatcherApi, UpdateOutcome } from '../core/dispatcher-api.ts';
import { REPORTS_GATHER_MS, REPORTS_GATHERED_MAX, UPDATES_PER_REQUEST_MAX } from '../core/limits.ts';
import type { RangeReport } from '../core/messages.ts';
import { removeOutputs } from './worker/stage-out.ts';

export interface StagerOptions {
  readonly consumerID: string;
  readonly jobID: number;
  readonly aggregationFolder: string;
}

export interface StagerListeners {
  /** True when nothing else is under way, so that whoever waits waits for these reports. */
  isLast(): boolean;
  /** The dispatcher has answered for these reports, in order. */
  onAnswered(reports: readonly RangeReport[], outcomes: readonly UpdateOutcome[]): void;
  /** The dispatcher cannot record: the run stops. */
  onFatal(error: unknown): void;
}

export class Stager {
  readonly #dispatcher: Pick<DispatcherApi, 'updateEventRanges'>;
  readonly #options: StagerOptions;
  readonly #listeners: StagerListeners;
  #queue: RangeReport[] = [];
  #sendingCount = 0;
  /** when the last request was sent; `performance.now()` */
  #sentAtMs = Number.NEGATIVE_INFINITY;
  #gathering: NodeJS.Timeout | undefined;
  #idle: Promise<void> = Promise.resolve();

  constructor(
    dispatcher: Pick<DispatcherApi, 'updateEventRanges'>,
    options: StagerOptions,
    listeners: StagerListeners,
  ) {
    this.#dispatcher = dispatcher;
    this.#options = options;
    this.#listeners = listeners;
  }

  add(reports: readonly RangeReport[]): void {
    for (const report of reports) this.#queue.push(report);
    if (this.#sendingCount > 0) return;
    const waitMs = this.#isUrgent(reports) ? 0 : this.#sentAtMs + REPORTS_GATHER_MS - performance.now();
    if (waitMs <= 0) this.#sendGathered();
    else this.#gathering ??= setTimeout(() => this.#sendGathered(), waitMs);
  }

  /** Somebody waits for them: for the end, for another attempt, or for the word that the payload is broken. */
  #isUrgent(reports: readonly RangeReport[]): boolean {
    if (this.#queue.length >= REPORTS_GATHERED_MAX || this.#listeners.isLast()) return true;
    return reports.some(({ kind }) => kind === 'failed');
  }

  /** Reports that are not answered yet. */
  get pendingCount(): number {
    return this.#queue.length + this.#sendingCount;
  }

  /** Resolves when everything added so far is answered. */
  async drained(): Promise<void> {
    if (this.#gathering !== undefined) this.#sendGathered();
    await this.#idle;
  }

  #sendGathered(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    this.#idle = this.#send().catch((error: unknown) => this.#listeners.onFatal(error));
  }

  async #send(): Promise<void> {
    while (this.#queue.length > 0) {
      const reports = this.#queue.splice(0, UPDATES_PER_REQUEST_MAX);
      this.#sentAtMs = performance.now();
      this.#sendingCount = reports.length;
      try {
        const outcomes = await this.#dispatcher.updateEventRanges({
          consumerID: this.#options.consumerID,
          jobID: this.#options.jobID,
          updates: reports,
        });
        this.#removeRefused(reports, outcomes);
        this.#sendingCount = 0;
        this.#listeners.onAnswered(reports, outcomes);
      } finally {
        this.#sendingCount = 0;
      }
    }
  }

  /** A late or doubled result is not wanted: its files go. */
  #removeRefused(reports: readonly RangeReport[], outcomes: readonly UpdateOutcome[]): void {
    if (outcomes.every((outcome) => outcome === 'accepted')) return;
    const files = reports.flatMap((report, index) =>
      outcomes[index] !== 'accepted' && report.kind === 'finished' ? report.outputs : [],
    );
    if (files.length > 0) removeOutputs(this.#options.aggregationFolder, files);
  }
}
