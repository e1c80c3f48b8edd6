import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DispatcherApi } from '../../core/dispatcher-api.ts';
import { REPORTS_GATHER_MS, REPORTS_GATHERED_MAX } from '../../core/limits.ts';
import type { RangeReport } from '../../core/messages.ts';
import { Stager } from '../../runtime/stager.ts';

function finished(rangeIndex: number): RangeReport {
  return { kind: 'finished', rangeIndex } as RangeReport;
}

/** Ranges of each request, in order. */
let requests: number[][];
let isLast: boolean;
let answered: number;
let stager: Stager;

const dispatcher: Pick<DispatcherApi, 'updateEventRanges'> = {
  async updateEventRanges({ updates }) {
    requests.push(updates.map(({ rangeIndex }) => rangeIndex));
    return updates.map(() => 'accepted');
  },
};

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  requests = [];
  isLast = false;
  answered = 0;
  stager = new Stager(
    dispatcher,
    { consumerID: 'consumer', jobID: 1, aggregationFolder: '/nowhere' },
    {
      isLast: () => isLast,
      onAnswered: (reports) => {
        answered += reports.length;
      },
      onFatal: (error) => {
        throw error;
      },
    },
  );
});

afterEach(() => void vi.useRealTimers());

describe('reports', () => {
  it('leave at once where few come', async () => {
    stager.add([finished(0)]);
    await vi.advanceTimersByTimeAsync(REPORTS_GATHER_MS);
    stager.add([finished(1)]);
    expect(requests).toEqual([[0], [1]]);
  });

  it('that come soon after others gather', async () => {
    stager.add([finished(0)]);
    await vi.advanceTimersByTimeAsync(REPORTS_GATHER_MS / 2);
    stager.add([finished(1)]);
    stager.add([finished(2)]);
    expect(requests).toEqual([[0]]);
    expect(stager.pendingCount).toBe(2);
    await vi.advanceTimersByTimeAsync(REPORTS_GATHER_MS / 2);
    expect(requests).toEqual([[0], [1, 2]]);
    expect(answered).toBe(3);
    expect(stager.pendingCount).toBe(0);
  });

  it('gather no longer when they are many', async () => {
    stager.add([finished(0)]);
    await vi.advanceTimersByTimeAsync(0);
    for (let range = 1; range <= REPORTS_GATHERED_MAX; range += 1) stager.add([finished(range)]);
    expect(requests.map((ranges) => ranges.length)).toEqual([1, REPORTS_GATHERED_MAX]);
  });

  it('gather no longer when nothing else is under way', async () => {
    stager.add([finished(0)]);
    await vi.advanceTimersByTimeAsync(0);
    stager.add([finished(1)]);
    isLast = true;
    stager.add([finished(2)]);
    expect(requests).toEqual([[0], [1, 2]]);
    await vi.advanceTimersByTimeAsync(REPORTS_GATHER_MS);
    expect(requests).toHaveLength(2);
  });

  it('gather no longer when somebody waits for their answer', async () => {
    stager.add([finished(0)]);
    await vi.advanceTimersByTimeAsync(0);
    stager.add([finished(1)]);
    await stager.drained();
    expect(requests).toEqual([[0], [1]]);
    expect(answered).toBe(2);
  });

  it('that come while others are being sent go with the next request', async () => {
    stager.add([finished(0)]);
    stager.add([finished(1)]);
    stager.add([finished(2)]);
    await stager.drained();
    expect(requests).toEqual([[0], [1, 2]]);
  });
});
