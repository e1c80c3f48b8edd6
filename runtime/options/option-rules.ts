/** Options that are rules, as texts spell them: undefined for a text that is none. Free of zod. */
import { TIMEOUT_CHECK_MS } from '../../core/limits.ts';
import type { SequenceRule } from '../../core/messages.ts';
import { tryByteSize, tryDurationMs } from '../../core/quantities.ts';

/** The longest execution of one event. */
export type TimeoutRule =
  | { readonly kind: 'off' }
  | { readonly kind: 'fixed'; readonly timeoutMs: number }
  /** times the median length, known after the first `EVENTS_FOR_MEDIAN` events */
  | { readonly kind: 'median-multiple'; readonly factor: number };

/** When a payload is held to be simply broken. */
export type HaltRule =
  | { readonly kind: 'off' }
  /** the first `executionCount` executions all fail */
  | { readonly kind: 'first'; readonly executionCount: number }
  /** so many events failed for good */
  | { readonly kind: 'events'; readonly eventCount: number }
  /** this part (0..1) of the events processed failed for good; looked at once 20 were processed */
  | { readonly kind: 'fraction'; readonly fraction: number };

/** The time-out that a multiple of the median stands for: nothing shorter could be kept to. */
export function multipleOfMedianMs(factor: number, medianMs: number): number {
  return Math.max(TIMEOUT_CHECK_MS, factor * medianMs);
}

export function trySequenceRule(text: string): SequenceRule | undefined {
  if (text === 'EndEvent' || text === 'NextEventRange' || text === 'EndInputFile') return { at: text };
  const match = /^(events|bytes):(.+)$/.exec(text);
  if (match?.[1] === 'bytes') {
    const sizeBytes = positive(tryByteSize(match[2] ?? ''));
    return sizeBytes === undefined ? undefined : { at: 'bytes', count: sizeBytes };
  }
  const eventCount = Number(match?.[2]);
  return Number.isSafeInteger(eventCount) && eventCount > 0 ? { at: 'events', count: eventCount } : undefined;
}

export function tryTimeoutRule(text: string): TimeoutRule | undefined {
  if (text === 'off') return { kind: 'off' };
  const multiple = /^(\d+(?:\.\d+)?)(x|%)$/.exec(text);
  if (multiple !== null) {
    const factor = Number(multiple[1]) / (multiple[2] === '%' ? 100 : 1);
    return factor > 1 ? { kind: 'median-multiple', factor } : undefined;
  }
  const timeoutMs = positive(tryDurationMs(text));
  return timeoutMs === undefined ? undefined : { kind: 'fixed', timeoutMs };
}

export function tryHaltRule(text: string): HaltRule | undefined {
  if (text === 'off') return { kind: 'off' };
  const match = /^(first|fail)=(\d+(?:\.\d+)?)(%?)$/.exec(text);
  const number = Number(match?.[2]);
  if (match === null || number <= 0) return undefined;
  if (match[3] === '%') {
    return match[1] === 'fail' && number <= 100 ? { kind: 'fraction', fraction: number / 100 } : undefined;
  }
  if (!Number.isSafeInteger(number)) return undefined;
  return match[1] === 'first' ? { kind: 'first', executionCount: number } : { kind: 'events', eventCount: number };
}

/** Undefined for zero, too. */
export function positive(value: number | undefined): number | undefined {
  return value !== undefined && value > 0 ? value : undefined;
}
