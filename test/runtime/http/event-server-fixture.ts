/** A folder of NDJSON files with an index in memory, as an event server sees them. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { GranuleError } from '../../../core/errors.ts';
import type { EventSpan, FileRecord } from '../../../core/file-index.ts';
import { type Guid, guidFromSha256 } from '../../../core/ids.ts';
import type { ServedIndex } from '../../../runtime/http/served-files.ts';

interface IndexedFile {
  readonly record: FileRecord;
  readonly offsets: readonly number[];
  readonly lengths: readonly number[];
}

export class MemoryIndex implements ServedIndex {
  readonly files = new Map<Guid, IndexedFile>();

  fileRecord(guid: Guid): FileRecord | undefined {
    return this.files.get(guid)?.record;
  }

  lookupSpan(guid: Guid, firstPosition: number, count: number): EventSpan {
    const file = this.files.get(guid);
    if (file === undefined || firstPosition + count - 1 > file.offsets.length)
      throw new GranuleError('EVENT_NOT_FOUND', 'none');
    const [from, to] = [firstPosition - 1, firstPosition - 1 + count];
    return {
      firstPosition,
      count,
      offsets: Float64Array.from(file.offsets.slice(from, to)),
      lengths: Uint32Array.from(file.lengths.slice(from, to)),
    };
  }

  /** Every file has run 7, and event numbers that are ten times the position. */
  lookupEvents(
    requests: readonly (readonly [run: number, eventNumber: number])[],
  ): { request: number; guid: Guid; position: number }[] {
    return requests.flatMap(([run, eventNumber], request) =>
      [...this.files.values()]
        .filter(({ record }) => run === 7 && eventNumber % 10 === 0 && eventNumber / 10 <= record.eventCount)
        .map(({ record }) => ({ request, guid: record.guid, position: eventNumber / 10 })),
    );
  }
}

export interface ServedFolder {
  readonly index: MemoryIndex;
  readonly paths: Map<Guid, string>;
  readonly plain: FileRecord;
  readonly packed: FileRecord;
  /** the events of both files, which are the same */
  readonly events: readonly Buffer[];
  readonly content: Buffer;
  remove(): Promise<void>;
}

export async function createServedFolder(eventCount: number, eventBytes: number): Promise<ServedFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'granule-served-'));
  const index = new MemoryIndex();
  const paths = new Map<Guid, string>();
  const events = Array.from({ length: eventCount }, (_, at) =>
    Buffer.from(`{"event":${at},"fill":"${'x'.repeat(eventBytes)}"}\n`),
  );
  const content = Buffer.concat(events);
  const add = async (lfn: string, bytes: Buffer, compression: FileRecord['compression']): Promise<FileRecord> => {
    const digest = createHash('sha256').update(bytes).digest();
    const record: FileRecord = {
      guid: guidFromSha256(digest),
      lfn,
      format: 'ndjson',
      compression,
      sizeBytes: bytes.length,
      sha256: digest.toString('hex'),
      eventCount,
      runSegments: [],
    };
    let offset = 0;
    const offsets = events.map((event) => {
      offset += event.length;
      return offset - event.length;
    });
    index.files.set(record.guid, { record, offsets, lengths: events.map((event) => event.length) });
    paths.set(record.guid, join(folder, lfn));
    await writeFile(join(folder, lfn), bytes);
    return record;
  };
  return {
    index,
    paths,
    plain: await add('plain.ndjson', content, 'none'),
    packed: await add('packed.ndjson.gz', gzipSync(content), 'gzip'),
    events,
    content,
    remove: () => rm(folder, { recursive: true }),
  };
}
