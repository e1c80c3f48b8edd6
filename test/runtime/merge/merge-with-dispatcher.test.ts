/** The merge service on a real event table, with no other stimulus than the table's own. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../core/clock.ts';
import type { LeasedRange, RangeUpdate } from '../../../core/dispatcher-api.ts';
import { parseGuid } from '../../../core/ids.ts';
import { silentLogger } from '../../../core/log.ts';
import { Dispatcher } from '../../../dispatcher/dispatcher.ts';
import type { MergeFolders } from '../../../runtime/merge/merge-messages.ts';
import { MergeService } from '../../../runtime/merge/merge-service.ts';
import { createMergeFolders, removeMergeFolders, writeUnmerged } from './unmerged-files.ts';

const FILE_COUNT = 3;
const EVENTS_PER_FILE = 400;
const UNMERGED_MAX = 150;

let folders: MergeFolders;
let dispatcher: Dispatcher;
let store: string;
let taskID: number;

beforeEach(async () => {
  folders = createMergeFolders();
  store = mkdtempSync(join(tmpdir(), 'granule-merge-store-'));
  const options = { path: store, clock: systemClock, logger: silentLogger, leaseMs: 60_000, force: false };
  dispatcher = await Dispatcher.open({ ...options, onFatal: () => undefined });
  const task = { name: 'merge', record: {}, payload: 'none', eventsPerRange: 1, unmergedFilesMax: UNMERGED_MAX };
  taskID = await dispatcher.submitTask(task);
  await dispatcher.addFiles(
    taskID,
    Array.from({ length: FILE_COUNT }, (_, index) => inputFile(index)),
  );
  await dispatcher.sealTask(taskID);
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

function line(rangeIndex: number): string {
  return `{"range":${rangeIndex}}\n`;
}

function execute(range: LeasedRange): RangeUpdate {
  const { rangeIndex, attemptNr } = range;
  const output = { bytes: Buffer.from(line(rangeIndex)), recordCount: 1 };
  const outputs = [writeUnmerged(folders, range, 'LINES', output)];
  return { kind: 'finished', rangeIndex, attemptNr, outputs, wallMs: 1, cpuMs: 1 };
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
    const failures: unknown[] = [];
    const service = MergeService.start({
      api: dispatcher,
      taskID,
      folders,
      streams: [{ name: 'LINES', format: 'ndjson' }],
      naming: { kind: 'input-file' },
      inputFile,
      mode: 'fast',
      log: silentLogger,
      onCommit: () => undefined,
      onFailure: (error) => failures.push(error),
    });
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
    expect(failures).toEqual([]);
    expect(unmergedMost).toBeLessThanOrEqual(UNMERGED_MAX);
    for (let fileIndex = 0; fileIndex < FILE_COUNT; fileIndex += 1) {
      const ranges = Array.from({ length: EVENTS_PER_FILE }, (_, index) => fileIndex * EVENTS_PER_FILE + index);
      expect(readFileSync(join(folders.out, `in${fileIndex}.LINES.ndjson`), 'utf8')).toBe(ranges.map(line).join(''));
    }
    expect(readdirSync(folders.aggregation)).toEqual([]);
    expect([...dispatcher.completedFiles(taskID)]).toHaveLength(FILE_COUNT);
  });
});
