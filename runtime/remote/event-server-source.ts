/**
 * A file of an event server as a {@link ByteSource}: ranges come as frames with a CRC-32 each, so that bytes changed on
 * the way are noticed, and any number of them in one request. Whole files are streamed as from any HTTP server.
 */
import type { GranuleError } from '../../core/errors.ts';
import { SERVED_RANGES_BODY_BYTES_MAX } from '../../core/limits.ts';
import { type ByteRange, type ByteSource, endOf, type SourceIdentity } from './byte-source.ts';
import { EVENT_PLACES_TYPE, encodePlaces, PLACE_BYTES, readEventFrames } from './event-frames.ts';
import { eventServerUrl } from './event-server-place.ts';
import { streamBody } from './http-body.ts';
import { discard, type HttpClient } from './http-client.ts';
import { corrupt, refused } from './http-identity.ts';
import { HttpSource } from './http-source.ts';
import type { Place } from './place.ts';
import { coalesce, type FetchSpan, packRequests } from './range-plan.ts';

const RANGES_PER_REQUEST = Math.floor(SERVED_RANGES_BODY_BYTES_MAX / PLACE_BYTES);

export class EventServerSource implements ByteSource {
  readonly place: string;
  readonly #client: HttpClient;
  readonly #rangesUrl: URL;
  readonly #content: HttpSource;

  constructor(client: HttpClient, place: Extract<Place, { kind: 'event-server' }>) {
    this.#client = client;
    this.#rangesUrl = eventServerUrl(place, 'ranges');
    this.#content = new HttpSource(client, eventServerUrl(place, 'content'));
    this.place = this.#content.place;
  }

  expectedMs(sizeBytes: number, nowMs: number): number {
    return this.#content.expectedMs(sizeBytes, nowMs);
  }

  open(signal: AbortSignal): Promise<SourceIdentity> {
    return this.#content.open(signal);
  }

  async read(range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    const [bytes] = await this.readMany([range], signal);
    return bytes ?? new Uint8Array(0);
  }

  async readMany(ranges: readonly ByteRange[], signal: AbortSignal): Promise<Uint8Array[]> {
    const results: Uint8Array[] = ranges.map(() => new Uint8Array(0));
    const requests = packRequests(coalesce(ranges, false), RANGES_PER_REQUEST);
    await Promise.all(requests.map((spans) => this.#fetch(spans, ranges, results, signal)));
    return results;
  }

  stream(offsetBytes: number, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#content.stream(offsetBytes, signal);
  }

  close(): Promise<void> {
    return this.#content.close();
  }

  async #fetch(
    spans: readonly FetchSpan[],
    ranges: readonly ByteRange[],
    results: Uint8Array[],
    signal: AbortSignal,
  ): Promise<void> {
    const url = this.#rangesUrl;
    const headers = { 'Content-Type': EVENT_PLACES_TYPE };
    const answer = await this.#client.send({ url, headers, body: encodePlaces(spans), signal });
    if (answer.statusCode !== 200) {
      await discard(answer);
      throw refused(url, answer.statusCode);
    }
    let frameCount = 0;
    for await (const { bytes } of readEventFrames(streamBody(this.#client, answer, signal), this.place)) {
      const span = spans[frameCount];
      if (span === undefined || bytes.length !== span.lengthBytes) throw this.#unasked();
      frameCount += 1;
      for (const member of span.members) {
        const range = ranges[member];
        if (range === undefined) continue;
        const from = range.offsetBytes - span.offsetBytes;
        results[member] = bytes.subarray(from, endOf(range) - span.offsetBytes);
      }
    }
    if (frameCount !== spans.length) throw this.#unasked();
  }

  #unasked(): GranuleError {
    return corrupt(this.#rangesUrl, 'the answer does not hold the ranges that were asked for');
  }
}
