/** Bodies of HTTP answers: read whole, checked against the length that was promised, or passed on piece by piece. */
import { REMOTE_MULTIPART_SLACK_BYTES } from '../../core/limits.ts';
import type { ByteRange } from './byte-source.ts';
import type { HttpAnswer, HttpClient } from './http-client.ts';
import { corrupt } from './http-identity.ts';

/** Transfers shorter than this measure the round trip again, not the line. */
const MEASURABLE_BYTES = 64 * 1024;

/** The body's chunks; their memory is not used again. Whatever breaks the transfer is thrown translated. */
export async function* streamBody(
  client: HttpClient,
  answer: HttpAnswer,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
      client.receivedBytes += chunk.length;
      yield chunk;
    }
  } catch (error) {
    throw client.failure(error, answer.url, signal);
  } finally {
    // Undoes nothing when the body has ended; else the consumer has stopped and the transfer is cut off.
    answer.body.destroy();
  }
}

/** Only whole bodies read without a pause are measured: a slow consumer must not make a host look slow. */
function noteSpeed(client: HttpClient, answer: HttpAnswer, sizeBytes: number, startMs: number): void {
  if (sizeBytes < MEASURABLE_BYTES) return;
  const nowMs = client.clock.monotonicMs();
  answer.host.transferred(sizeBytes, nowMs - startMs, nowMs);
}

/** The body as one buffer of exactly this length; chunks are copied once, a single chunk not at all. */
export async function collectExactly(
  client: HttpClient,
  answer: HttpAnswer,
  lengthBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const startMs = client.clock.monotonicMs();
  let target: Buffer | undefined;
  let filled = 0;
  for await (const chunk of streamBody(client, answer, signal)) {
    if (filled + chunk.length > lengthBytes) break;
    if (chunk.length === lengthBytes) return chunk;
    target ??= Buffer.allocUnsafeSlow(lengthBytes);
    target.set(chunk, filled);
    filled += chunk.length;
  }
  if (target === undefined || filled !== lengthBytes) {
    const problem = `the body is not ${lengthBytes} bytes long, as its Content-Range says`;
    throw client.failure(corrupt(answer.url, problem), answer.url, signal);
  }
  noteSpeed(client, answer, filled, startMs);
  return target;
}

/** The body of a multipart answer, bounded by what was asked for plus the headers of the parts. */
export async function collectBody(
  client: HttpClient,
  answer: HttpAnswer,
  spans: readonly ByteRange[],
  signal: AbortSignal,
): Promise<Uint8Array> {
  const wantedBytes = spans.reduce((sum, span) => sum + span.lengthBytes, 0);
  const startMs = client.clock.monotonicMs();
  const limitBytes = 2 * wantedBytes + (spans.length + 1) * REMOTE_MULTIPART_SLACK_BYTES;
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of streamBody(client, answer, signal)) {
    chunks.push(chunk);
    sizeBytes += chunk.length;
    if (sizeBytes > limitBytes) {
      const problem = `the answer to ${spans.length} ranges of ${wantedBytes} bytes is longer than ${limitBytes}`;
      throw client.failure(corrupt(answer.url, problem), answer.url, signal);
    }
  }
  noteSpeed(client, answer, sizeBytes, startMs);
  const [only] = chunks;
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, sizeBytes);
}
