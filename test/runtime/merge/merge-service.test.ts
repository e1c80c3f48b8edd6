import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { MergeApi, OutputRecord, TaskFile } from '../../../core/dispatcher-api.ts';
import { parseGuid } from '../../../core/ids.ts';
import { MERGE_STRETCH_BYTES_MAX } from '../../../core/limits.ts';
import { silentLogger } from '../../../core/log.ts';
import type { MergeFolders } from '../../../runtime/merge/merge-messages.ts';
import { MergeService, type MergeServiceOptions } from '../../../runtime/merge/merge-service.ts';
import { TableMergeApi } from './table-merge-api.ts';
import { createMergeFolders, removeMergeFolders, writeUnmerged } from './unmerged-files.ts';

const RANGES_PER_FILE = 50;

let folders: MergeFolders;
let services: MergeService[];

beforeEach(() => {
  folders = createMergeFolders();
  services = [];
});
afterEach(async () => {
  await Promise.all(services.map((service) => service.close()));
  removeMergeFolders(folders);
});

function inputFile(fileIndex: number): TaskFile {
  const guid = parseGuid('00000000-0000-8000-8000-000000000000');
  return { fileIndex, guid, lfn: `events${fileIndex}.lhe`, format: 'lhe', eventCount: RANGES_PER_FILE };
}

function start(api: MergeApi, changes: Partial<MergeServiceOptions> = {}): MergeService {
  const service = MergeService.start({
    api,
    taskID: 1,
    folders,
    streams: [
      { name: 'HITS', format: 'ndjson' },
      { name: 'TRACKS', format: 'gev' },
    ],
    naming: { kind: 'input-file' },
    inputFile,
    mode: 'fast',
    log: silentLogger,
    onCommit: () => undefined,
    onFailure: () => undefined,
    ...changes,
  });
  services.push(service);
  return service;
}

function line(rangeIndex: number): string {
  return `{"range":${rangeIndex}}\n`;
}

function write(rangeIndex: number, attemptNr = 1): OutputRecord {
  return writeUnmerged(folders, { rangeIndex, attemptNr }, 'HITS', {
    bytes: Buffer.from(line(rangeIndex)),
    recordCount: 1,
  });
}

function lines(first: number, end: number): string {
  return Array.from({ length: end - first }, (_, index) => line(first + index)).join('');
}

function grownBytes(): number {
  return statSync(join(folders.growing, 'events0.lhe.HITS.ndjson.part')).size;
}

function merged(fileIndex: number): string {
  return readFileSync(join(folders.out, `events${fileIndex}.lhe.HITS.ndjson`), 'utf8');
}

function createTable(fileCount: number): TableMergeApi {
  return new TableMergeApi({ rangeCount: fileCount * RANGES_PER_FILE, rangesPerOutput: RANGES_PER_FILE });
}

