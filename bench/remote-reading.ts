/** Reading the events of a remote file without a run: one by one, as they are asked for, and as the token extractor does. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../core/clock.ts';
import { silentLogger } from '../core/log.ts';
import { indexFile } from '../runtime/indexing/index-file.ts';
import type { ByteRange } from '../runtime/remote/byte-source.ts';
import { EventDataReader } from '../runtime/remote/event-data-reader.ts';
import { HttpClient } from '../runtime/remote/http-client.ts';
import { HttpSource } from '../runtime/remote/http-source.ts';
import { REMOTE_DEFAULTS } from '../runtime/remote/remote-options.ts';

/** Events of the loops without prefetch: two seconds' worth. */
export const BARE_EVENTS = 30;

export interface RemoteWork {
  /** of the same file on this machine; every line is an event */
  readonly path: string;
  readonly workerCount: number;
  readonly eventCount: number;
  readonly eventMs: number;
  readonly eventBytes: number;
}

/** Milliseconds that loops take in which every event is asked for when its turn has come. */
export async function readOneByOne(work: RemoteWork, url: string, signal: AbortSignal): Promise<number> {
  const client = new HttpClient(REMOTE_DEFAULTS, systemClock);
  const source = new HttpSource(client, new URL(url));
  const ranges = (await rangesOf(work)).slice(0, BARE_EVENTS);
  await source.open(signal);
  const start = performance.now();
  let next = 0;
  const loop = async (): Promise<void> => {
    for (let range = ranges[next++]; range !== undefined; range = ranges[next++]) {
      await source.read(range, signal);
      await delay(work.eventMs, undefined, { signal });
    }
  };
  await Promise.all(Array.from({ length: work.workerCount }, loop));
  const wallMs = performance.now() - start;
  await source.close();
  await client.close();
  return (wallMs * BARE_EVENTS) / ranges.length;
}

/** CPU time of reading all events as the token extractor does, with nothing else in the process, in ms per MB. */
export async function readAhead(work: RemoteWork, url: string, signal: AbortSignal): Promise<number> {
  const { file } = await indexFile(work.path);
  const requests = (await rangesOf(work)).map((range) => ({ ...range, fileIndex: 0 }));
  const options = { remote: REMOTE_DEFAULTS, cache: undefined, prefetchBytesMax: 64 * 1024 * 1024 };
  const reader = await EventDataReader.open(options, silentLogger);
  try {
    reader.addFile({ fileIndex: 0, record: file.record, places: [url] });
    reader.plan(requests);
    const before = process.cpuUsage();
    for (let at = 0; at < requests.length; at += 10) await reader.read(requests.slice(at, at + 10), signal);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000 / ((work.eventCount * work.eventBytes) / 1e6);
  } finally {
    await reader.close();
  }
}

/** Every line is an event. */
async function rangesOf({ path }: RemoteWork): Promise<ByteRange[]> {
  const bytes = readFileSync(path);
  const ranges: ByteRange[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(10, at) + 1;
    ranges.push({ offsetBytes: at, lengthBytes: end - at });
    at = end;
  }
  return ranges;
}
