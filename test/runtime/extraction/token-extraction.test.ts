import { describe, expect, it } from 'vitest';
import type { LeasedRange } from '../../../core/dispatcher-api.ts';
import type { EventSpan, FileRecord } from '../../../core/file-index.ts';
import { parseGuid } from '../../../core/ids.ts';
import {
  type ByteRequest,
  type EventBytesReader,
  TokenExtraction,
} from '../../../runtime/extraction/token-extraction.ts';

const GUID = parseGuid('00000000-0000-8000-8000-000000000001');

/** Event n lies at 100 n and is 10 n long. */
function lookupSpan(_guid: string, firstPosition: number, count: number): EventSpan {
  const positions = Array.from({ length: count }, (_, index) => firstPosition + index);
  return {
    firstPosition,
    count,
    offsets: Float64Array.from(positions, (position) => 100 * position),
    lengths: Uint32Array.from(positions, (position) => 10 * position),
  };
}

class RecordingReader implements EventBytesReader {
  readonly added: number[] = [];
  readonly planned: number[] = [];

  addFile(file: { readonly fileIndex: number }): void {
    this.added.push(file.fileIndex);
  }

  plan(requests: readonly ByteRequest[]): void {
    this.planned.push(...requests.map((request) => request.offsetBytes));
  }

  forget(requests: readonly ByteRequest[]): void {
    this.planned.splice(
      0,
      this.planned.length,
      ...this.planned.filter((offset) => !requests.some((request) => request.offsetBytes === offset)),
    );
  }

  read(requests: readonly ByteRequest[]): Promise<readonly Uint8Array[]> {
    return Promise.resolve(requests.map((request) => new Uint8Array(request.lengthBytes)));
  }
}

function record(compression: FileRecord['compression']): FileRecord {
  return {
    guid: GUID,
    lfn: 'events.hepmc',
    format: 'hepmc3',
    compression,
    sizeBytes: 1000,
    sha256: '',
    eventCount: 9,
    runSegments: [{ firstPosition: 1, offsetBytes: 0, lengthBytes: 50 }],
  };
}

function range(fileIndex: number, startEvent: number, lastEvent = startEvent): LeasedRange {
  return { rangeIndex: startEvent, fileIndex, startEvent, lastEvent, attemptNr: 1, failures: 0 };
}

const never = new AbortController().signal;

describe('token extraction', () => {
  it('finds the bytes of one event, and of each event in a range of several', () => {
    const extraction = new TokenExtraction({ lookupSpan }, new RecordingReader());
    extraction.addFile({ kind: 'extract-file', fileIndex: 0, record: record('none'), places: ['/data/events.hepmc'] });
    expect(extraction.locate([range(0, 1), range(0, 2, 3)])).toMatchObject([
      { startEvent: 1, offsetBytes: 100, lengthBytes: 10, cuts: null },
      { startEvent: 2, offsetBytes: 200, lengthBytes: 130, cuts: [0, 20, 100, 30] },
    ]);
  });

  it('looks neighbours up at once and follows jumps', () => {
    const calls: number[][] = [];
    const extraction = new TokenExtraction(
      {
        lookupSpan: (guid, first, count) => {
          calls.push([first, count]);
          return lookupSpan(guid, first, count);
        },
      },
      new RecordingReader(),
    );
    extraction.addFile({ kind: 'extract-file', fileIndex: 0, record: record('none'), places: ['/a'] });
    const tokens = extraction.locate([range(0, 7), range(0, 1), range(0, 2), range(0, 3), range(0, 5)]);
    expect(tokens.map((token) => token.offsetBytes)).toEqual([700, 100, 200, 300, 500]);
    expect(calls).toEqual([
      [7, 1],
      [1, 3],
      [5, 1],
    ]);
  });

  it('leaves plain local files to the workers and describes each file once', async () => {
    const reader = new RecordingReader();
    const extraction = new TokenExtraction({ lookupSpan }, reader);
    extraction.addFile({ kind: 'extract-file', fileIndex: 0, record: record('none'), places: ['/data/events.hepmc'] });
    const tokens = extraction.locate([range(0, 1)]);
    const first = await extraction.load(tokens, never);
    expect(first.files).toMatchObject([{ fileIndex: 0, path: '/data/events.hepmc', runHeaders: null }]);
    expect(first.tokens[0]?.frame).toBe(-1);
    expect(first.frames).toEqual([]);
    expect((await extraction.load(tokens, never)).files).toEqual([]);
    expect(reader.added).toEqual([]);
  });

  it.each([
    ['a compressed file', 'gzip', '/data/events.hepmc.gz'],
    ['a remote file', 'none', 'https://example.org/events.hepmc'],
  ] as const)('lets the bytes of %s ride with the tokens', async (_, compression, place) => {
    const reader = new RecordingReader();
    const extraction = new TokenExtraction({ lookupSpan }, reader);
    extraction.addFile({ kind: 'extract-file', fileIndex: 3, record: record(compression), places: [place] });
    const tokens = extraction.locate([range(3, 2), range(3, 4)]);
    extraction.plan(tokens);
    const batch = await extraction.load(tokens, never);
    expect(reader.added).toEqual([3]);
    // The run header is read when the file is first described.
    expect(reader.planned).toEqual([200, 400, 0]);
    expect(batch.files[0]?.runHeaders?.[0]?.length).toBe(50);
    expect(batch.tokens.map((token) => token.frame)).toEqual([0, 1]);
    expect(batch.frames.map((frame) => frame.length)).toEqual([20, 40]);
  });

  it('counts entries of a ROOT tree, and learns their lengths with their bytes', async () => {
    const reader: EventBytesReader = {
      addFile: () => undefined,
      plan: () => undefined,
      forget: () => undefined,
      read: (requests) =>
        Promise.resolve(
          requests.map(({ offsetBytes, lengthBytes }) => {
            const lengths = Array.from({ length: lengthBytes }, (_, index) => offsetBytes + index + 1);
            return { bytes: new Uint8Array(lengths.reduce((sum, length) => sum + length, 0)), lengths };
          }),
        ),
    };
    const extraction = new TokenExtraction({ lookupSpan: () => expect.unreachable() }, reader);
    const rootRecord: FileRecord = { ...record('none'), format: 'root', runSegments: [] };
    extraction.addFile({ kind: 'extract-file', fileIndex: 0, record: rootRecord, places: ['/data/events.root'] });
    const { tokens, frames } = await extraction.load(extraction.locate([range(0, 4), range(0, 5, 7)]), never);
    expect(tokens).toMatchObject([
      { offsetBytes: 3, lengthBytes: 4, cuts: null, frame: 0 },
      { offsetBytes: 4, lengthBytes: 18, cuts: [0, 5, 5, 6, 11, 7], frame: 1 },
    ]);
    expect(frames.map(({ length }) => length)).toEqual([4, 18]);
    expect(() => extraction.locate([range(0, 9, 10)])).toThrow(expect.objectContaining({ code: 'EVENT_NOT_FOUND' }));
  });
});
