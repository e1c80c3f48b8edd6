import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { OUTPUT_AT_ONCE_BYTES_MAX } from '../../../core/limits.ts';
import type { RangeToken, WorkerFile } from '../../../core/messages.ts';
import { readRecordPrefix } from '../../../payloads/formats/gev-layout.ts';
import { outputFormat } from '../../../payloads/formats/registry.ts';
import { RecentOutputs } from '../../../runtime/recent-outputs.ts';
import { OutputSequencer, type SequencerOptions } from '../../../runtime/worker/output-sequencer.ts';

const NO_HEADER = new Uint8Array(0);
const FILE = { fileIndex: 0, format: 'ndjson' } as WorkerFile;

let folder: string;
let aggregationFolder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-sequencer-'));
  aggregationFolder = join(folder, 'unmerged');
  mkdirSync(join(aggregationFolder, '0'), { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function create(options: Pick<SequencerOptions, 'outputs'> & Partial<SequencerOptions>): OutputSequencer {
  return new OutputSequencer({
    folder,
    session: 'worker-0',
    aggregationFolder,
    rule: { at: 'EndEvent' },
    taskID: 1,
    jobID: 1,
    outputBytesMax: 1_000_000,
    processingTag: 'test',
    ...options,
  });
}

/** Begins a range of one event, and the event. */
function beginRange(sequencer: OutputSequencer, rangeIndex: number): void {
  const position = rangeIndex + 1;
  const token = { rangeIndex, fileIndex: 0, attemptNr: 1, startEvent: position, lastEvent: position } as RangeToken;
  sequencer.beginRange(token, FILE, false);
  sequencer.beginEvent({ position, eventNumber: 4711, runNumber: 105, runHeader: NO_HEADER });
}

/** A range of one event that writes these records to OUT. */
function writeRange(sequencer: OutputSequencer, rangeIndex: number, records: readonly unknown[]): void {
  beginRange(sequencer, rangeIndex);
  for (const record of records) sequencer.write('OUT', record);
  sequencer.endEvent();
  sequencer.endRange(1);
}

it('sums what a range has in a shared file, though it writes nothing in between', () => {
  const sequencer = create({ outputs: { OUT: { format: 'bytes' } }, rule: { at: 'events', count: 2 } });
  writeRange(sequencer, 0, [Buffer.from('abc'), new Uint8Array(new ArrayBuffer(0))]);
  sequencer.closeFiles();
  expect(sequencer.takeComplete()[0]?.outputs).toMatchObject([{ lengthBytes: 3, crc32: crc32(Buffer.from('abc')) }]);
});

it('writes the numbers of event and run into records of a format that carries them', () => {
  const sequencer = create({ outputs: { OUT: { format: 'gev' } } });
  writeRange(sequencer, 0, [{ n: 1 }]);
  const file = sequencer.takeComplete()[0]?.outputs[0]?.file ?? '';
  const { body } = outputFormat('gev').split(readFileSync(join(aggregationFolder, file)));
  expect(readRecordPrefix(Buffer.from(body))).toMatchObject({ eventNumber: 4711, runNumber: 105 });
});

it('leaves a copy of each small file for the merger, and none of a large one', () => {
  const memory = RecentOutputs.createMemory();
  const sequencer = create({ outputs: { OUT: { format: 'ndjson' } }, recent: new RecentOutputs(memory, ['OUT']) });
  writeRange(sequencer, 0, ['small']);
  writeRange(sequencer, 1, ['x'.repeat(OUTPUT_AT_ONCE_BYTES_MAX)]);
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

it.skipIf(!existsSync('/dev/full')).each([
  ['of its own', 'EndEvent'],
  ['shared with others', 'events'],
] as const)('fails a range that could not be written to a file %s, whatever its payload makes of that', (_, at) => {
  const sequencer = create({
    outputs: { OUT: { format: 'ndjson' } },
    rule: at === 'events' ? { at, count: 3 } : { at },
    outputBytesMax: 10_000_000,
  });
  symlinkSync('/dev/full', join(folder, 'OUT.worker-0.part'));
  if (at === 'events') writeRange(sequencer, 0, ['goes into the same file']);
  const fails = expect.objectContaining({
    code: 'OUTPUT_FAILED',
    details: expect.objectContaining({ errno: 'ENOSPC' }),
  });
  beginRange(sequencer, 1);
  expect(() => sequencer.write('OUT', 'x'.repeat(2_000_000))).toThrow(fails);
  expect(() => sequencer.endEvent()).toThrow(fails);
  sequencer.abandonRange();
  if (at === 'events') expect(() => sequencer.closeFiles()).toThrow(fails);
  expect(sequencer.takeComplete()).toEqual([]);
});
