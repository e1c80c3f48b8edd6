/** What a run of timed events did with its workers: when each executed what, and how that compares with the ideal. */
import { readFileSync } from 'node:fs';
import { lowerBound, pullSchedule } from './ideal-schedule.ts';
import { type LostWork, lostWork } from './lost-work.ts';
import type { LaneRecord } from './payloads/timed-events.ts';

/** One event on one worker; times in ms from the moment all workers were ready. */
export interface LaneInterval {
  readonly worker: number;
  readonly start: number;
  readonly end: number;
  readonly cpuMs: number;
}

export interface Lanes {
  readonly workerCount: number;
  /** in event order */
  readonly events: readonly LaneInterval[];
  /** consecutive events of one unit of hand-out: file, chunk or event, in order */
  readonly units: readonly LaneInterval[];
  /** ms since the epoch */
  readonly readyMs: number;
}

/** @param paths merged files of stream `LANES`, in task order */
export function readLanes(paths: readonly string[], workerCount: number, eventsPerUnit: number): Lanes {
  const records = paths
    .flatMap((path) => readFileSync(path, 'utf8').trim().split('\n'))
    .map((line) => JSON.parse(line) as LaneRecord);
  const readyMs = records[0]?.[4] ?? 0;
  const events = records.map(([worker, start, end, cpuMs]): LaneInterval => {
    return { worker, start: start - readyMs, end: end - readyMs, cpuMs };
  });
  return { workerCount, events, units: joinUnits(events, eventsPerUnit), readyMs };
}

function joinUnits(events: readonly LaneInterval[], eventsPerUnit: number): LaneInterval[] {
  const units: LaneInterval[] = [];
  for (let first = 0; first < events.length; first += eventsPerUnit) {
    const part = events.slice(first, first + eventsPerUnit);
    const [begin, last] = [part[0], part.at(-1)];
    if (begin === undefined || last === undefined) continue;
    const cpuMs = part.reduce((sum, event) => sum + event.cpuMs, 0);
    units.push({ worker: begin.worker, start: begin.start, end: last.end, cpuMs });
  }
  return units;
}

export interface LaneFigures {
  /** from all workers ready to the last event durably finished */
  readonly makespanMs: number;
  /** no schedule of these events is shorter */
  readonly boundMs: number;
  /** pulling these units in this order without overhead */
  readonly idealMs: number;
  readonly ratioToBound: number;
  readonly ratioToIdeal: number;
  /** in `execute` (CPU time, or time for events that wait) / (makespan × workers) */
  readonly busyFraction: number;
  /** the same until the last unit was begun */
  readonly busyFractionUntilEmpty: number;
  readonly busyFractionPerWorker: readonly number[];
  /** core time in which no event was in execution */
  readonly idleCoreMs: number;
  readonly lostOnKill: LostWork;
}

/**
 * @param order units in the order of hand-out: indices into `lanes.units`
 * @param finishedMs when the last event was durably finished, since the epoch
 * @param waiting events wait instead of computing: their time counts as busy, not their CPU time
 */
export function laneFigures(
  lanes: Lanes,
  run: { readonly order: readonly number[]; readonly finishedMs: number; readonly waiting: boolean },
): LaneFigures {
  const { events, units, workerCount } = lanes;
  const makespanMs = run.finishedMs - lanes.readyMs;
  const boundMs = lowerBound(lengthsOf(events), workerCount);
  const unitLengths = lengthsOf(units);
  const idealMs = pullSchedule(
    run.order.map((unit) => unitLengths[unit] ?? 0),
    workerCount,
  ).makespan;
  const emptyMs = Math.max(...units.map(({ start }) => start));
  const busyUntil = (endMs: number, worker?: number): number =>
    events.reduce((sum, event) => {
      if (worker !== undefined && event.worker !== worker) return sum;
      const length = event.end - event.start;
      const part = length > 0 ? Math.min(1, Math.max(0, (endMs - event.start) / length)) : 0;
      return sum + part * (run.waiting ? length : event.cpuMs);
    }, 0);
  return {
    makespanMs,
    boundMs,
    idealMs,
    ratioToBound: makespanMs / boundMs,
    ratioToIdeal: makespanMs / idealMs,
    busyFraction: busyUntil(makespanMs) / (makespanMs * workerCount),
    busyFractionUntilEmpty: emptyMs > 0 ? busyUntil(emptyMs) / (emptyMs * workerCount) : 1,
    busyFractionPerWorker: Array.from(
      { length: workerCount },
      (_, worker) => busyUntil(makespanMs, worker) / makespanMs,
    ),
    idleCoreMs: makespanMs * workerCount - lengthsOf(events).reduce((sum, length) => sum + length, 0),
    lostOnKill: lostWork(units, makespanMs),
  };
}

function lengthsOf(intervals: readonly LaneInterval[]): number[] {
  return intervals.map(({ start, end }) => end - start);
}
