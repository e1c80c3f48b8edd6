/** Counts what one start of a run does: for progress lines, the halt rule and the summary. On the main thread. */
import type { UpdateOutcome } from '../../core/dispatcher-api.ts';
import { EVENTS_FOR_HALT_FRACTION } from '../../core/limits.ts';
import type { RangeReport } from '../../core/messages.ts';
import type { HaltRule } from '../options/option-rules.ts';

export class RunMeter {
  readonly #failuresMax: number;
  #finishedRanges = 0;
  #outputBytes = 0;
  /** events durably finished by this start */
  finishedEvents = 0;
  /** events that failed for good in this start */
  fatalEvents = 0;
  /** executions that ended badly */
  failedExecutions = 0;
  /** executions that ended well or badly */
  executions = 0;
  /** events executed again after an execution that ended badly */
  retriedEvents = 0;
  /** results that were not wanted any more: the loser of two copies, a stale attempt */
  refusedResults = 0;
  /** time in `execute`, summed over workers */
  executeMs = 0;
  /** CPU time in `execute`, summed over workers */
  executeCpuMs = 0;

  constructor(failuresMax: number) {
    this.#failuresMax = failuresMax;
  }

  /** True when this failure is the last one a range is allowed. */
  isFatal(report: Extract<RangeReport, { kind: 'failed' }>): boolean {
    return report.failuresBefore + 1 >= this.#failuresMax;
  }

  note(reports: readonly RangeReport[], outcomes: readonly UpdateOutcome[]): void {
    let index = -1;
    for (const report of reports) {
      index += 1;
      this.executeMs += report.wallMs;
      if (outcomes[index] !== 'accepted') {
        this.refusedResults += 1;
        continue;
      }
      this.executions += 1;
      if (report.kind === 'finished') {
        this.finishedEvents += report.eventCount;
        this.#finishedRanges += 1;
        for (const { lengthBytes } of report.outputs) this.#outputBytes += lengthBytes;
        this.fatalEvents += report.failedEvents?.length ?? 0;
        this.executeCpuMs += report.cpuMs;
      } else {
        this.failedExecutions += 1;
        if (this.isFatal(report)) this.fatalEvents += report.eventCount;
        else this.retriedEvents += report.eventCount;
      }
    }
  }

  /** Bytes that a finished range left to be merged, on average; 0 as long as there is none. */
  get outputBytesPerRange(): number {
    return this.#outputBytes / Math.max(1, this.#finishedRanges);
  }

  /** Why the payload is held to be simply broken; undefined while it is not. */
  haltReason(rule: HaltRule): string | undefined {
    switch (rule.kind) {
      case 'off':
        return undefined;
      case 'first': {
        const allFailed = this.executions >= rule.executionCount && this.failedExecutions === this.executions;
        return allFailed ? `the first ${this.executions} executions all failed` : undefined;
      }
      case 'events':
        return this.fatalEvents >= rule.eventCount ? `${this.fatalEvents} events failed for good` : undefined;
      case 'fraction': {
        const processed = this.finishedEvents + this.fatalEvents;
        if (processed < EVENTS_FOR_HALT_FRACTION || this.fatalEvents / processed < rule.fraction) return undefined;
        return `${this.fatalEvents} of ${processed} events failed for good`;
      }
    }
  }
}
