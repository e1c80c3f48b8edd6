/** Throughput once the pace is steady: the first part of the work counts as warm-up. */

/** How much was done by when: cumulative, times rising. */
export type Timeline = readonly (readonly [timeMs: number, doneCount: number])[];

/** The part of the work that warms up compilers and caches, in all variants alike. */
export const WARM_UP_FRACTION = 0.25;

/**
 * Done per second from the first moment at which {@link WARM_UP_FRACTION} of the work was done to the end.
 *
 * @param startMs when work began: counts where the timeline has a single step
 */
export function steadyRate(timeline: Timeline, startMs: number): number {
  const end = timeline.at(-1);
  if (end === undefined) return Number.NaN;
  const warm = timeline.find(([, doneCount]) => doneCount >= end[1] * WARM_UP_FRACTION);
  const [fromMs, fromCount] = warm === undefined || warm === end ? [startMs, 0] : warm;
  return ((end[1] - fromCount) / (end[0] - fromMs)) * 1000;
}

/** One timeline of several that ran side by side. */
export function joinTimelines(timelines: readonly Timeline[]): Timeline {
  const steps = timelines.flatMap((timeline) =>
    timeline.map(([timeMs, doneCount], index) => [timeMs, doneCount - (timeline[index - 1]?.[1] ?? 0)] as const),
  );
  let sum = 0;
  return steps
    .sort((left, right) => left[0] - right[0])
    .map(([timeMs, count]) => {
      sum += count;
      return [timeMs, sum] as const;
    });
}
