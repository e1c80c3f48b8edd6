/** The merge service on a real event table, with no other stimulus than the table's own. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../core/clock.ts';
import type { LeasedRange, RangeUpdate } from '../../../core/dispatcher-api.ts';
import { parseGuid } from '../../../core/ids.ts';
import { silentLogger } from '../../../core/log.ts';
import { Dispatcher } from '../../../dispatcher/dispatcher.ts';
import type { MergeFolders } from '../../../runtime/merge/merge-messages.ts';
import { MergeService } from '../../../runtime/merge/merge-service.ts';
import type { OutputNaming } from '../../../runtime/merge/output-names.ts';
import { removeRemains } from '../../../runtime/run/run-recovery.ts';
import { createMergeFolders, removeMergeFolders, writeUnmerged } from './unmerged-files.ts';

const FILE_COUNT = 3;
const EVENTS_PER_FILE = 400;
const UNMERGED_MAX = 150;

let folders: MergeFolders;
let dispatcher: Dispatcher;
let store: string;

beforeEach(async () => {
  folders = createMergeFolders();
  store = mkdtempSync(join(tmpdir(), 'granule-merge-store-'));
  const options = { path: store, clock: systemClock, logger: silentLogger, leaseMs: 60_000, force: false };
  dispatcher = await Dispatcher.open({ ...options, onFatal: () => undefined });
});
afterEach(async () => {
  await dispatcher.close();
  rmSync(store, { recursive: true });
  removeMergeFolders(folders);
});

function inputFile(fileIndex: number) {
  const guid = parseGuid(`00000000-0000-8000-8000-00000000000${fileIndex}`);
  return { fileIndex, guid, lfn: `in${fileIndex}`, format: 'ndjson' as const, eventCount: EVENTS_PER_FILE };
}

async function submit(options: { readonly eventsPerOutput?: number; readonly fileCount: number }): Promise<number> {
  const { fileCount, ...rest } = options;
  const task = { name: 'merge', record: {}, payload: 'none', eventsPerRange: 1, unmergedFilesMax: UNMERGED_MAX };
  const taskID = await dispatcher.submitTask({ ...task, ...rest });
  await dispatcher.addFiles(
    taskID,
    Array.from({ length: fileCount }, (_, index) => inputFile(index)),
  );
  return taskID;
}

function start(taskID: number, naming: OutputNaming): MergeService {
  return MergeService.start({
    api: dispatcher,
    taskID,
    folders,
    streams: [{ name: 'LINES', format: 'ndjson' }],
    naming,
    inputFile,
    mode: 'fast',
    log: silentLogger,
    onCommit: () => undefined,
    onFailure: () => undefined,
  });
}

function line(rangeIndex: number): string {
  return `{"range":${rangeIndex}}\n`;
}

function execute(range: LeasedRange): RangeUpdate {
  const { rangeIndex, attemptNr } = range;
  const output = { bytes: Buffer.from(line(rangeIndex)), recordCount: 1 };
  const outputs = [writeUnmerged(folders, range, 'LINES', output)];
  return { kind: 'finished', rangeIndex, attemptNr, outputs, wallMs: 1, cpuMs: 1 };
}

/** Ranges whose outputs are in one file, named after the first of them. */
function executeTogether(ranges: readonly LeasedRange[]): RangeUpdate[] {
  const [first] = ranges;
  if (first === undefined) return [];
  const lines = ranges.map(({ rangeIndex }) => Buffer.from(line(rangeIndex)));
  const whole = writeUnmerged(folders, first, 'LINES', { bytes: Buffer.concat(lines), recordCount: lines.length });
  let offsetBytes = 0;
  return ranges.map(({ rangeIndex, attemptNr }, index) => {
    const bytes = lines[index] ?? Buffer.alloc(0);
    const place = { offsetBytes, lengthBytes: bytes.length, headerBytes: 0, crc32: crc32(bytes), recordCount: 1 };
    offsetBytes += bytes.length;
    return { kind: 'finished', rangeIndex, attemptNr, outputs: [{ ...whole, ...place }], wallMs: 1, cpuMs: 1 };
  });
}

/** Tells the service what the table says, and whoever waits that there may be work. */
function listen(service: MergeService): { next(): Promise<void> } {
  let ring: () => void = () => undefined;
  dispatcher.onChange(({ kind }) => {
    if (kind === 'merge') service.poke();
    else if (kind === 'work') ring();
  });
  return { next: () => new Promise((resolve) => (ring = resolve)) };
}

