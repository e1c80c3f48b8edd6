import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LeasedRange, MergeJob } from '../../core/dispatcher-api.ts';
import { PROGRAM_DEATHS_MAX, RANGES_PER_CHUNK, SUSPECT_DEATHS } from '../../core/limits.ts';
import type { DispatcherChange } from '../../dispatcher/change-bell.ts';
import type { Dispatcher } from '../../dispatcher/dispatcher.ts';
import { thisHost } from '../../dispatcher/process-identity.ts';
import {
  failed,
  finished,
  LEASE_MS,
  ManualClock,
  makeFile,
  makeFolder,
  mergeAll,
  openDispatcher,
  output,
  readTable,
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

/** A consumer in the dispatcher's own process: it dies with it. */
function inProcess(consumerID: string, taskID: number): Promise<TestConsumer> {
  return new TestConsumer(dispatcher, consumerID, thisHost).start(taskID);
}

function only(ranges: readonly LeasedRange[]): LeasedRange {
  const [range] = ranges;
  if (range === undefined) throw new Error('no range');
  return range;
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

describe('after a death of the whole program', () => {
  it('what was in flight can be adopted, and the rest comes back without a charge', async () => {
    const taskID = await submit(dispatcher, [6]);
    const consumer = await inProcess('a', taskID);
    const ranges = await consumer.take(4);
    await consumer.report(finished(only(ranges)));
    await reopen();
    expect(dispatcher.recovery).toMatchObject({ committed: 1, held: 3 });
    const adoptable = [...dispatcher.adoptable(taskID)];
    expect(adoptable.map((range) => [range.rangeIndex, range.startEvent, range.attemptNr, range.jobID])).toEqual([
      [1, 2, 1, consumer.jobID],
      [2, 3, 1, consumer.jobID],
      [3, 4, 1, consumer.jobID],
    ]);
    const stranger = { rangeIndex: 5, attemptNr: 1 };
    expect(await dispatcher.adopt(taskID, [finished(stranger), ...adoptable.slice(1, 2).map(finished)])).toEqual([
      'stale',
      'accepted',
    ]);
    await dispatcher.releaseDead(taskID);
    expect(dispatcher.describeRanges(taskID, 0, 6).map((range) => `${range.state} ${range.losses}`)).toEqual([
      'finished 0',
      'ready 0',
      'finished 0',
      'ready 0',
      'ready 0',
      'ready 0',
    ]);
    expect([...dispatcher.adoptable(taskID)]).toEqual([]);
    expect(dispatcher.unmergedFiles(taskID)).toEqual(new Set(['0/OUT.0-1', '0/OUT.2-1']));
  });

  it('the first request for work releases what nobody adopted', async () => {
    const taskID = await submit(dispatcher, [3]);
    await (await inProcess('a', taskID)).take(2);
    await reopen();
    const again = await (await inProcess('b', taskID)).take(5);
    expect(again.map((range) => [range.rangeIndex, range.attemptNr])).toEqual([
      [0, 2],
      [1, 2],
      [2, 1],
    ]);
  });

  it('a range in flight at several deaths in a row comes alone and marked, until it is done', async () => {
    const taskID = await submit(dispatcher, [6]);
    for (let death = 0; death < SUSPECT_DEATHS; death += 1) {
      expect(dispatcher.suspects(taskID)).toEqual([]);
      const taken = await (await inProcess('a', taskID)).take(2);
      expect(taken.some((range) => range.suspect === true)).toBe(false);
      await reopen();
      await dispatcher.releaseDead(taskID, new Set([1]));
    }
    expect(dispatcher.suspects(taskID)).toEqual([1]);
    await reopen();
    const consumer = await inProcess('a', taskID);
    const suspect = only(await consumer.take(5));
    expect(suspect).toMatchObject({ rangeIndex: 1, suspect: true, attemptNr: SUSPECT_DEATHS + 1 });
    expect((await consumer.take(5)).map((range) => range.rangeIndex)).toEqual([0, 2, 3, 4, 5]);
    await consumer.report(finished(suspect));
    expect(dispatcher.suspects(taskID)).toEqual([]);
  });

  it('a suspect that was not in execution at the next death runs beside others again', async () => {
    const taskID = await submit(dispatcher, [3]);
    for (let death = 0; death < SUSPECT_DEATHS; death += 1) {
      await (await inProcess('a', taskID)).take(1);
      await reopen();
      await dispatcher.releaseDead(taskID, new Set([0]));
    }
    expect(only(await (await inProcess('a', taskID)).take(3))).toMatchObject({ rangeIndex: 0, suspect: true });
    await reopen();
    await dispatcher.releaseDead(taskID, new Set());
    expect(dispatcher.suspects(taskID)).toEqual([]);
    const taken = await (await inProcess('a', taskID)).take(3);
    expect(taken.map(({ rangeIndex, suspect }) => [rangeIndex, suspect])).toEqual([
      [0, undefined],
      [1, undefined],
      [2, undefined],
    ]);
  });

  it('a range that dies on although it runs alone is given up with its reason', async () => {
    const taskID = await submit(dispatcher, [2]);
    for (let death = 0; death < PROGRAM_DEATHS_MAX; death += 1) {
      await (await inProcess('a', taskID)).take(1);
      await reopen();
      await dispatcher.releaseDead(taskID, new Set([0]));
    }
    expect(dispatcher.getTask(taskID).ranges).toMatchObject({ fatal: 1, ready: 1 });
    expect(await readTable(path, (reader) => reader.show(taskID, 0, 1))).toMatchObject({
      state: 'fatal',
      failures: 0,
      losses: 0,
      failure: { cause: 'killed-program' },
    });
  });
});

describe('merging', () => {
  it('grows an output as its next ranges become terminal, and skips what is fatal', async () => {
    const taskID = await submit(dispatcher, [6], { failuresMax: 1 });
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    const ranges = await consumer.take(6);
    const request = { taskID, rangeCountMin: 3, rangeCountMax: 4, busyOutputs: [] };
    await consumer.report(...ranges.slice(0, 2).map(finished), ...ranges.slice(3).map(finished));
    expect(dispatcher.nextMergeJob(request)).toBeUndefined();
    await consumer.report(...ranges.slice(2, 3).map(failed));
    const job = dispatcher.nextMergeJob(request);
    expect(job?.items.map((item) => [item.kind, item.rangeIndex])).toEqual([
      ['finished', 0],
      ['finished', 1],
      ['missing', 2],
      ['finished', 3],
    ]);
    expect(job).toMatchObject({ outputIndex: 0, firstRange: 0, rangeCount: 6, last: false, progress: [] });
    expect(dispatcher.nextMergeJob({ ...request, busyOutputs: [0] })).toBeUndefined();
  });

  it('rings again for a stretch that was too short, and offers it to whoever takes any length', async () => {
    const taskID = await submit(dispatcher, [6]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    const ranges = await consumer.take(6);
    let rings = 0;
    const stop = dispatcher.onChange(({ kind }) => {
      if (kind === 'merge') rings += 1;
    });
    const request = { taskID, rangeCountMin: 3, rangeCountMax: 4, busyOutputs: [] };
    for (const place of [0, 1]) {
      await consumer.report(...ranges.slice(place, place + 1).map(finished));
      expect(rings).toBe(place + 1);
      expect(dispatcher.nextMergeJob(request)).toBeUndefined();
    }
    expect(dispatcher.nextMergeJob({ ...request, rangeCountMin: 1 })?.items).toHaveLength(2);
    await consumer.report(...ranges.slice(4, 5).map(finished));
    expect(rings).toBe(3);
    await consumer.report(...ranges.slice(2, 3).map(finished));
    expect(rings).toBe(4);
    expect(dispatcher.nextMergeJob(request)?.items).toHaveLength(3);
    stop();
  });

  it('offers what follows a stretch before that is committed, and takes both commits in order', async () => {
    const taskID = await submit(dispatcher, [6]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    await consumer.report(...(await consumer.take(6)).map(finished));
    const request = { taskID, rangeCountMin: 2, rangeCountMax: 2, busyOutputs: [] };
    expect(dispatcher.nextMergeJob({ ...request, behindOutput: 0 })).toBeUndefined();
    const rangesOf = (job: MergeJob | undefined) => job?.items.map(({ rangeIndex }) => rangeIndex);
    expect(rangesOf(dispatcher.nextMergeJob(request))).toEqual([0, 1]);
    expect(rangesOf(dispatcher.nextMergeJob({ ...request, behindOutput: 0 }))).toEqual([2, 3]);
    // One is enough.
    expect(dispatcher.nextMergeJob({ ...request, behindOutput: 0 })).toBeUndefined();
    const commit = { taskID, outputIndex: 0, progress: [], gaps: [] };
    await dispatcher.commitMerge({ ...commit, throughRange: 1 });
    await dispatcher.commitMerge({ ...commit, throughRange: 3 });
    await expect(dispatcher.commitMerge({ ...commit, throughRange: 5 })).rejects.toThrow(/was not offered/);
    expect(rangesOf(dispatcher.nextMergeJob(request))).toEqual([4, 5]);
  });

  it('offers again what followed a stretch that was not committed to its end', async () => {
    const taskID = await submit(dispatcher, [6]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    await consumer.report(...(await consumer.take(6)).map(finished));
    const request = { taskID, rangeCountMin: 2, rangeCountMax: 2, busyOutputs: [] };
    const commit = { taskID, outputIndex: 0, progress: [], gaps: [] };
    dispatcher.nextMergeJob(request);
    dispatcher.nextMergeJob({ ...request, behindOutput: 0 });
    await dispatcher.commitMerge({ ...commit, throughRange: 0 });
    await expect(dispatcher.commitMerge({ ...commit, throughRange: 3 })).rejects.toThrow(/was not offered/);
    expect(dispatcher.nextMergeJob(request)?.items.map(({ rangeIndex }) => rangeIndex)).toEqual([1, 2]);
  });

  it('amends a complete output when what was missing has been made after all, also after a restart', async () => {
    const taskID = await submit(dispatcher, [4], { failuresMax: 1 });
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    const ranges = await consumer.take(4);
    await consumer.report(...ranges.slice(0, 2).map(failed), ...ranges.slice(2).map(finished));
    expect(await mergeAll(dispatcher, taskID)).toEqual([2, 3]);
    expect(await dispatcher.retry(taskID)).toBe(2);
    expect(dispatcher.nextMergeJob({ taskID, rangeCountMin: 1, rangeCountMax: 9, busyOutputs: [] })).toBeUndefined();
    const again = await consumer.take(4);
    await consumer.report(finished(only(again)));
    await reopen();
    await consumer.at(dispatcher).report(...again.slice(1).map(failed));
    const job = dispatcher.nextMergeJob({ taskID, rangeCountMin: 1, rangeCountMax: 9, busyOutputs: [] });
    expect(job).toMatchObject({
      items: [{ kind: 'finished', rangeIndex: 0, outputs: [output({ rangeIndex: 0, attemptNr: 2 })] }],
      last: true,
      amend: { files: [{ stream: 'OUT' }], gaps: [{ rangeIndex: 0 }, { rangeIndex: 1 }] },
    });
    expect(await mergeAll(dispatcher, taskID)).toEqual([0]);
    expect(dispatcher.getTask(taskID).ranges).toMatchObject({ merged: 3, fatal: 1 });
    const [report] = await readTable(path, (reader) => reader.outputs(taskID));
    expect(report).toMatchObject({ mergedTo: 4, gaps: [{ rangeIndex: 1 }] });
  });

  it('makes damaged outputs again, and gives them up when that never ends', async () => {
    const taskID = await submit(dispatcher, [2]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    for (let time = 0; time < 5; time += 1) {
      await consumer.report(...(await consumer.take(2)).map(finished));
      const damaged = [{ rangeIndex: 0, message: 'checksum does not match' }];
      await dispatcher.failMerge({ taskID, outputIndex: 0, damaged });
    }
    expect(dispatcher.getTask(taskID).ranges).toMatchObject({ fatal: 1, finished: 1 });
    expect(await readTable(path, (reader) => reader.show(taskID, 0, 1))).toMatchObject({
      state: 'fatal',
      failure: { cause: 'merge-failed', message: 'checksum does not match' },
    });
    expect(await mergeAll(dispatcher, taskID)).toEqual([1]);
  });

  it('gives up an output that cannot be merged whatever it is made of', async () => {
    const taskID = await submit(dispatcher, [3, 1]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    await consumer.report(finished(only(await consumer.take(1))));
    for (let time = 0; time < 5; time += 1) await dispatcher.failMerge({ taskID, outputIndex: 0, damaged: [] });
    expect(dispatcher.getTask(taskID).ranges).toMatchObject({ fatal: 1, cancelled: 2, ready: 1 });
    await reopen();
    await consumer.at(dispatcher).report(...(await consumer.take(2)).map(finished));
    expect(await mergeAll(dispatcher, taskID)).toEqual([3]);
    expect(await readTable(path, (reader) => reader.outputs(taskID))).toMatchObject([
      { outputIndex: 0, failure: expect.any(String) },
      { outputIndex: 1, files: [{}] },
    ]);
  });

  it('begins an output anew when its file is lost', async () => {
    const taskID = await submit(dispatcher, [3]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    await consumer.report(...(await consumer.take(3)).map(finished));
    expect(await mergeAll(dispatcher, taskID)).toEqual([0, 1, 2]);
    await dispatcher.resetOutput({ taskID, outputIndex: 0, message: 'the file is gone' });
    const again = await consumer.take(3);
    expect(again.map((range) => [range.rangeIndex, range.attemptNr])).toEqual([
      [0, 2],
      [1, 2],
      [2, 2],
    ]);
    await consumer.report(...again.map(finished));
    expect(await mergeAll(dispatcher, taskID)).toEqual([0, 1, 2]);
  });

  it('shows what is finished beyond the merge, whatever stands between', async () => {
    const taskID = await submit(dispatcher, [6]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    const ranges = await consumer.take(5);
    await consumer.report(...ranges.filter((range) => range.rangeIndex % 2 === 0).map(finished));
    const [job] = [...dispatcher.unfinishedOutputs({ taskID })];
    expect(job?.items.map((item) => item.rangeIndex)).toEqual([0, 2, 4]);
    expect(job?.last).toBe(false);
  });

  it('refuses a commit of what was not offered', async () => {
    const taskID = await submit(dispatcher, [3]);
    const commit = dispatcher.commitMerge({ taskID, outputIndex: 0, throughRange: 2, progress: [], gaps: [] });
    await expect(commit).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });
});

describe('a task in which nothing is ready', () => {
  it('has a job for who waits for what may become ready, and for nobody else', async () => {
    const taskID = await submit(dispatcher, [2]);
    const worker = await new TestConsumer(dispatcher, 'a').start(taskID);
    for (const range of await worker.take(2)) await worker.report(finished(range));
    const consumer = { consumerID: 'b', host: 'x', pid: 1 };
    expect(await dispatcher.getJob({ consumer, taskID })).toBeUndefined();
    const job = await dispatcher.getJob({ consumer, taskID, orIdle: true });
    expect(job).toMatchObject({ taskID, kind: 'process' });
  });
});

describe('users', () => {
  it('cancel a task: its consumers are told to stop, untouched ranges are cancelled, retry brings it back', async () => {
    const taskID = await submit(dispatcher, [3 * RANGES_PER_CHUNK]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    const ranges = await consumer.take(3);
    await consumer.report(finished(only(ranges)));
    await dispatcher.cancelTask(taskID);
    expect(await consumer.heartbeat()).toEqual({ command: 'stop' });
    expect(await consumer.report(finished(only(ranges.slice(1))))).toEqual(['stale']);
    expect(dispatcher.getTask(taskID).ranges).toMatchObject({ discarded: 1, cancelled: 3 * RANGES_PER_CHUNK - 1 });
    expect(await dispatcher.getJob({ consumer: { consumerID: 'b', host: 'x', pid: 1 }, taskID })).toBeUndefined();
    expect(await dispatcher.retry(taskID, { states: ['cancelled'] })).toBe(3 * RANGES_PER_CHUNK - 1);
    const other = await new TestConsumer(dispatcher, 'b').start(taskID);
    expect((await other.take(2)).map((range) => range.rangeIndex)).toEqual([1, 2]);
  });

  it('delete a task, which frees its space and leaves the others alone', async () => {
    const kept = await submit(dispatcher, [5]);
    const doomed = await submit(dispatcher, [500]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(doomed);
    await consumer.report(...(await consumer.take(400)).map((range) => ({ ...finished(range) })));
    await dispatcher.deleteTask(doomed);
    expect(() => dispatcher.getTask(doomed)).toThrow(expect.objectContaining({ code: 'TASK_UNKNOWN' }));
    expect(await consumer.heartbeat()).toEqual({ command: 'stop' });
    await reopen();
    expect(dispatcher.listTasks().map((task) => task.taskID)).toEqual([kept]);
    expect(await readTable(path, (reader) => reader.tasks().map(({ record }) => record.taskID))).toEqual([kept]);
    expect(await submit(dispatcher, [1])).toBeGreaterThan(doomed);
  });

  it('retry by cause', async () => {
    const taskID = await submit(dispatcher, [3], { failuresMax: 1 });
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    const [first, second] = await consumer.take(2);
    if (first === undefined || second === undefined) throw new Error('no range');
    const timeout = { cause: 'timeout', message: 'too slow', logTail: [] } as const;
    await consumer.report(failed(first), { kind: 'failed', rangeIndex: 1, attemptNr: 1, failure: timeout });
    expect(await dispatcher.retry(taskID, { causes: ['timeout'] })).toBe(1);
    expect(dispatcher.describeRanges(taskID, 0, 2).map((range) => range.state)).toEqual(['fatal', 'ready']);
  });

  it('accept another payload, and can tell which events were made by which', async () => {
    const taskID = await submit(dispatcher, [6]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    await consumer.report(...(await consumer.take(3)).map(finished));
    await mergeAll(dispatcher, taskID);
    await dispatcher.acceptPayloadChange(taskID, 'v2');
    await consumer.report(...(await consumer.take(2)).map(finished));
    await dispatcher.acceptPayloadChange(taskID, 'v3');
    await dispatcher.resetOutput({ taskID, outputIndex: 0, message: 'gone' });
    expect(dispatcher.getTask(taskID).payloads).toEqual(['v1', 'v2', 'v3']);
    await reopen();
    expect(dispatcher.payloadEpochs(taskID)).toEqual([
      { payload: 'v1', ranges: [] },
      { payload: 'v2', ranges: [3, 5] },
    ]);
  });

  it('add files while work goes on, and complete the last output only when all are known', async () => {
    const taskID = await dispatcher.submitTask({ ...TASK, eventsPerOutput: 4 });
    await dispatcher.addFiles(taskID, [makeFile(0, 3)]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    await consumer.report(...(await consumer.take(9)).map(finished));
    expect(await mergeAll(dispatcher, taskID)).toEqual([0, 1, 2]);
    await expect(dispatcher.addFiles(taskID, [makeFile(7, 3)])).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    const changes: DispatcherChange[] = [];
    const stop = dispatcher.onChange((change) => changes.push(change));
    await dispatcher.addFiles(taskID, [makeFile(1, 3)]);
    expect(changes).toContainEqual({ taskID, kind: 'work' });
    stop();
    await consumer.report(...(await consumer.take(9)).map(finished));
    expect(await mergeAll(dispatcher, taskID)).toEqual([3, 4, 5]);
    expect(await readTable(path, (reader) => reader.outputs(taskID).map(({ files }) => files !== undefined))).toEqual([
      true,
      false,
    ]);
    await dispatcher.sealTask(taskID);
    expect(await mergeAll(dispatcher, taskID)).toEqual([]);
    expect(await readTable(path, (reader) => reader.outputs(taskID).map(({ files }) => files !== undefined))).toEqual([
      true,
      true,
    ]);
    await expect(dispatcher.addFiles(taskID, [makeFile(2, 3)])).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });
});

describe('a job', () => {
  it('is known by its number, also after its consumer left', async () => {
    const taskID = await submit(dispatcher, [3, 4]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    await consumer.take(2);
    const job = { jobID: consumer.jobID, taskID, consumerID: 'a', heldCount: 2, stopped: false };
    expect(dispatcher.describeJob(consumer.jobID)).toEqual(job);
    await consumer.leave();
    expect(dispatcher.describeJob(consumer.jobID)).toMatchObject({ taskID, consumerID: undefined, stopped: true });
    await reopen();
    expect(dispatcher.describeJob(consumer.jobID)).toMatchObject({ taskID, consumerID: undefined });
    expect(dispatcher.describeJob(99)).toBeUndefined();
  });
});

describe('a silent consumer', () => {
  it('loses a million ranges in slices, each of them charged once', async () => {
    const taskID = await submit(dispatcher, [1_000_000], { unmergedFilesMax: 2_000_000 });
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    while ((await consumer.take(10_000)).length > 0);
    clock.advance(2 * LEASE_MS);
    let slices = 1;
    while (dispatcher.tick()) slices += 1;
    expect(slices).toBeGreaterThan(10);
    expect(dispatcher.getTask(taskID).ranges).toMatchObject({ ready: 1_000_000, sent: 0 });
    expect(dispatcher.describeRanges(taskID, 999_999, 1)).toMatchObject([{ state: 'ready', losses: 1, attemptNr: 1 }]);
  });

  it('is charged to the end although the dispatcher stops in the middle of it', async () => {
    const taskID = await submit(dispatcher, [100_000], { unmergedFilesMax: 2_000_000 });
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    while ((await consumer.take(10_000)).length > 0);
    clock.advance(2 * LEASE_MS);
    expect(dispatcher.tick()).toBe(true);
    await reopen();
    while (dispatcher.tick());
    expect(dispatcher.getTask(taskID)).toMatchObject({ ranges: { ready: 100_000 }, totals: { lost: 100_000 } });
  });
});

describe('readers', () => {
  it('page through events of some states while the dispatcher works', async () => {
    const taskID = await submit(dispatcher, [3 * RANGES_PER_CHUNK]);
    const consumer = await new TestConsumer(dispatcher, 'a').start(taskID);
    const ranges = await consumer.take(6);
    await consumer.report(...ranges.filter((range) => range.rangeIndex % 2 === 1).map(finished));
    await readTable(path, (reader) => {
      const first = reader.events({ taskID, states: ['finished'], limit: 2 });
      expect(first.ranges.map((range) => range.rangeIndex)).toEqual([1, 3]);
      const second = reader.events({ taskID, states: ['finished'], limit: 2, fromRange: first.next ?? -1 });
      expect(second.ranges.map((range) => range.rangeIndex)).toEqual([5]);
      expect(second.next).toBeUndefined();
      expect(reader.events({ taskID, limit: 1, fromRange: 2 }).ranges).toMatchObject([
        {
          rangeIndex: 2,
          fileIndex: 0,
          startEvent: 3,
          lastEvent: 3,
          state: 'sent',
          attemptNr: 1,
          jobID: consumer.jobID,
        },
      ]);
      expect(reader.show(taskID, 0, 2)).toMatchObject({
        state: 'finished',
        outputs: [output({ rangeIndex: 1, attemptNr: 1 })],
      });
      expect(reader.show(taskID, 0, 3 * RANGES_PER_CHUNK)).toMatchObject({ state: 'ready', attemptNr: 0 });
      expect(() => reader.show(taskID, 0, 0)).toThrow(expect.objectContaining({ code: 'EVENT_NOT_FOUND' }));
      expect(reader.tasks()[0]?.ranges).toMatchObject({ finished: 3, sent: 3, ready: 3 * RANGES_PER_CHUNK - 6 });
      expect([...reader.files(taskID)]).toEqual([makeFile(0, 3 * RANGES_PER_CHUNK)]);
      expect(reader.lengthHistogram(taskID).reduce((sum, count) => sum + count, 0)).toBe(3);
      expect(reader.holder()?.pid).toBe(process.pid);
    });
  });
});
