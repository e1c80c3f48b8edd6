/**
 * The last permitted attempt at a range of several events does not fail as a whole: it goes on without the event that
 * failed, as the same attempt, until the others are finished.
 */
import { eventCountOf } from '../../core/event-range.ts';
import type { RangeReport, RangeToken } from '../../core/messages.ts';

type FailedReport = Extract<RangeReport, { kind: 'failed' }>;

/**
 * What becomes of a range that failed.
 *
 * @param failuresMax executions that may end badly
 * @returns the report to make, or the token to go on with
 */
export function judgeFailure(
  token: RangeToken,
  report: FailedReport,
  failuresMax: number,
): { readonly report: FailedReport } | { readonly goOnWith: RangeToken } {
  const { failure } = report;
  const isLast = token.failures + 1 >= failuresMax;
  if (!isLast || eventCountOf(token) === 1 || failure.position === undefined) return { report };
  const failedEvents = [...(token.failedEvents ?? []), { position: failure.position, failure }].sort(
    (left, right) => left.position - right.position,
  );
  if (failedEvents.length === eventCountOf(token)) return { report: { ...report, failedEvents } };
  return { goOnWith: { ...token, failedEvents } };
}
