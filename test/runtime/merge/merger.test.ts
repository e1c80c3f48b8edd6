import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { MergeItem, OutputRecord, StreamProgress } from '../../../core/dispatcher-api.ts';
import { MERGE_BUFFER_BYTES } from '../../../core/limits.ts';
import type {
  Appended,
  MergeFolders,
  MergeMode,
  MergerReply,
  MergeTarget,
} from '../../../runtime/merge/merge-messages.ts';
import { Merger } from '../../../runtime/merge/merger.ts';
import { RecentOutputs } from '../../../runtime/recent-outputs.ts';
import { listing, listingFormat } from './listing-format.ts';
import { createMergeFolders, removeMergeFolders, writeUnmerged } from './unmerged-files.ts';

let folders: MergeFolders;

beforeEach(() => {
  folders = createMergeFolders();
});
afterEach(() => removeMergeFolders(folders));

const hits: MergeTarget = { stream: 'HITS', format: 'ndjson', fileName: 'a.HITS.ndjson' };
const tracks: MergeTarget = { stream: 'TRACKS', format: 'ndjson', fileName: 'a.TRACKS.ndjson' };

function createMerger(mode: MergeMode = 'fast', recent?: RecentOutputs): Merger {
  return new Merger({ folders, mode, recent, formatOf: () => listingFormat });
}

function finished(rangeIndex: number, outputs: readonly OutputRecord[]): MergeItem {
  return {
    kind: 'finished',
    rangeIndex,
    fileIndex: 0,
    startEvent: rangeIndex + 1,
    lastEvent: rangeIndex + 1,
    outputs,
  };
}

function missing(rangeIndex: number): MergeItem {
  return { kind: 'missing', rangeIndex, fileIndex: 0, startEvent: rangeIndex + 1, lastEvent: rangeIndex + 1 };
}

/** A finished range with one record on one stream. */
function event(rangeIndex: number, text: string, stream = 'HITS', header = 'run'): MergeItem {
  const output = { bytes: listing(header, [text]), recordCount: 1 };
  return finished(rangeIndex, [writeUnmerged(folders, { rangeIndex }, stream, output)]);
}

function recordOf(item: MergeItem | undefined): OutputRecord {
  const record = item?.kind === 'finished' ? item.outputs[0] : undefined;
  if (record === undefined) throw new Error('the item has an output');
  return record;
}

function growing(target: MergeTarget): string {
  return readFileSync(join(folders.growing, `${target.fileName}.part`), 'utf8');
}

function append(
  items: readonly MergeItem[],
  options: {
    progress?: readonly StreamProgress[];
    last?: boolean;
    targets?: readonly MergeTarget[];
    mode?: MergeMode;
    recent?: RecentOutputs;
  } = {},
): Appended {
  const { progress = [], last = false, targets = [hits], mode = 'fast', recent } = options;
  return appended(createMerger(mode, recent).handle({ kind: 'append', targets, progress, items, last }));
}

function appended(reply: MergerReply): Appended {
  if (reply.kind !== 'appended') throw new Error(`unexpected reply ${JSON.stringify(reply)}`);
  return reply;
}

