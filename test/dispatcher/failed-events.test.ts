import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FailedEvent, LeasedRange, RangeUpdate } from '../../core/dispatcher-api.ts';
import type { Dispatcher } from '../../dispatcher/dispatcher.ts';
import {
  finished,
  makeFolder,
  mergeAll,
  openDispatcher,
  readTable,
  removeFolder,
  submit,
  TestConsumer,
} from './fixture.ts';

let path: string;
let dispatcher: Dispatcher;
let consumer: TestConsumer;
let taskID: number;

const STACK = `Error: no\n${'    at somewhere (file.js:1:1)\n'.repeat(200)}`;

function failedEvent(position: number): FailedEvent {
  return { position, failure: { cause: 'payload-error', message: `no ${position}`, logTail: [], stack: STACK } };
}

function finishedWithout(range: LeasedRange, ...positions: number[]): RangeUpdate {
  return { ...finished(range), failedEvents: positions.map(failedEvent) };
}

/** Each of its events failed by itself. */
function failedWhole({ rangeIndex, attemptNr, startEvent, lastEvent }: LeasedRange): RangeUpdate {
  const failedEvents = Array.from({ length: lastEvent - startEvent + 1 }, (_, index) =>
    failedEvent(startEvent + index),
  );
  const failure = { cause: 'payload-error', message: 'all of them', logTail: [] } as const;
  return { kind: 'failed', rangeIndex, attemptNr, failure, failedEvents };
}

/** Three ranges of two events: one lacks its first event, of one all have failed, one is whole. */
async function takeAndReport(): Promise<readonly LeasedRange[]> {
  const ranges = await consumer.take(3);
  const [lacking, failing, whole] = ranges as [LeasedRange, LeasedRange, LeasedRange];
  await consumer.report(finishedWithout(lacking, 1), failedWhole(failing), finished(whole));
  return ranges;
}

beforeEach(async () => {
  path = makeFolder();
  dispatcher = await openDispatcher(path);
  taskID = await submit(dispatcher, [6], { eventsPerRange: 2, failuresMax: 1 });
  consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
});

afterEach(async () => {
  await dispatcher.close();
  removeFolder(path);
});

describe('events that failed by themselves', () => {
  it('are fatal in ranges that are finished without them, beside those of fatal ranges', async () => {
    await takeAndReport();
    expect(dispatcher.getTask(taskID).events).toMatchObject({ finished: 3, fatal: 3 });
    const listed = await readTable(path, (reader) => reader.events({ taskID, states: ['fatal'], limit: 9 }).ranges);
    expect(listed.map(({ rangeIndex, state }) => [rangeIndex, state])).toEqual([
      [0, 'finished'],
      [1, 'fatal'],
    ]);
  });

  it('count no more once their fatal range is retried, and leave the counts of others alone', async () => {
    await takeAndReport();
    expect(await dispatcher.retry(taskID)).toBe(1);
    expect(dispatcher.getTask(taskID).events).toMatchObject({ ready: 2, finished: 3, fatal: 1 });
    await readTable(path, (reader) => {
      expect(reader.events({ taskID, states: ['fatal'], limit: 9 }).ranges.map((range) => range.rangeIndex)).toEqual([
        0,
      ]);
      expect(reader.show(taskID, 0, 3)).toMatchObject({ state: 'ready', failure: { message: 'no 3' } });
      expect(reader.show(taskID, 0, 1)).toMatchObject({ state: 'fatal', failure: { message: 'no 1' } });
    });
    await consumer.report(...(await consumer.take(1)).map(finished));
    expect(dispatcher.getTask(taskID).events).toMatchObject({ finished: 5, fatal: 1 });
    expect(await mergeAll(dispatcher, taskID)).toEqual([0, 1, 2]);
    expect(dispatcher.getTask(taskID).events).toMatchObject({ merged: 5, fatal: 1 });
  });

  it('get another chance with the others when the output of their range is damaged', async () => {
    await takeAndReport();
    await dispatcher.failMerge({ taskID, outputIndex: 0, damaged: [{ rangeIndex: 0, message: 'altered' }] });
    expect(dispatcher.getTask(taskID).events).toMatchObject({ corrupted: 2, finished: 2, fatal: 2 });
    await consumer.report(...(await consumer.take(1)).map(finished));
    expect(dispatcher.getTask(taskID).events).toMatchObject({ finished: 4, fatal: 2 });
  });

  it('count no more when what was finished of their range is discarded', async () => {
    await takeAndReport();
    expect(await dispatcher.discard(taskID, [0])).toBe(1);
    expect(dispatcher.getTask(taskID).events).toMatchObject({ discarded: 2, finished: 2, fatal: 2 });
  });

  it('take a bounded place, however many there are', async () => {
    const many = await submit(dispatcher, [2000], { eventsPerRange: 2000, failuresMax: 1 });
    const other = await new TestConsumer(dispatcher, 'b').start(many);
    await other.report(...(await other.take(1)).map(failedWhole));
    const [range] = await readTable(path, (reader) => reader.events({ taskID: many, limit: 1 }).ranges);
    expect(range?.failedEvents).toHaveLength(2000);
    const stackChars = (range?.failedEvents ?? []).reduce((sum, { failure }) => sum + (failure.stack?.length ?? 0), 0);
    expect(stackChars).toBeLessThan(32 * 1024);
  });
});
