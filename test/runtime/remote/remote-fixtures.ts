/** What the tests of remote input share: impatient options, contents that tell their place, error codes. */
import { setMaxListeners } from 'node:events';
import { systemClock } from '../../../core/clock.ts';
import { isGranuleError } from '../../../core/errors.ts';
import { silentLogger } from '../../../core/log.ts';
import type { ByteRange } from '../../../runtime/remote/byte-source.ts';
import { HttpClient } from '../../../runtime/remote/http-client.ts';
import { HttpSource } from '../../../runtime/remote/http-source.ts';
import { REMOTE_DEFAULTS, type RemoteOptions } from '../../../runtime/remote/remote-options.ts';
import type { ExpectedFile } from '../../../runtime/remote/replica-agreement.ts';
import { ReplicaSet } from '../../../runtime/remote/replica-set.ts';

export const IMPATIENT: RemoteOptions = {
  ...REMOTE_DEFAULTS,
  connectMs: 1000,
  silenceMs: 250,
  patienceMs: 3000,
  backoffBaseMs: 2,
  backoffMaxMs: 20,
};

export const never = new AbortController().signal;
setMaxListeners(0, never);

export function createClient(options: Partial<RemoteOptions> = {}): HttpClient {
  return new HttpClient({ ...IMPATIENT, ...options }, systemClock);
}

export function createSet(
  client: HttpClient,
  urls: readonly URL[],
  expected: ExpectedFile = {},
  patienceMs = 3000,
): ReplicaSet {
  const replicas = urls.map((url) => {
    const source = new HttpSource(client, url);
    return { source, expectedMs: (sizeBytes: number, nowMs: number) => source.expectedMs(sizeBytes, nowMs) };
  });
  const timing = { ...IMPATIENT, patienceMs };
  return new ReplicaSet(replicas, { name: 'events.hepmc', expected, timing, clock: systemClock, log: silentLogger });
}

/** Bytes that differ from place to place. */
export function content(sizeBytes: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  let state = seed;
  for (let index = 0; index < sizeBytes; index += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

export function slicesOf(file: Buffer, ranges: readonly ByteRange[]): Buffer[] {
  return ranges.map(({ offsetBytes, lengthBytes }) => file.subarray(offsetBytes, offsetBytes + lengthBytes));
}

/** Every `stride`-th piece of `lengthBytes`. */
export function scattered(count: number, strideBytes: number, lengthBytes: number): ByteRange[] {
  return Array.from({ length: count }, (_, index) => ({ offsetBytes: index * strideBytes, lengthBytes }));
}

export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** `CODE: message` of what the promise fails with. */
export async function failureOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (isGranuleError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error('it did not fail');
}