describe('appending a stretch', () => {
  it('joins bodies in the order of the items, with a header where it changes', () => {
    const items = [event(0, 'a'), event(1, 'b'), event(2, 'c', 'HITS', 'next run'), event(3, 'd', 'HITS', 'next run')];
    const { throughRange, progress } = append(items);
    expect(growing(hits)).toBe('# run\na\nb\n# next run\nc\nd\n');
    expect(throughRange).toBe(3);
    expect(progress).toMatchObject([{ stream: 'HITS', offsetBytes: growing(hits).length, recordCount: 4 }]);
  });

  it('goes on where the journal says, in another process too', () => {
    const first = append([event(0, 'a')]);
    append([event(1, 'b'), event(2, 'c')], { progress: first.progress });
    expect(growing(hits)).toBe('# run\na\nb\nc\n');
  });

  it('cuts off what a kill left behind the committed bytes', () => {
    const first = append([event(0, 'a')]);
    append([event(1, 'never committed')], { progress: first.progress });
    append([event(1, 'b')], { progress: first.progress });
    expect(growing(hits)).toBe('# run\na\nb\n');
  });

  it('completes the files, also of streams that nothing was written to', () => {
    const { complete } = append([event(0, 'a')], { last: true, targets: [hits, tracks] });
    expect(growing(hits)).toBe('# run\na\n.\n');
    expect(growing(tracks)).toBe('.\n');
    expect(complete).toMatchObject([
      { stream: 'HITS', fileName: 'a.HITS.ndjson', sizeBytes: 10, recordCount: 1 },
      { stream: 'TRACKS', fileName: 'a.TRACKS.ndjson', sizeBytes: 2, recordCount: 0 },
    ]);
  });

  it('leaves a gap in each stream where a range is missing', () => {
    const { gaps, throughRange } = append([event(0, 'a'), missing(1), event(2, 'c'), missing(3)], {
      targets: [hits, tracks],
    });
    expect(throughRange).toBe(3);
    expect(gaps).toEqual([
      { rangeIndex: 1, stream: 'HITS', offsetBytes: 8 },
      { rangeIndex: 1, stream: 'TRACKS', offsetBytes: 0 },
      { rangeIndex: 3, stream: 'HITS', offsetBytes: 10 },
      { rangeIndex: 3, stream: 'TRACKS', offsetBytes: 0 },
    ]);
  });

  it('takes ranges without outputs and ranges with several files of one stream', () => {
    const several = [0, 1].map((part) =>
      writeUnmerged(folders, { rangeIndex: 1, attemptNr: 10 + part }, 'HITS', {
        bytes: listing('run', [`b${part}`]),
        recordCount: 1,
      }),
    );
    const { removable } = append([finished(0, []), finished(1, several)]);
    expect(growing(hits)).toBe('# run\nb0\nb1\n');
    expect(removable.split('\n')).toEqual(several.map(({ file }) => file));
  });

  it('joins many files, and files larger than its buffer', () => {
    const texts = ['x'.repeat(MERGE_BUFFER_BYTES + 5), 'y'.repeat(MERGE_BUFFER_BYTES - 10)];
    for (let index = 2; index < 3000; index += 1) texts.push(`event ${index}`);
    append(texts.map((text, index) => event(index, text)));
    expect(growing(hits) === `# run\n${texts.join('\n')}\n`).toBe(true);
  });

  it('decodes and rewrites every record in a slow merge', () => {
    append([event(0, 'a'), event(1, 'b')], { mode: 'slow' });
    expect(growing(hits)).toBe('# run\nA\nB\n');
  });
});

describe('an output of which a copy is in memory', () => {
  function leave(recent: RecentOutputs, item: MergeItem): void {
    const record = recordOf(item);
    recent.leave(item.rangeIndex, record, readFileSync(join(folders.aggregation, record.file)));
  }

  it.each(['fast', 'slow'] as const)('is not read from its file (%s)', (mode) => {
    const recent = new RecentOutputs(RecentOutputs.createMemory(), ['HITS']);
    const items = [event(0, 'a'), event(1, 'b'), event(2, 'c')];
    for (const item of items) leave(recent, item);
    rmSync(join(folders.aggregation, recordOf(items[1]).file));
    const { removable, throughRange } = append(items, { recent, mode });
    expect(throughRange).toBe(2);
    expect(growing(hits)).toBe(mode === 'fast' ? '# run\na\nb\nc\n' : '# run\nA\nB\nC\n');
    expect(removable.split('\n')).toEqual(items.map((item) => recordOf(item).file));
  });

  it('is read from its file when the copy is that of another attempt', () => {
    const recent = new RecentOutputs(RecentOutputs.createMemory(), ['HITS']);
    leave(recent, event(0, 'failed'));
    append([event(0, 'a')], { recent });
    expect(growing(hits)).toBe('# run\na\n');
  });
});

