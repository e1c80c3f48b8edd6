import { appendFileSync, existsSync, mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OutputRecord } from '../../../core/dispatcher-api.ts';
import { outputFormat } from '../../../payloads/formats/registry.ts';
import type { MergeFolders } from '../../../runtime/merge/merge-messages.ts';
import { type AdoptableRange, type AdoptionRequest, adoptOutputs } from '../../../runtime/run/adoption.ts';
import { listing, listingFormat } from '../merge/listing-format.ts';
import { createMergeFolders, removeMergeFolders, writeUnmerged } from '../merge/unmerged-files.ts';

let folders: MergeFolders;

beforeEach(() => {
  folders = createMergeFolders();
});
afterEach(() => removeMergeFolders(folders));

/** Named as {@link writeUnmerged} names their files. */
function range(rangeIndex: number, attemptNr = 1): AdoptableRange {
  return { rangeIndex, fileIndex: 0, startEvent: rangeIndex + 1, lastEvent: rangeIndex + 1, jobID: 1, attemptNr };
}

function write(rangeIndex: number, stream: string, attemptNr = 1): OutputRecord {
  const output = { bytes: listing('run', [`${stream} ${rangeIndex}`, 'more']), recordCount: 2 };
  return writeUnmerged(folders, { rangeIndex, attemptNr }, stream, output);
}

function pathOf(record: OutputRecord): string {
  return join(folders.aggregation, record.file);
}

function request(changes: Partial<AdoptionRequest> = {}): AdoptionRequest {
  return {
    aggregationFolder: folders.aggregation,
    taskID: 1,
    streams: ['HITS', 'TRACKS'].map((name) => ({ name, formatOf: () => listingFormat })),
    sequence: { at: 'EndEvent' },
    sameBoot: true,
    ranges: [],
    recordedFiles: new Set(),
    ...changes,
  };
}

describe('adoption', () => {
  it('takes ranges whose files are all there, with the records a worker would have reported', async () => {
    const outputs = [0, 2000].map((index) => [write(index, 'HITS'), write(index, 'TRACKS')]);
    const result = await adoptOutputs(request({ ranges: [range(0), range(1), range(2000)] }));
    expect(result).toEqual({
      adopted: [
        { rangeIndex: 0, attemptNr: 1, outputs: outputs[0] },
        { rangeIndex: 2000, attemptNr: 1, outputs: outputs[1] },
      ],
      removedFileCount: 0,
    });
    for (const record of outputs.flat()) expect(existsSync(pathOf(record))).toBe(true);
  });

  it('removes files of ranges that lack a stream', async () => {
    write(0, 'HITS');
    const result = await adoptOutputs(request({ ranges: [range(0)] }));
    expect(result).toEqual({ adopted: [], removedFileCount: 1 });
    expect(readdirSync(folders.aggregation)).toEqual([]);
  });

  it('removes files that are not whole, and all files of their range', async () => {
    const cut = write(0, 'HITS');
    write(0, 'TRACKS');
    truncateSync(pathOf(cut), 3);
    const longer = write(1, 'HITS');
    write(1, 'TRACKS');
    appendFileSync(pathOf(longer), 'x');
    const result = await adoptOutputs(request({ ranges: [range(0), range(1)] }));
    expect(result).toEqual({ adopted: [], removedFileCount: 4 });
  });

  it('does not take an empty file for one without records', async () => {
    const empty = write(0, 'HITS');
    truncateSync(pathOf(empty), 0);
    const streams = [{ name: 'HITS', formatOf: () => outputFormat('ndjson') }];
    const result = await adoptOutputs(request({ ranges: [range(0)], streams }));
    expect(result).toEqual({ adopted: [], removedFileCount: 1 });
  });

  it('removes earlier attempts, temporary files, copies and whatever else is there', async () => {
    write(0, 'HITS', 1);
    const wanted = [write(0, 'HITS', 2), write(0, 'TRACKS', 2)];
    writeFileSync(join(folders.aggregation, '0', '.part-HITS.1-1-1-1-2'), 'x');
    writeFileSync(join(folders.aggregation, '0', 'HITS.1-1-1-1-2.copy'), 'x');
    writeFileSync(join(folders.aggregation, 'stray'), 'x');
    mkdirSync(join(folders.aggregation, '0', 'folder', 'in folder'), { recursive: true });
    mkdirSync(join(folders.aggregation, '7'));
    const result = await adoptOutputs(request({ ranges: [range(0, 2)] }));
    expect(result).toEqual({ adopted: [{ rangeIndex: 0, attemptNr: 2, outputs: wanted }], removedFileCount: 5 });
    expect(readdirSync(folders.aggregation)).toEqual(['0']);
    expect(readdirSync(join(folders.aggregation, '0'))).toHaveLength(2);
  });

  it('keeps recorded files, even damaged ones: the merge decides about them', async () => {
    const recorded = write(5, 'HITS');
    truncateSync(pathOf(recorded), 1);
    const result = await adoptOutputs(request({ recordedFiles: new Set([recorded.file]) }));
    expect(result).toEqual({ adopted: [], removedFileCount: 0 });
    expect(existsSync(pathOf(recorded))).toBe(true);
  });

  it.each<[string, Partial<AdoptionRequest>]>([
    ['after a power loss', { sameBoot: false }],
    ['where ranges share files', { sequence: { at: 'events', count: 10 } }],
    ['of several events', { ranges: [{ ...range(0), lastEvent: 2 }] }],
  ])('takes no range %s', async (_, changes) => {
    write(0, 'HITS');
    write(0, 'TRACKS');
    const result = await adoptOutputs(request({ ranges: [range(0)], ...changes }));
    expect(result).toEqual({ adopted: [], removedFileCount: 2 });
  });

  it('finds nothing in a folder that does not exist', async () => {
    const result = await adoptOutputs(request({ aggregationFolder: join(folders.out, 'none') }));
    expect(result).toEqual({ adopted: [], removedFileCount: 0 });
  });
});
