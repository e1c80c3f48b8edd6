/** Single-event files to merge, and a journal that costs nothing: what a merge benchmark puts around the merge service. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import type {
  MergeApi,
  MergedFile,
  MergeItem,
  MergeJob,
  OutputRecord,
  StreamProgress,
} from '../core/dispatcher-api.ts';
import { formatEventRangeID } from '../core/ids.ts';
import { SHARD_RANGES } from '../core/limits.ts';
import type { OutputFormat } from '../payloads/formats/event-format.ts';

export const STREAM = 'HITS';

/** Values of an event that a detector might have: mostly numbers. `sizeBytes` is what its file will have, roughly. */
function encodeEvent(format: OutputFormat, position: number, sizeBytes: number): Uint8Array {
  const place = { position, eventNumber: position, runNumber: 1 };
  if (format.name === 'gev') {
    const hits = Float32Array.from({ length: Math.max(1, Math.round(sizeBytes / 4) - 60) }, (_, index) => index / 7);
    return format.encode({ position, hits }, place);
  }
  if (format.name === 'ndjson') {
    const hits = Array.from(
      { length: Math.max(1, Math.round(sizeBytes / 7) - 5) },
      (_, index) => (index % 9000) / 1000 + 1,
    );
    return format.encode({ position, hits }, place);
  }
  const lines = [`E ${position} 0 0`, 'U GEV MM'];
  for (let left = sizeBytes - 150; left > 0; left -= 60) lines.push(`A 0 hits${lines.length} ${'0.125 '.repeat(7)}`);
  return format.encode(Buffer.from(`${lines.join('\n')}\n`), place);
}

/** Writes `count` files below the folder, as workers would, and returns their items. */
export function writeSingleEventFiles(
  folder: string,
  format: OutputFormat,
  events: { readonly firstRange: number; readonly count: number; readonly sizeBytes: number },
): MergeItem[] {
  const info = { eventCount: 1, runNumbers: [1], eventTypes: [], processingTags: ['bench'], intervalsOfValidity: [] };
  const bytes = Buffer.concat([
    format.begin({ stream: STREAM, runHeader: new Uint8Array(0), inputFormat: 'hepmc3' }),
    encodeEvent(format, 1, events.sizeBytes),
    format.end(info),
  ]);
  const sum = crc32(bytes);
  const items: MergeItem[] = [];
  for (let rangeIndex = events.firstRange; rangeIndex < events.firstRange + events.count; rangeIndex += 1) {
    const startEvent = rangeIndex + 1;
    const id = formatEventRangeID({ taskID: 1, jobID: 1, fileID: 1, startEvent, attemptNr: 1 });
    const file = `${Math.floor(rangeIndex / SHARD_RANGES)}/${STREAM}.${id}`;
    const path = join(folder, file);
    if (rangeIndex === events.firstRange || rangeIndex % SHARD_RANGES === 0)
      mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    const lengthBytes = bytes.length;
    const record: OutputRecord = { stream: STREAM, file, offsetBytes: 0, lengthBytes, crc32: sum, recordCount: 1 };
    items.push({ kind: 'finished', rangeIndex, fileIndex: 0, startEvent, lastEvent: startEvent, outputs: [record] });
  }
  return items;
}

/** One output whose ranges are given to the merge when the benchmark says so. Kept in memory: the store is not measured. */
export class BenchJournal implements MergeApi {
  #items: readonly MergeItem[] = [];
  #cursor = 0;
  /** end of what was offered last */
  #offeredEnd = 0;
  #rangeCount: number;
  #progress: readonly StreamProgress[] = [];
  completed: readonly MergedFile[] = [];

  /** @param rangeCount the output is complete when so many were offered */
  constructor(rangeCount: number) {
    this.#rangeCount = rangeCount;
  }

  offer(items: readonly MergeItem[]): void {
    this.#items = [...this.#items, ...items];
  }

  nextMergeJob(request: Parameters<MergeApi['nextMergeJob']>[0]): MergeJob | undefined {
    const isBehind = request.behindOutput !== undefined;
    const first = isBehind ? this.#offeredEnd : this.#cursor;
    const items = this.#items.slice(first, first + request.rangeCountMax);
    if (request.busyOutputs.length > 0 || items.length === 0) return undefined;
    const last = first + items.length === this.#rangeCount;
    if (isBehind && !last && items.length < request.rangeCountMin) return undefined;
    this.#offeredEnd = first + items.length;
    const output = { taskID: 1, outputIndex: 0, firstRange: 0, rangeCount: this.#rangeCount };
    return { ...output, items, progress: this.#progress, last };
  }

  commitMerge({ throughRange, progress, completed }: Parameters<MergeApi['commitMerge']>[0]): Promise<void> {
    this.#cursor = throughRange + 1;
    this.#progress = progress;
    this.completed = completed ?? [];
    return Promise.resolve();
  }

  failMerge({ damaged }: Parameters<MergeApi['failMerge']>[0]): Promise<void> {
    return Promise.reject(new Error(`a merge without faults found one: ${damaged[0]?.message}`));
  }

  resetOutput({ message }: Parameters<MergeApi['resetOutput']>[0]): Promise<void> {
    return Promise.reject(new Error(`a merge without faults was reset: ${message}`));
  }

  unfinishedOutputs(): IterableIterator<MergeJob> {
    return ([] as MergeJob[]).values();
  }
}
