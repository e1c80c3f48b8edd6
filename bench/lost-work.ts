/** What a kill at a random moment costs, given when each range was in work: everything done for ranges not finished. */

/** One range (an event, a chunk, a file) in work on one core. */
export interface WorkInterval {
  readonly start: number;
  readonly end: number;
}

export interface LostWork {
  /** part (0..1) of the total work, mean over a kill at any moment of the makespan */
  readonly expected: number;
  /** the same for the worst moment */
  readonly worst: number;
}

/** @param intervals within [0, makespan], at least one, in any order; same unit of time as `makespan` */
export function lostWork(intervals: readonly WorkInterval[], makespan: number): LostWork {
  let totalWork = 0;
  let integral = 0;
  for (const { start, end } of intervals) {
    totalWork += end - start;
    integral += (end - start) ** 2 / 2;
  }
  return { expected: integral / makespan / totalWork, worst: worstLoss(intervals) / totalWork };
}

/** The loss grows while ranges are in work, so it is largest just before one of them is finished. */
function worstLoss(intervals: readonly WorkInterval[]): number {
  const starts = intervals.map(({ start }) => start).sort((left, right) => left - right);
  const byEnd = [...intervals].sort((left, right) => left.end - right.end);
  let worst = 0;
  let begun = 0;
  let inWork = 0;
  let startSum = 0;
  for (const { start, end } of byEnd) {
    for (let next = starts[begun]; next !== undefined && next <= end; next = starts[begun]) {
      begun += 1;
      inWork += 1;
      startSum += next;
    }
    worst = Math.max(worst, inWork * end - startSum);
    inWork -= 1;
    startSum -= start;
  }
  return worst;
}
