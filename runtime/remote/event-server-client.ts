/** What an event server says about a file: its record and where its events lie, so that the file need not be read. */
import {
  type FileRecord,
  FORMAT_NAMES,
  type FormatName,
  type RootTrees,
  type RunSegment,
} from '../../core/file-index.ts';
import type { IndexedFile } from '../indexing/index-file.ts';
import { NumberTableBuilder } from '../indexing/number-blocks.ts';
import { PlaceBlockWriter } from '../indexing/place-blocks.ts';
import { EVENT_PLACES_TYPE, PLACE_BYTES, readPlaces } from './event-frames.ts';
import { eventServerUrl } from './event-server-place.ts';
import { streamBody } from './http-body.ts';
import { discard, type HttpAnswer, type HttpClient } from './http-client.ts';
import { corrupt, refused } from './http-identity.ts';
import type { Place } from './place.ts';

type EventServerPlace = Extract<Place, { kind: 'event-server' }>;

/**
 * The record of a file as the server has it.
 *
 * @throws SOURCE_UNREACHABLE, SOURCE_REFUSED, INPUT_NOT_FOUND; SOURCE_CORRUPT for an answer that makes no sense
 */
export async function fetchServedRecord(
  client: HttpClient,
  place: EventServerPlace,
  signal: AbortSignal,
): Promise<FileRecord> {
  const url = eventServerUrl(place, 'file');
  const answer = await get(client, url, 'application/json', signal);
  const chunks: Uint8Array[] = [];
  for await (const chunk of streamBody(client, answer, signal)) chunks.push(chunk);
  const record = tryRecord(Buffer.concat(chunks).toString('utf8'));
  if (record === undefined || record.guid !== place.guid) throw corrupt(url, 'its record of the file makes no sense');
  return record;
}

/**
 * The index of a file with this record, as the server has it. Event numbers are not part of it: look-ups by run and
 * event are the server's. Neither are checksums, which the server sends with the events.
 *
 * @throws as {@link fetchServedRecord}
 */
export async function fetchServedIndex(
  client: HttpClient,
  { place, record }: { readonly place: EventServerPlace; readonly record: FileRecord },
  signal: AbortSignal,
): Promise<IndexedFile> {
  const numbers = new NumberTableBuilder().finish();
  const { format, eventCount, runSegments } = record;
  // Entries of trees have no places: their files are read by ranges, as from any other server.
  if (format === 'root') return { record, format, eventCount, runSegments, placeBlocks: [], numbers };
  const url = eventServerUrl(place, 'tokens');
  const answer = await get(client, url, EVENT_PLACES_TYPE, signal);
  const places = new PlaceBlockWriter({ checksums: false });
  let held: Buffer = Buffer.alloc(0);
  for await (const chunk of streamBody(client, answer, signal)) {
    held = held.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat([held, chunk]);
    const whole = held.length - (held.length % PLACE_BYTES);
    for (const { offsetBytes, lengthBytes } of readPlaces(held.subarray(0, whole)))
      places.add(offsetBytes, lengthBytes);
    held = held.subarray(whole);
  }
  if (places.eventCount !== record.eventCount || held.length > 0) {
    throw corrupt(url, `it lists ${places.eventCount} of ${record.eventCount} events`);
  }
  return { record, format, eventCount, runSegments, placeBlocks: places.finish(), numbers };
}

async function get(client: HttpClient, url: URL, accept: string, signal: AbortSignal): Promise<HttpAnswer> {
  client.trust(url);
  const answer = await client.send({ url, headers: { Accept: accept, 'Accept-Encoding': 'identity' }, signal });
  if (answer.statusCode === 200) return answer;
  await discard(answer);
  throw refused(url, answer.statusCode);
}

function tryRecord(text: string): FileRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const record = value as Partial<FileRecord>;
  const { guid, lfn, format, compression, sizeBytes, sha256, eventCount, runSegments, trees } = record;
  const valid =
    typeof guid === 'string' &&
    typeof lfn === 'string' &&
    isFormatName(format) &&
    (compression === 'none' || compression === 'gzip') &&
    isCount(sizeBytes) &&
    typeof sha256 === 'string' &&
    isCount(eventCount) &&
    Array.isArray(runSegments) &&
    runSegments.every(isRunSegment) &&
    (format === 'root') === isTrees(trees);
  if (!valid) return undefined;
  const plain = { guid, lfn, format, compression, sizeBytes, sha256, eventCount, runSegments };
  return isTrees(trees) ? { ...plain, trees } : plain;
}

function isFormatName(value: unknown): value is FormatName {
  return FORMAT_NAMES.some((name) => name === value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isTrees(value: RootTrees | undefined): value is RootTrees {
  const { chosen, all } = value ?? {};
  const isNamed = chosen === null || typeof chosen === 'string';
  return (
    isNamed && Array.isArray(all) && all.every((tree) => typeof tree?.name === 'string' && isCount(tree.entryCount))
  );
}

function isRunSegment(value: Partial<RunSegment> | null): value is RunSegment {
  return isCount(value?.firstPosition) && isCount(value?.offsetBytes) && isCount(value?.lengthBytes);
}
