/** Takes a merged file apart again, in bounded memory: runs of whole records under one header. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { FormatName } from '../../core/file-index.ts';
import { MERGE_BUFFER_BYTES } from '../../core/limits.ts';
import type { OutputFormat, OutputFormatName, SplitOutput } from '../../payloads/formats/event-format.ts';
import { inputFormat } from '../../payloads/formats/registry.ts';

/** Half-open byte range of a record, and the header in force for it. */
interface PlacedRecord {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly header: Uint8Array;
}

/** A run of records, and where it began in the merged file. */
export interface MergedRun {
  readonly offsetBytes: number;
  /** valid until the next run is asked for */
  readonly part: SplitOutput;
}

const NO_HEADER = new Uint8Array(0);

/**
 * The records of a merged file, in order, in runs that end at the latest where one of `cuts` lies.
 *
 * @param cuts sorted offsets, each between two records
 */
export function* readMergedRuns(path: string, format: OutputFormat, cuts: readonly number[]): Generator<MergedRun> {
  const fd = openSync(path, 'r');
  try {
    const { size } = fstatSync(fd);
    let info = format.readInfo?.((lengthBytes) => readAt(fd, Math.max(0, size - lengthBytes), lengthBytes));
    let run: { offsetBytes: number; endBytes: number; header: Uint8Array } | undefined;
    let nextCut = 0;
    const take = (): MergedRun | undefined => {
      if (run === undefined) return undefined;
      const { offsetBytes, endBytes, header } = run;
      // Metadata is that of the whole file: it goes with the first run.
      const body = readAt(fd, offsetBytes, endBytes - offsetBytes);
      const part = { header, body, recordCount: Number.NaN, ...(info === undefined ? {} : { info }) };
      info = undefined;
      return { offsetBytes, part };
    };
    const records = format.name === 'bytes' ? piecesBetween(size, cuts) : placedRecords(fd, recordsAs(format.name));
    for (const { offsetBytes, lengthBytes, header } of records) {
      const passed = nextCut;
      while ((cuts[nextCut] ?? Number.POSITIVE_INFINITY) <= offsetBytes) nextCut += 1;
      const follows = run !== undefined && run.endBytes === offsetBytes && run.header === header && passed === nextCut;
      if (run !== undefined && follows && offsetBytes + lengthBytes - run.offsetBytes <= MERGE_BUFFER_BYTES) {
        run.endBytes += lengthBytes;
        continue;
      }
      const done = take();
      if (done !== undefined) yield done;
      run = { offsetBytes, endBytes: offsetBytes + lengthBytes, header };
    }
    const done = take();
    if (done !== undefined) yield done;
  } finally {
    closeSync(fd);
  }
}

/** Histograms are lines of JSON. */
function recordsAs(format: Exclude<OutputFormatName, 'bytes'>): FormatName {
  return format === 'histogram' ? 'ndjson' : format;
}

/** A merged file is an input file of its format: its own indexer finds the records. */
function* placedRecords(fd: number, format: FormatName): Generator<PlacedRecord> {
  let placed: PlacedRecord[] = [];
  let header: Uint8Array | undefined;
  const indexer = inputFormat(format).createIndexer({
    event(offsetBytes, lengthBytes) {
      // Formats without run segments have one header, before the first record.
      header ??= offsetBytes === 0 ? NO_HEADER : readAt(fd, 0, offsetBytes);
      placed.push({ offsetBytes, lengthBytes, header });
    },
    runSegment(offsetBytes, lengthBytes) {
      header = readAt(fd, offsetBytes, lengthBytes);
    },
  });
  const chunk = Buffer.allocUnsafe(MERGE_BUFFER_BYTES);
  for (;;) {
    const count = readSync(fd, chunk, 0, chunk.length, null);
    if (count === 0) break;
    indexer.push(chunk.subarray(0, count));
    yield* placed;
    placed = [];
  }
  indexer.end();
  yield* placed;
}

/** Nobody can tell the records of `bytes` apart; they only must not be joined over a cut. */
function* piecesBetween(size: number, cuts: readonly number[]): Generator<PlacedRecord> {
  let at = 0;
  for (const cut of [...cuts, size]) {
    while (at < cut) {
      const lengthBytes = Math.min(cut - at, MERGE_BUFFER_BYTES);
      yield { offsetBytes: at, lengthBytes, header: NO_HEADER };
      at += lengthBytes;
    }
  }
}

/** Fewer bytes than asked for only at the end of the file. */
function readAt(fd: number, offsetBytes: number, lengthBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(lengthBytes);
  let done = 0;
  while (done < lengthBytes) {
    const count = readSync(fd, bytes, done, lengthBytes - done, offsetBytes + done);
    if (count === 0) break;
    done += count;
  }
  return bytes.subarray(0, done);
}