describe('a damaged unmerged file', () => {
  const damages: readonly [string, (path: string) => void, RegExp][] = [
    ['is missing', (path) => rmSync(path), /ENOENT/],
    ['is cut', (path) => truncateSync(path, 5), /wanted 10 bytes, found 5/],
    ['is longer', (path) => appendFileSync(path, 'x'), /wanted 10 bytes, found more/],
    ['has a flipped bit', (path) => writeFileSync(path, '# run\nC\n.\n'), /wanted CRC-32 [0-9a-f]{8}, found/],
    ['is a folder', (path) => [rmSync(path), mkdirSync(path)], /EISDIR/],
  ];
  it.each(damages)('that %s ends the stretch before its range, and the others are looked at', (_, damage, problem) => {
    const items = [event(0, 'a'), event(1, 'b'), event(2, 'c'), event(3, 'd'), event(4, 'e')];
    for (const index of [2, 4]) damage(join(folders.aggregation, recordOf(items[index]).file));
    const reply = append(items, { last: true });
    expect(growing(hits)).toBe('# run\na\nb\n');
    expect(reply).toMatchObject({ throughRange: 1, complete: null });
    expect(reply.damaged.map(({ rangeIndex }) => rangeIndex)).toEqual([2, 4]);
    expect(reply.damaged[0]?.message).toMatch(problem);
    expect(reply.damaged[0]?.message).toContain(recordOf(items[2]).file);
    expect(reply.removable.split('\n')).toEqual([recordOf(items[0]).file, recordOf(items[1]).file]);
  });

  it('as the first item leaves the growing file as it was', () => {
    const before = append([event(0, 'a')]);
    const item = event(1, 'b');
    rmSync(join(folders.aggregation, recordOf(item).file));
    const reply = append([item, event(2, 'c')], { progress: before.progress });
    expect(reply).toMatchObject({ throughRange: null, removable: '' });
    expect(reply.damaged).toHaveLength(1);
    expect(growing(hits)).toBe('# run\na\n');
  });

  it('of one stream keeps its range out of all streams', () => {
    const both = (rangeIndex: number): MergeItem =>
      finished(rangeIndex, [recordOf(event(rangeIndex, 'h')), recordOf(event(rangeIndex, 't', 'TRACKS'))]);
    const items = [both(0), both(1)];
    rmSync(join(folders.aggregation, '0/TRACKS.1-1-1-2-1'));
    append(items, { targets: [hits, tracks] });
    expect(growing(hits)).toBe('# run\nh\n');
    expect(growing(tracks)).toBe('# run\nt\n');
  });

  it('is noticed when its records are not as many as recorded', () => {
    const record = recordOf(event(0, 'a'));
    const reply = append([finished(0, [{ ...record, recordCount: 2 }])]);
    expect(reply.damaged[0]?.message).toContain('wanted 2 records, found 1');
  });
});

describe('files shared by several ranges', () => {
  const header = '# run\n';

  /** One file with one record for each range, and the ranges' slices of it. */
  function share(name: string, ranges: readonly number[]): MergeItem[] {
    const records = ranges.map((range) => `event ${range}`);
    mkdirSync(join(folders.aggregation, '0'), { recursive: true });
    writeFileSync(join(folders.aggregation, '0', name), listing('run', records));
    let offsetBytes = header.length;
    return ranges.map((range, index) => {
      const text = `${records[index]}\n`;
      const record: OutputRecord = {
        stream: 'HITS',
        file: `0/${name}`,
        offsetBytes,
        lengthBytes: text.length,
        headerBytes: header.length,
        crc32: crc32(text, crc32(header)),
        recordCount: 1,
      };
      offsetBytes += text.length;
      return finished(range, [record]);
    });
  }

  it('are merged in the order of the ranges and given up with their last slice', () => {
    const items = [...share('one', [0, 3, 2]), ...share('two', [1, 4])].sort((a, b) => a.rangeIndex - b.rangeIndex);
    const merger = createMerger();
    const request = { kind: 'append', targets: [hits], last: false } as const;
    const first = appended(merger.handle({ ...request, progress: [], items: items.slice(0, 4) }));
    expect(first.removable).toBe('0/one');
    const second = appended(merger.handle({ ...request, progress: first.progress, items: items.slice(4) }));
    expect(second.removable).toBe('0/two');
    expect(growing(hits)).toBe('# run\nevent 0\nevent 1\nevent 2\nevent 3\nevent 4\n');
  });

  it('are damaged for the ranges whose bytes are altered only', () => {
    const items = share('one', [0, 1, 2]);
    const path = join(folders.aggregation, '0/one');
    writeFileSync(path, readFileSync(path, 'utf8').replace('event 1', 'event 7'));
    expect(append(items).damaged.map(({ rangeIndex }) => rangeIndex)).toEqual([1]);
  });

  it('are damaged for all ranges when their header is altered', () => {
    const items = share('one', [0, 1]);
    const path = join(folders.aggregation, '0/one');
    writeFileSync(path, readFileSync(path, 'utf8').replace('# run', '# ruN'));
    expect(append(items).damaged).toHaveLength(2);
  });
});

