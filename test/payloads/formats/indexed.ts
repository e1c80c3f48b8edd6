/** What an indexer says of some bytes, collected; and an independent, naive way to cut the same bytes into events. */
import type { FormatName } from '../../../core/file-index.ts';
import { inputFormat, recogniseFormat } from '../../../payloads/formats/registry.ts';

export interface IndexedEvent {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly eventNumber: number;
  readonly runNumber: number;
}

export interface IndexedBytes {
  readonly format: FormatName;
  readonly events: readonly IndexedEvent[];
  readonly segments: readonly {
    readonly firstPosition: number;
    readonly offsetBytes: number;
    readonly lengthBytes: number;
  }[];
}

/** @param chunkSizes lengths of the pieces in which the indexer gets the bytes, used in turn */
export function indexBytes(
  bytes: Buffer,
  chunkSizes: readonly number[] = [bytes.length],
  name?: FormatName,
): IndexedBytes {
  const format = name === undefined ? recogniseFormat(bytes.subarray(0, 65_536)) : inputFormat(name);
  if (format === undefined) throw new Error('the bytes are in no known format');
  const events: IndexedEvent[] = [];
  const segments: IndexedBytes['segments'][number][] = [];
  const indexer = format.createIndexer({
    event: (offsetBytes, lengthBytes, eventNumber, runNumber) =>
      events.push({ offsetBytes, lengthBytes, eventNumber, runNumber }),
    runSegment: (offsetBytes, lengthBytes) =>
      segments.push({ firstPosition: events.length + 1, offsetBytes, lengthBytes }),
  });
  let at = 0;
  for (let turn = 0; at < bytes.length; turn += 1) {
    const size = Math.max(1, chunkSizes[turn % chunkSizes.length] ?? 1);
    // A copy that is wiped afterwards: an indexer that keeps a view of a chunk is found out.
    const chunk = Buffer.from(bytes.subarray(at, at + size));
    indexer.push(chunk);
    chunk.fill(0x3f);
    at += size;
  }
  indexer.end();
  return { format: format.name, events, segments };
}

/** The events' bytes by splitting the text into lines, as issue trackers would describe it. */
export function naiveEvents(bytes: Buffer, format: FormatName): Buffer[] {
  const lines = bytes.toString('latin1').split(/(?<=\n)/);
  const events: string[] = [];
  let event: string | undefined;
  const close = () => {
    if (event !== undefined) events.push(event);
    event = undefined;
  };
  for (const line of lines) {
    if (format === 'lhe') {
      if (/^\s*<event[\s>]/.test(line)) event = '';
      if (event !== undefined) event += line;
      if (/^\s*<\/event>/.test(line)) close();
    } else {
      if (line.startsWith('E ') || line.startsWith('HepMC::')) close();
      if (line.startsWith('E ')) event = '';
      if (event !== undefined) event += line;
    }
  }
  close();
  return events.map((text) => Buffer.from(text, 'latin1'));
}
