import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { OUTPUT_AT_ONCE_BYTES_MAX } from '../../../core/limits.ts';
import type { RangeToken, WorkerFile } from '../../../core/messages.ts';
import { readRecordPrefix } from '../../../payloads/formats/gev-layout.ts';
import { outputFormat } from '../../../payloads/formats/registry.ts';
import { RecentOutputs } from '../../../runtime/recent-outputs.ts';
import { OutputSequencer } from '../../../runtime/worker/output-sequencer.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-sequencer-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('sums what a range has in a shared file, though it writes nothing in between', () => {
  const aggregationFolder = join(folder, 'unmerged');
  mkdirSync(join(aggregationFolder, '0'), { recursive: true });
  const sequencer = new OutputSequencer({
    outputs: { OUT: { format: 'bytes' } },
    folder,
    session: 'worker-0',
    aggregationFolder,
    rule: { at: 'events', count: 2 },
    taskID: 1,
    jobID: 1,
    outputBytesMax: 1_000_000,
    processingTag: 'test',
  });
  const token = { rangeIndex: 0, fileIndex: 0, attemptNr: 1, startEvent: 1, lastEvent: 1 } as RangeToken;
  sequencer.beginRange(token, { fileIndex: 0, format: 'ndjson' } as WorkerFile, false);
  sequencer.beginEvent({ position: 1, eventNumber: 1, runNumber: 1, runHeader: new Uint8Array(0) });
  sequencer.write('OUT', Buffer.from('abc'));
  sequencer.write('OUT', new Uint8Array(new ArrayBuffer(0)));
  sequencer.endEvent();
  sequencer.endRange(1);
  sequencer.closeFiles();
  expect(sequencer.takeComplete()[0]?.outputs).toMatchObject([{ lengthBytes: 3, crc32: crc32(Buffer.from('abc')) }]);
});

it('writes the numbers of event and run into records of a format that carries them', () => {
  const aggregationFolder = join(folder, 'unmerged');
  mkdirSync(join(aggregationFolder, '0'), { recursive: true });
  const sequencer = new OutputSequencer({
    outputs: { OUT: { format: 'gev' } },
    folder,
    session: 'worker-0',
    aggregationFolder,
    rule: { at: 'EndEvent' },
    taskID: 1,
    jobID: 1,
    outputBytesMax: 1_000_000,
    processingTag: 'test',
  });
  const token = { rangeIndex: 0, fileIndex: 0, attemptNr: 1, startEvent: 1, lastEvent: 1 } as RangeToken;
  sequencer.beginRange(token, { fileIndex: 0, format: 'ndjson' } as WorkerFile, false);
  sequencer.beginEvent({ position: 1, eventNumber: 4711, runNumber: 105, runHeader: new Uint8Array(0) });
  sequencer.write('OUT', { n: 1 });
  sequencer.endEvent();
  sequencer.endRange(1);
  const file = sequencer.takeComplete()[0]?.outputs[0]?.file ?? '';
  const { body } = outputFormat('gev').split(readFileSync(join(aggregationFolder, file)));
  expect(readRecordPrefix(Buffer.from(body))).toMatchObject({ eventNumber: 4711, runNumber: 105 });
});

it('leaves a copy of each small file for the merger, and none of a large one', () => {
  const aggregationFolder = join(folder, 'unmerged');
  mkdirSync(join(aggregationFolder, '0'), { recursive: true });
  const memory = RecentOutputs.createMemory();
  const sequencer = new OutputSequencer({
    outputs: { OUT: { format: 'ndjson' } },
    folder,
    session: 'worker-0',
    aggregationFolder,
    rule: { at: 'EndEvent' },
    taskID: 1,
    jobID: 1,
    outputBytesMax: 1_000_000,
    processingTag: 'test',
    recent: new RecentOutputs(memory, ['OUT']),
  });
  const file = { fileIndex: 0, format: 'ndjson' } as WorkerFile;
  for (const [rangeIndex, text] of ['small', 'x'.repeat(OUTPUT_AT_ONCE_BYTES_MAX)].entries()) {
    const position = rangeIndex + 1;
    const token = { rangeIndex, fileIndex: 0, attemptNr: 1, startEvent: position, lastEvent: position } as RangeToken;
    sequencer.beginRange(token, file, false);
    sequencer.beginEvent({ position, eventNumber: position, runNumber: 1, runHeader: new Uint8Array(0) });
    sequencer.write('OUT', { text });
    sequencer.endEvent();
    sequencer.endRange(1);
  }
  const merger = new RecentOutputs(memory, ['OUT']);
  const found = sequencer.takeComplete().map(({ token, outputs: [output] }) => {
    if (output === undefined) throw new Error('each range has an output');
    const bytes = Buffer.alloc(output.lengthBytes);
    const isThere = merger.copy(token.rangeIndex, output, bytes);
    if (isThere) expect(bytes).toEqual(readFileSync(join(aggregationFolder, output.file)));
    return isThere;
  });
  expect(found).toEqual([true, false]);
});
