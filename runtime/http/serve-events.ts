/** Routes about events: tokens, events by position, and byte ranges with checksums. */
import type { FastifyReply } from 'fastify';
import { GranuleError } from '../../core/errors.ts';
import { clipSelection, countSelected, type EventSelection, parseEventSelection } from '../../core/event-selection.ts';
import type { FileRecord } from '../../core/file-index.ts';
import { EVENT_BYTES_MAX, SERVED_CHUNK_BYTES, SERVED_SPAN_EVENTS } from '../../core/limits.ts';
import { eventToken } from '../indexing/event-token.ts';
import { NEVER } from '../remote/abortable.ts';
import { type ByteRange, type ByteSource, endOf } from '../remote/byte-source.ts';
import { EVENT_FRAMES_TYPE, EVENT_PLACES_TYPE, EventFrameWriter, encodePlaces } from '../remote/event-frames.ts';
import { toStream } from './serve-content.ts';
import type { ServedFile, ServedFiles, ServedIndex } from './served-files.ts';

/** An event's place, as the index has it. */
interface PlacedEvent extends ByteRange {
  readonly position: number;
}

/**
 * Positions that a request names, within the file.
 *
 * @param text `1-100,205`; all events when absent
 * @throws USAGE, EVENT_NOT_FOUND when the file has none of them
 */
export function selectEvents(record: FileRecord, text: string | undefined): EventSelection {
  const selection = clipSelection(parseEventSelection(text ?? '1-'), record.eventCount);
  if (countSelected(selection) > 0) return selection;
  throw new GranuleError(
    'EVENT_NOT_FOUND',
    `${record.lfn} has the positions 1 to ${record.eventCount}, none of ${text}`,
    {
      details: { guid: record.guid },
    },
  );
}

function* placesOf(index: ServedIndex, record: FileRecord, selection: EventSelection): Generator<PlacedEvent> {
  for (const [first, last] of selection) {
    for (let from = first; from <= last; from += SERVED_SPAN_EVENTS) {
      const { offsets, lengths, count } = index.lookupSpan(
        record.guid,
        from,
        Math.min(SERVED_SPAN_EVENTS, last - from + 1),
      );
      for (let at = 0; at < count; at += 1) {
        yield { position: from + at, offsetBytes: offsets[at] ?? 0, lengthBytes: lengths[at] ?? 0 };
      }
    }
  }
}

/** One JSON object a line: `{"position":1,"token":"[DB=…]…"}`. */
export function sendTokens(
  index: ServedIndex,
  record: FileRecord,
  selection: EventSelection,
  reply: FastifyReply,
): FastifyReply {
  return reply.type('application/x-ndjson').send(toStream(tokenLines(index, record, selection)));
}

async function* tokenLines(index: ServedIndex, record: FileRecord, selection: EventSelection): AsyncGenerator<Buffer> {
  let lines: string[] = [];
  for (const place of placesOf(index, record, selection)) {
    lines.push(JSON.stringify({ position: place.position, token: eventToken(record, place) }));
    if (lines.length < SERVED_SPAN_EVENTS) continue;
    yield Buffer.from(`${lines.join('\n')}\n`);
    lines = [];
  }
  if (lines.length > 0) yield Buffer.from(`${lines.join('\n')}\n`);
}

/** The same without the text, for granule itself: see `event-frames.ts`. */
export function sendPlaces(
  index: ServedIndex,
  record: FileRecord,
  selection: EventSelection,
  reply: FastifyReply,
): FastifyReply {
  return reply.type(EVENT_PLACES_TYPE).send(toStream(placeBlocks(index, record, selection)));
}

async function* placeBlocks(index: ServedIndex, record: FileRecord, selection: EventSelection): AsyncGenerator<Buffer> {
  let places: PlacedEvent[] = [];
  for (const place of placesOf(index, record, selection)) {
    places.push(place);
    if (places.length < SERVED_SPAN_EVENTS) continue;
    yield encodePlaces(places);
    places = [];
  }
  if (places.length > 0) yield encodePlaces(places);
}

/** Frames (see `event-frames.ts`) of the selected events, in file order. */
export async function sendEvents(
  files: ServedFiles,
  file: ServedFile,
  selection: EventSelection,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const source = await files.openEvents(file);
  return reply
    .type(EVENT_FRAMES_TYPE)
    .send(toStream(framesAndClose(source, placesOf(files.index, file.record, selection))));
}

/** Frames of byte ranges of the file as it lies, numbered from 1 in the order asked. */
export function sendRanges(
  files: ServedFiles,
  file: ServedFile,
  ranges: readonly ByteRange[],
  reply: FastifyReply,
): FastifyReply {
  const outside = ranges.find((range) => endOf(range) > file.record.sizeBytes);
  if (outside !== undefined) {
    throw new GranuleError('USAGE', `the file has ${file.record.sizeBytes} bytes, none at ${endOf(outside) - 1}`);
  }
  const longest = ranges.reduce((most, { lengthBytes }) => Math.max(most, lengthBytes), 0);
  if (longest > EVENT_BYTES_MAX) {
    throw new GranuleError('USAGE', `a range may have ${EVENT_BYTES_MAX} bytes, not ${longest}`, {
      remedy: 'Ask for several ranges, or for the content.',
    });
  }
  const numbered = ranges.map((range, index) => ({ ...range, position: index + 1 }));
  return reply.type(EVENT_FRAMES_TYPE).send(toStream(files.stream(file, (source) => frames(source, numbered))));
}

async function* framesAndClose(source: ByteSource, places: Iterable<PlacedEvent>): AsyncGenerator<Buffer> {
  try {
    yield* frames(source, places);
  } finally {
    await source.close();
  }
}

async function* frames(source: ByteSource, places: Iterable<PlacedEvent>): AsyncGenerator<Buffer> {
  const writer = new EventFrameWriter();
  for (const batch of batchesOf(places)) {
    const results = await source.readMany(batch, NEVER);
    yield writer.encode(batch.map(({ position }, index) => ({ position, bytes: results[index] ?? new Uint8Array(0) })));
  }
  yield writer.end();
}

/** Events of about one chunk together, at least one. */
function* batchesOf(places: Iterable<PlacedEvent>): Generator<PlacedEvent[]> {
  let batch: PlacedEvent[] = [];
  let bytes = 0;
  for (const place of places) {
    if (batch.length > 0 && bytes + place.lengthBytes > SERVED_CHUNK_BYTES) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(place);
    bytes += place.lengthBytes;
  }
  if (batch.length > 0) yield batch;
}
