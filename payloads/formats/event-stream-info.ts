/** Metadata of a stretch of events: made by workers, united by merges, carried by granule's container. */
import type { EventStreamInfo } from './event-format.ts';

type Interval = EventStreamInfo['intervalsOfValidity'][number];

export const EMPTY_INFO: EventStreamInfo = {
  eventCount: 0,
  runNumbers: [],
  eventTypes: [],
  processingTags: [],
  intervalsOfValidity: [],
};

/** Sum of the counts, union of everything else. Associative and commutative, so merges may unite in any grouping. */
export function uniteInfo(first: EventStreamInfo, second: EventStreamInfo): EventStreamInfo {
  return {
    eventCount: first.eventCount + second.eventCount,
    runNumbers: uniteSorted(first.runNumbers, second.runNumbers, (a, b) => a - b),
    eventTypes: uniteSorted(first.eventTypes, second.eventTypes, compareTexts),
    processingTags: uniteSorted(first.processingTags, second.processingTags, compareTexts),
    intervalsOfValidity: uniteIntervals(first.intervalsOfValidity, second.intervalsOfValidity),
  };
}

function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function uniteSorted<T>(first: readonly T[], second: readonly T[], compare: (a: T, b: T) => number): readonly T[] {
  if (first.length === 0) return second;
  if (second.length === 0 || isSameList(first, second)) return first;
  return [...new Set([...first, ...second])].sort(compare);
}

function isSameList<T>(first: readonly T[], second: readonly T[]): boolean {
  return first.length === second.length && first.every((value, index) => value === second[index]);
}

function isWithin(interval: Interval, known: Interval): boolean {
  if (interval.key !== known.key || interval.value !== known.value) return false;
  return known.firstRun <= interval.firstRun && interval.lastRun <= known.lastRun;
}

/** Intervals of one key and value are joined where they overlap or follow each other without a gap. */
function uniteIntervals(first: readonly Interval[], second: readonly Interval[]): readonly Interval[] {
  if (second.every((interval) => first.some((known) => isWithin(interval, known)))) return first;
  const byValue = [...first, ...second].sort(
    (a, b) => compareTexts(a.key, b.key) || compareTexts(a.value, b.value) || a.firstRun - b.firstRun,
  );
  const united: Interval[] = [];
  for (const interval of byValue) {
    const last = united.at(-1);
    if (last?.key === interval.key && last.value === interval.value && interval.firstRun <= last.lastRun + 1) {
      united[united.length - 1] = { ...last, lastRun: Math.max(last.lastRun, interval.lastRun) };
    } else {
      united.push(interval);
    }
  }
  return united.sort((a, b) => compareTexts(a.key, b.key) || a.firstRun - b.firstRun || compareTexts(a.value, b.value));
}