describe('merging beside processing', () => {
  it('lets the hand-out go on although it waits for the merge again and again', async () => {
    const taskID = await submit({ fileCount: FILE_COUNT });
    await dispatcher.sealTask(taskID);
    const service = start(taskID, { kind: 'input-file' });
    const bell = listen(service);
    const consumer = { consumerID: 'one', host: 'localhost', pid: process.pid };
    const { consumerID } = consumer;
    const job = await dispatcher.getJob({ consumer, taskID });
    const jobID = job?.jobID ?? 0;
    let left = FILE_COUNT * EVENTS_PER_FILE;
    let unmergedMost = 0;
    while (left > 0) {
      const mayBeMore = bell.next();
      const ranges = await dispatcher.getEventRanges({ consumerID, jobID, rangeCount: 40 });
      if (ranges.length === 0) {
        await mayBeMore;
        continue;
      }
      // The first of each share comes last, so that stretches are held up.
      const updates = [...ranges.slice(1), ...ranges.slice(0, 1)].map(execute);
      for (const half of [updates.slice(0, 20), updates.slice(20)]) {
        await dispatcher.updateEventRanges({ consumerID, jobID, updates: half });
      }
      unmergedMost = Math.max(unmergedMost, dispatcher.unmergedFiles(taskID).size);
      left -= ranges.length;
    }
    await service.flush();
    await service.close();
    expect(unmergedMost).toBeLessThanOrEqual(UNMERGED_MAX);
    for (let fileIndex = 0; fileIndex < FILE_COUNT; fileIndex += 1) {
      const ranges = Array.from({ length: EVENTS_PER_FILE }, (_, index) => fileIndex * EVENTS_PER_FILE + index);
      expect(readFileSync(join(folders.out, `in${fileIndex}.LINES.ndjson`), 'utf8')).toBe(ranges.map(line).join(''));
    }
    expect(readdirSync(folders.aggregation)).toEqual([]);
    expect([...dispatcher.completedFiles(taskID)]).toHaveLength(FILE_COUNT);
  });

  it('completes an output that could have grown when the last file is known', async () => {
    const taskID = await submit({ fileCount: 1, eventsPerOutput: 10 * EVENTS_PER_FILE });
    const service = start(taskID, { kind: 'task', taskName: 'run' });
    const consumer = { consumerID: 'one', host: 'localhost', pid: process.pid };
    const job = await dispatcher.getJob({ consumer, taskID });
    const request = { consumerID: 'one', jobID: job?.jobID ?? 0 };
    const ranges = await dispatcher.getEventRanges({ ...request, rangeCount: 20 });
    await dispatcher.updateEventRanges({ ...request, updates: ranges.map(execute) });
    await dispatcher.cancelRanges(
      taskID,
      Array.from({ length: EVENTS_PER_FILE - 20 }, (_, index) => 20 + index),
    );
    await service.flush();
    expect([...dispatcher.completedFiles(taskID)]).toEqual([]);
    await dispatcher.sealTask(taskID);
    await service.flush();
    await service.close();
    expect([...dispatcher.completedFiles(taskID)]).toMatchObject([{ path: 'run.LINES.00001.ndjson', recordCount: 20 }]);
    const merged = readFileSync(join(folders.out, 'run.LINES.00001.ndjson'), 'utf8');
    expect(merged).toBe(ranges.map(({ rangeIndex }) => line(rangeIndex)).join(''));
  });
});

it('a file whose ranges were merged by two starts stays while the table refers to it, and no longer', async () => {
  const workers = join(folders.out, 'workers');
  mkdirSync(workers);
  const taskID = await submit({ fileCount: 1 });
  await dispatcher.sealTask(taskID);
  const consumer = { consumerID: 'one', host: 'localhost', pid: process.pid };
  const job = await dispatcher.getJob({ consumer, taskID });
  const request = { consumerID: 'one', jobID: job?.jobID ?? 0 };
  const ranges = await dispatcher.getEventRanges({ ...request, rangeCount: 20 });
  await dispatcher.cancelRanges(
    taskID,
    Array.from({ length: EVENTS_PER_FILE - 20 }, (_, index) => 20 + index),
  );
  const late = ranges.slice(2, 3);
  const shared = executeTogether([...ranges.slice(0, 2), ...ranges.slice(3)]);
  const path = join(folders.aggregation, shared[0]?.kind === 'finished' ? (shared[0].outputs[0]?.file ?? '') : '');
  for (const isLast of [false, true]) {
    const updates = isLast ? late.map(execute) : shared;
    await dispatcher.updateEventRanges({ ...request, updates });
    const service = start(taskID, { kind: 'input-file' });
    await service.flush();
    await service.close();
    expect(existsSync(path)).toBe(true);
    await removeRemains(dispatcher, { taskID }, { workers, aggregation: folders.aggregation });
    expect(existsSync(path)).toBe(!isLast);
  }
  const merged = readFileSync(join(folders.out, 'in0.LINES.ndjson'), 'utf8');
  expect(merged).toBe(ranges.map(({ rangeIndex }) => line(rangeIndex)).join(''));
  expect(readdirSync(folders.aggregation)).toEqual([]);
});