describe('the merge service', () => {
  it('lets outputs grow while ranges finish, and completes them', async () => {
    const table = createTable(3);
    let commits = 0;
    const service = start(table, { onCommit: () => (commits += 1) });
    for (let index = 0; index < 3 * RANGES_PER_FILE; index += 1) {
      table.finish(index, [write(index)]);
      if (index % 40 === 39) await service.flush();
    }
    await service.flush();
    expect(commits).toBeGreaterThan(3);
    for (const fileIndex of [0, 1, 2]) {
      const first = fileIndex * RANGES_PER_FILE;
      expect(merged(fileIndex)).toBe(lines(first, first + RANGES_PER_FILE));
      expect(table.outputs[fileIndex]?.completed).toMatchObject([
        {
          stream: 'HITS',
          path: `events${fileIndex}.lhe.HITS.ndjson`,
          sizeBytes: merged(fileIndex).length,
          sha256: createHash('sha256').update(merged(fileIndex)).digest('hex'),
          recordCount: RANGES_PER_FILE,
        },
        { stream: 'TRACKS', path: `events${fileIndex}.lhe.TRACKS.gev`, recordCount: 0 },
      ]);
    }
    expect(new Set(table.states)).toEqual(new Set(['merged']));
    await service.close();
    expect(readdirSync(folders.aggregation)).toEqual([]);
    expect(readdirSync(folders.growing)).toEqual([]);
  });

  it('appends the next stretch before the one in front of it is committed, and removes nothing until then', async () => {
    const table = createTable(1);
    const service = start(table);
    // Two ranges to a stretch.
    service.expectOutputs(MERGE_STRETCH_BYTES_MAX / 4);
    for (let index = 0; index < 10; index += 1) table.finish(index, [write(index)]);
    const commits: { offsetBytes: number; foundBytes: number }[] = [];
    const { commitMerge } = table;
    table.commitMerge = async (request) => {
      // By the time a store has flushed, the merger is through with the stretch behind.
      await vi.waitFor(() => expect(grownBytes()).toBeGreaterThanOrEqual(lines(0, 4).length));
      commits.push({ offsetBytes: request.progress[0]?.offsetBytes ?? 0, foundBytes: grownBytes() });
      expect(table.recordedFiles().every((file) => existsSync(join(folders.aggregation, file)))).toBe(true);
      return commitMerge.call(table, request);
    };
    await service.flush();
    expect(commits.map(({ offsetBytes }) => offsetBytes)).toEqual([2, 4, 6, 8, 10].map((end) => lines(0, end).length));
    expect(commits[0]?.foundBytes).toBeGreaterThan(commits[0]?.offsetBytes ?? 0);
    expect(table.states.slice(0, 10)).toEqual(new Array(10).fill('merged'));
  });

  it('waits for enough ranges unless it is told to flush', async () => {
    const table = createTable(1);
    const service = start(table);
    table.finish(0, [write(0)]);
    service.poke();
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    expect(table.states[0]).toBe('finished');
    await service.flush();
    expect(table.states[0]).toBe('merged');
  });

  it('hands damaged ranges back, naming the event, and goes on when they were made again', async () => {
    const table = createTable(1);
    const service = start(table);
    for (let index = 0; index < RANGES_PER_FILE; index += 1) table.finish(index, [write(index)]);
    for (const index of [10, 20]) rmSync(join(folders.aggregation, `0/HITS.1-1-1-${index + 1}-1`));
    await service.flush();
    expect(table.states.map((state, index) => (state === 'corrupted' ? index : -1)).filter((i) => i >= 0)).toEqual([
      10, 20,
    ]);
    expect(table.complaints[0]).toMatch(/^events0\.lhe:11: unmerged output 0\/HITS\.1-1-1-11-1 of stream HITS/);
    for (const index of [10, 20]) table.finish(index, [write(index, 2)]);
    await service.flush();
    expect(merged(0)).toBe(lines(0, RANGES_PER_FILE));
  });

  it('removes a damaged file when its range is handed back', async () => {
    const table = createTable(1);
    const service = start(table);
    table.finish(0, [write(0)]);
    truncateSync(join(folders.aggregation, '0/HITS.1-1-1-1-1'), 2);
    await service.flush();
    await service.close();
    expect(table.states[0]).toBe('corrupted');
    expect(existsSync(join(folders.aggregation, '0/HITS.1-1-1-1-1'))).toBe(false);
  });

  it('makes an output again from the start when its growing file is gone', async () => {
    const table = createTable(1);
    const service = start(table);
    for (let index = 0; index < 30; index += 1) table.finish(index, [write(index)]);
    await service.flush();
    rmSync(join(folders.growing, 'events0.lhe.HITS.ndjson.part'));
    for (let index = 30; index < RANGES_PER_FILE; index += 1) table.finish(index, [write(index)]);
    await service.flush();
    expect(table.complaints).toEqual([expect.stringMatching(/HITS\.ndjson\.part is missing/)]);
    expect(table.states.slice(0, 30)).toEqual(new Array(30).fill('corrupted'));
    for (let index = 0; index < 30; index += 1) table.finish(index, [write(index, 2)]);
    await service.flush();
    expect(merged(0)).toBe(lines(0, RANGES_PER_FILE));
    expect(table.outputs[0]?.completed?.[0]?.sha256).toBe(createHash('sha256').update(merged(0)).digest('hex'));
  });

  it('goes on after a restart', async () => {
    const table = createTable(1);
    for (let index = 0; index < 20; index += 1) table.finish(index, [write(index)]);
    const before = start(table);
    await before.flush();
    await before.close();
    for (let index = 20; index < RANGES_PER_FILE; index += 1) table.finish(index, [write(index)]);
    await start(table).flush();
    expect(merged(0)).toBe(lines(0, RANGES_PER_FILE));
    expect(table.outputs[0]?.completed?.[0]?.sha256).toBe(createHash('sha256').update(merged(0)).digest('hex'));
  });

  it('stops loudly when the journal cannot be written, and says so to whoever flushes', async () => {
    const table = createTable(1);
    const failures: unknown[] = [];
    const broken = Object.assign(table, { commitMerge: () => Promise.reject(new Error('store full')) });
    const service = start(broken, { onFailure: (error) => failures.push(error) });
    table.finish(0, [write(0)]);
    await expect(service.flush()).rejects.toThrow('store full');
    await expect(service.flush()).rejects.toThrow('store full');
    expect(failures).toHaveLength(1);
    expect(existsSync(join(folders.aggregation, '0/HITS.1-1-1-1-1'))).toBe(true);
  });

  it('stops loudly when merged files cannot be written', async () => {
    const table = createTable(1);
    const failures: unknown[] = [];
    const service = start(table, { onFailure: (error) => failures.push(error) });
    rmSync(folders.growing, { recursive: true });
    writeFileSync(folders.growing, 'in the way');
    table.finish(0, [write(0)]);
    await expect(service.flush()).rejects.toMatchObject({ code: 'OUTPUT_FAILED' });
    expect(failures).toHaveLength(1);
  });

  it('closes twice, and without ever having merged', async () => {
    const service = start(createTable(1));
    await service.close();
    await service.close();
    service.poke();
  });
});

describe('partial outputs', () => {
  it('hold all finished ranges, are replaced by the complete files and change nothing in between', async () => {
    const table = createTable(2);
    const service = start(table);
    for (let index = 0; index < 10; index += 1) table.finish(index, [write(index)]);
    await service.flush();
    for (const index of [12, 20]) table.finish(index, [write(index)]);
    const partial = await service.writePartialOutputs();
    expect(merged(0)).toBe(`${lines(0, 10)}${line(12)}${line(20)}`);
    expect(partial).toMatchObject([
      { outputIndex: 0, stream: 'HITS', recordCount: 12, sha256: createHash('sha256').update(merged(0)).digest('hex') },
      { outputIndex: 0, stream: 'TRACKS', recordCount: 0 },
    ]);
    expect(table.states[12]).toBe('finished');
    for (let index = 0; index < RANGES_PER_FILE; index += 1) {
      if (table.states[index] === 'ready') table.finish(index, [write(index)]);
    }
    await service.flush();
    expect(merged(0)).toBe(lines(0, RANGES_PER_FILE));
    await service.close();
    expect(readdirSync(folders.growing)).toEqual([]);
  });
});
