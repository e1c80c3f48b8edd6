/** Events of a task by what a user asks: how many there are, are done, and failed for good. */
import type { RangeState } from '../../core/states.ts';

/** States of ranges whose outputs are recorded. */
export const COMMITTED: readonly RangeState[] = ['finished', 'done', 'merged'];
/** States of ranges that outputs go on without. */
export const MISSING: readonly RangeState[] = ['fatal', 'cancelled', 'discarded'];

export interface EventCounts {
  readonly total: number;
  /** what is merged is finished */
  readonly finished: number;
  readonly failed: number;
}

/** @param events in events, not ranges, by state */
export function countEvents(events: Readonly<Record<RangeState, number>>): EventCounts {
  const sum = (states: readonly RangeState[]): number => states.reduce((count, state) => count + events[state], 0);
  return { total: sum(Object.keys(events) as RangeState[]), finished: sum(COMMITTED), failed: sum(MISSING) };
}