describe('a growing file', () => {
  it('that is missing is lost', () => {
    const { progress } = append([event(0, 'a')]);
    rmSync(join(folders.growing, 'a.HITS.ndjson.part'));
    const reply = createMerger().handle({
      kind: 'append',
      targets: [hits],
      progress,
      items: [event(1, 'b')],
      last: false,
    });
    expect(reply).toEqual({
      kind: 'lost',
      message: expect.stringMatching(/a\.HITS\.ndjson\.part is missing: wanted 8/),
    });
  });

  it('that is shorter than its committed length is lost', () => {
    const { progress } = append([event(0, 'a')]);
    truncateSync(join(folders.growing, 'a.HITS.ndjson.part'), 3);
    const reply = createMerger().handle({
      kind: 'append',
      targets: [hits],
      progress,
      items: [event(1, 'b')],
      last: false,
    });
    expect(reply).toEqual({ kind: 'lost', message: expect.stringMatching(/wanted 8 merged bytes, found 3/) });
  });

  it('is not confused with a snapshot that has its final name', () => {
    const { progress } = append([event(0, 'a')]);
    writeFileSync(join(folders.out, 'a.HITS.ndjson'), '# run\na\nother bytes\n.\n');
    rmSync(join(folders.growing, 'a.HITS.ndjson.part'));
    const reply = createMerger().handle({
      kind: 'append',
      targets: [hits],
      progress,
      items: [event(1, 'b')],
      last: false,
    });
    expect(reply.kind).toBe('lost');
  });
});

describe('a snapshot', () => {
  it('holds what is merged and what is finished behind it, and changes nothing', () => {
    const { progress } = append([event(0, 'a')]);
    const reply = createMerger().handle({
      kind: 'snapshot',
      targets: [hits, tracks],
      progress,
      items: [event(2, 'c'), event(5, 'f')],
    });
    if (reply.kind !== 'snapshot') throw new Error('a snapshot is taken');
    expect(reply.files.map(({ path }) => readFileSync(path, 'utf8'))).toEqual(['# run\na\nc\nf\n.\n', '.\n']);
    expect(reply.files).toMatchObject([
      { stream: 'HITS', fileName: 'a.HITS.ndjson', sizeBytes: 14, recordCount: 3 },
      { stream: 'TRACKS', recordCount: 0 },
    ]);
    expect(growing(hits)).toBe('# run\na\n');
    expect(readdirSync(join(folders.aggregation, '0'))).toHaveLength(3);
    expect(existsSync(join(folders.out, 'a.HITS.ndjson'))).toBe(false);
  });

  it('leaves damaged outputs out and says so', () => {
    const items = [event(0, 'a'), event(1, 'b'), event(2, 'c')];
    rmSync(join(folders.aggregation, recordOf(items[1]).file));
    const reply = createMerger().handle({ kind: 'snapshot', targets: [hits], progress: [], items });
    if (reply.kind !== 'snapshot') throw new Error('a snapshot is taken');
    expect(reply.damaged).toMatchObject([{ rangeIndex: 1 }]);
    expect(reply.files.map(({ path }) => readFileSync(path, 'utf8'))).toEqual(['# run\na\nc\n.\n']);
  });
});
