/** Choosing events by position: `1-100,205` and what becomes of it. Positions are 1-based, both ends included. */
import { GranuleError } from './errors.ts';

/** Sorted, disjoint, not touching. The last interval may be open: its end is `Number.MAX_SAFE_INTEGER`. */
export type EventSelection = readonly (readonly [first: number, last: number])[];

/** @throws USAGE naming the part that is wrong */
export function parseEventSelection(text: string): EventSelection {
  const intervals = text.split(',').map((part): [number, number] => {
    const match = /^\s*(\d{1,15})\s*(?:(-)\s*(\d{1,15})?\s*)?$/.exec(part);
    if (match === null) {
      throw wrongSelection(text, `"${part.trim()}" is neither a position nor a range of positions`);
    }
    const first = Number(match[1]);
    const openEnd = match[2] === '-' && match[3] === undefined;
    const last = openEnd ? Number.MAX_SAFE_INTEGER : Number(match[3] ?? first);
    if (first < 1) throw wrongSelection(text, 'positions count from 1');
    if (last < first) throw wrongSelection(text, `"${part.trim()}" ends before it begins`);
    return [first, last];
  });
  return normaliseSelection(intervals);
}

function wrongSelection(text: string, reason: string): GranuleError {
  return new GranuleError('USAGE', `events "${text}": ${reason}`, {
    details: { selection: text },
    remedy: 'write positions and ranges separated by commas, for instance 1-100,205,300-',
  });
}

/** Sorts and joins intervals that overlap or touch. */
export function normaliseSelection(intervals: EventSelection): EventSelection {
  const sorted = [...intervals].sort((left, right) => left[0] - right[0]);
  const joined: [number, number][] = [];
  for (const [first, last] of sorted) {
    const previous = joined.at(-1);
    if (previous !== undefined && first <= previous[1] + 1) previous[1] = Math.max(previous[1], last);
    else joined.push([first, last]);
  }
  return joined;
}

/** The part of a selection that a file of `eventCount` events has; empty when it has none of them. */
export function clipSelection(selection: EventSelection, eventCount: number): EventSelection {
  return selection
    .filter(([first]) => first <= eventCount)
    .map(([first, last]) => [first, Math.min(last, eventCount)] as const);
}

/** Positions in a clipped selection. */
export function countSelected(selection: EventSelection): number {
  return selection.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

/** The other way round: `1-100,205,300-`. */
export function formatEventSelection(selection: EventSelection): string {
  return selection
    .map(([first, last]) => {
      if (first === last) return `${first}`;
      return last === Number.MAX_SAFE_INTEGER ? `${first}-` : `${first}-${last}`;
    })
    .join(',');
}
