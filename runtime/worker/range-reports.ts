/** Reports on ranges that a worker has closed, until it asks for more work and they go along. */
import type { Failure } from '../../core/dispatcher-api.ts';
import { eventCountOf } from '../../core/event-range.ts';
import type { RangeReport, RangeToken } from '../../core/messages.ts';
import type { CompleteRange } from './output-sequencer.ts';

export class RangeReports {
  #reports: RangeReport[] = [];

  get count(): number {
    return this.#reports.length;
  }

  addFinished(ranges: readonly CompleteRange[]): void {
    for (const { token, outputs, wallMs, copy } of ranges) {
      this.#reports.push({
        kind: 'finished',
        rangeIndex: token.rangeIndex,
        attemptNr: token.attemptNr,
        eventCount: eventCountOf(token) - (token.failedEvents?.length ?? 0),
        failedEvents: token.failedEvents,
        outputs,
        wallMs,
        cpuMs: 0,
        copy,
      });
    }
  }

  addFailed(
    token: RangeToken,
    execution: { readonly failure: Failure; readonly wallMs: number; readonly copy: boolean },
  ): void {
    this.#reports.push({
      kind: 'failed',
      rangeIndex: token.rangeIndex,
      attemptNr: token.attemptNr,
      eventCount: eventCountOf(token),
      failedEvents: token.failedEvents,
      failuresBefore: token.failures,
      ...execution,
    });
  }

  /**
   * Gives each finished range of a batch its share of the batch's CPU time, by wall time.
   *
   * @param first how many reports there were before the batch
   */
  shareCpu(first: number, cpuMs: number, wallMs: number): void {
    if (wallMs <= 0) return;
    const share = Math.min(1, cpuMs / wallMs);
    for (let index = first; index < this.#reports.length; index += 1) {
      const report = this.#reports[index];
      if (report?.kind === 'finished') report.cpuMs = report.wallMs * share;
    }
  }

  /** All since this was last asked. */
  take(): readonly RangeReport[] {
    const reports = this.#reports;
    this.#reports = [];
    return reports;
  }
}
