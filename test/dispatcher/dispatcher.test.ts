import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Dispatcher } from '../../dispatcher/dispatcher.ts';
import { openTableReader } from '../../dispatcher/table-reader.ts';
import {
  failed,
  finished,
  LEASE_MS,
  ManualClock,
  makeFile,
  makeFolder,
  mergeAll,
  openDispatcher,
  removeFolder,
  submit,
  TASK,
  TestConsumer,
} from './fixture.ts';

let path: string;
let clock: ManualClock;
let dispatcher: Dispatcher;

async function reopen(): Promise<void> {
  await dispatcher.close();
  dispatcher = await openDispatcher(path, { clock });
}

function tickAll(): void {
  while (dispatcher.tick());
}

beforeEach(async () => {
  path = makeFolder();
  clock = new ManualClock();
  dispatcher = await openDispatcher(path, { clock });
});

afterEach(async () => {
  await dispatcher.close();
  removeFolder(path);
});

describe('handing out', () => {
  it('goes through files in order, with 1-based positions', async () => {
    const taskID = await submit(dispatcher, [2, 3]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    const ranges = await consumer.take(10);
    expect(ranges.map((range) => [range.rangeIndex, range.fileIndex, range.startEvent, range.lastEvent])).toEqual([
      [0, 0, 1, 1],
      [1, 0, 2, 2],
      [2, 1, 1, 1],
      [3, 1, 2, 2],
      [4, 1, 3, 3],
    ]);
    expect(ranges.every((range) => range.attemptNr === 1 && range.failures === 0)).toBe(true);
    expect(await consumer.take(10)).toEqual([]);
  });

  it('takes returned ranges first and counts the attempt up', async () => {
    const taskID = await submit(dispatcher, [10]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    const ranges = await consumer.take(4);
    await consumer.giveBack(...ranges.slice(1, 3));
    const again = await consumer.take(4);
    expect(again.map((range) => [range.rangeIndex, range.attemptNr])).toEqual([
      [1, 2],
      [2, 2],
      [4, 1],
      [5, 1],
    ]);
  });

  it('respects selections and cuts ranges at their ends', async () => {
    const taskID = await dispatcher.submitTask({ ...TASK, eventsPerRange: 3 });
    await dispatcher.addFiles(taskID, [
      makeFile(0, 100, [
        [2, 5],
        [90, 90],
      ]),
      makeFile(1, 4),
    ]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    const ranges = await consumer.take(10);
    expect(ranges.map((range) => [range.fileIndex, range.startEvent, range.lastEvent])).toEqual([
      [0, 2, 4],
      [0, 5, 5],
      [0, 90, 90],
      [1, 1, 3],
      [1, 4, 4],
    ]);
    expect(dispatcher.getTask(taskID).events.sent).toBe(9);
  });

  it('gives the last ranges longest first when costs are known', async () => {
    const taskID = await submit(dispatcher, [6], { order: 'longest-first' });
    dispatcher.setCostHints(taskID, ({ startEvent }) => [5, 9, 1, 9, 7, 2][startEvent - 1] ?? 0);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    expect((await consumer.take(6)).map((range) => range.startEvent)).toEqual([2, 4, 5, 1, 6, 3]);
  });

  it('gives a job no more than its share', async () => {
    const taskID = await submit(dispatcher, [10], { eventsPerJob: 4 });
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    expect(await consumer.take(10)).toHaveLength(4);
    expect(await consumer.take(10)).toHaveLength(0);
    const first = consumer.jobID;
    await consumer.start(taskID);
    expect(consumer.jobID).not.toBe(first);
    expect(await consumer.take(10)).toHaveLength(4);
  });

  it('prefers the task of higher priority', async () => {
    await submit(dispatcher, [1]);
    const urgent = await submit(dispatcher, [1], { priority: 5 });
    const consumer = { consumerID: 'a', host: 'elsewhere', pid: 1 };
    expect((await dispatcher.getJob({ consumer }))?.taskID).toBe(urgent);
  });

  it('stops when too many outputs wait to be merged, and goes on when they are', async () => {
    const taskID = await submit(dispatcher, [100], { unmergedFilesMax: 10 });
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    const ranges = await consumer.take(50);
    expect(ranges).toHaveLength(10);
    await consumer.report(...ranges.slice(1).map(finished));
    expect(await consumer.take(50)).toHaveLength(0);
    await consumer.giveBack(...ranges.slice(0, 1));
    const [blocking] = await consumer.take(1);
    expect(blocking?.rangeIndex).toBe(0);
    await consumer.report(...(blocking === undefined ? [] : [finished(blocking)]));
    expect(await mergeAll(dispatcher, taskID)).toHaveLength(10);
    expect(await consumer.take(50)).toHaveLength(10);
  });
});

describe('updates', () => {
  it('are accepted once, and an echo of them is told apart from a stale one', async () => {
    const taskID = await submit(dispatcher, [3]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    const [range] = await consumer.take(1);
    if (range === undefined) throw new Error('no range');
    expect(await consumer.report(finished(range))).toEqual(['accepted']);
    expect(await consumer.report(finished(range), failed(range))).toEqual(['duplicate', 'duplicate']);
    expect(await consumer.report(finished({ ...range, attemptNr: 2 }))).toEqual(['stale']);
    expect(dispatcher.getTask(taskID).ranges.finished).toBe(1);
  });

  it('make the third failure fatal, with its reason', async () => {
    const taskID = await submit(dispatcher, [1]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    for (const attemptNr of [1, 2, 3]) {
      const [range] = await consumer.take(1);
      expect(range).toMatchObject({ attemptNr, failures: attemptNr - 1 });
      if (range !== undefined) await consumer.report(failed(range));
    }
    expect(dispatcher.getTask(taskID).ranges.fatal).toBe(1);
    expect(await consumer.take(1)).toEqual([]);
    const reader = openTableReader(path);
    expect(reader.events({ taskID, states: ['fatal'], limit: 10 }).ranges[0]).toMatchObject({
      state: 'fatal',
      failures: 3,
      failure: { cause: 'payload-error', message: 'event 0 failed', logTail: ['a line'], attemptNr: 3 },
    });
    await reader.close();
    expect(await dispatcher.retry(taskID, { causes: ['payload-error'] })).toBe(1);
    expect((await consumer.take(1))[0]).toMatchObject({ attemptNr: 4, failures: 0 });
  });

  it('of a consumer whose lease ended are stale, unless they had been recorded', async () => {
    const taskID = await submit(dispatcher, [3]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    const ranges = await consumer.take(2);
    const [first, second] = ranges;
    if (first === undefined || second === undefined) throw new Error('no range');
    await consumer.report(finished(first));
    clock.advance(2 * LEASE_MS);
    tickAll();
    expect(await consumer.heartbeat()).toEqual({ command: 'stop' });
    expect(await consumer.report(finished(first), finished(second))).toEqual(['duplicate', 'stale']);
    const other = await new TestConsumer(dispatcher, 'b').start(taskID);
    expect((await other.take(1))[0]).toMatchObject({ rangeIndex: second.rangeIndex, attemptNr: 2 });
    await reopen();
    expect(await consumer.at(dispatcher).report(finished(first), finished(second))).toEqual(['duplicate', 'stale']);
  });
});

describe('a restart', () => {
  it('keeps what was recorded and what is held by consumers elsewhere', async () => {
    const taskID = await submit(dispatcher, [5]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    const ranges = await consumer.take(3);
    const [first, second] = ranges;
    if (first === undefined || second === undefined) throw new Error('no range');
    await consumer.report(finished(first));
    await reopen();
    expect(dispatcher.getTask(taskID).ranges).toMatchObject({ ready: 2, sent: 2, finished: 1 });
    expect(await consumer.at(dispatcher).report(finished(second))).toEqual(['accepted']);
    expect(dispatcher.getTask(taskID).record).toEqual({ seed: 1 });
  });

  it('takes back nothing that a merge has done, and goes on where it was', async () => {
    const taskID = await submit(dispatcher, [10, 10]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    await consumer.report(...(await consumer.take(15)).map(finished));
    expect(await mergeAll(dispatcher, taskID)).toHaveLength(15);
    await reopen();
    const same = consumer.at(dispatcher);
    await same.report(...(await same.take(15)).map(finished));
    expect(await mergeAll(dispatcher, taskID)).toEqual([15, 16, 17, 18, 19]);
    expect(dispatcher.getTask(taskID).ranges.merged).toBe(20);
    expect(dispatcher.getTask(taskID).unmergedFileCount).toBe(0);
  });
});
