/** Builds the source of one file from its places: replicas, then the cache, then inflation. One factory per thread. */
import type { Clock } from '../../core/clock.ts';
import type { FileRecord } from '../../core/file-index.ts';
import { EXPECTED_CONNECTIONS, EXPECTED_HOSTS_MAX } from '../../core/limits.ts';
import type { Logger } from '../../core/log.ts';
import { NEVER } from './abortable.ts';
import type { ByteSource } from './byte-source.ts';
import { CachedSource } from './cached-source.ts';
import { contentKey, DiskCache } from './disk-cache.ts';
import { EventServerSource } from './event-server-source.ts';
import { discard, HttpClient } from './http-client.ts';
import { HttpSource, type HttpSourceOptions } from './http-source.ts';
import { HttpTarget } from './http-target.ts';
import { InflatedSource } from './inflated-source.ts';
import { LocalSource } from './local-source.ts';
import { persist } from './persist.ts';
import { type Place, parsePlace } from './place.ts';
import type { RemoteOptions } from './remote-options.ts';
import type { ExpectedFile } from './replica-agreement.ts';
import { type Replica, ReplicaSet } from './replica-set.ts';
import type { SourceOptions } from './source-options.ts';

export class SourceFactory {
  readonly client: HttpClient;
  readonly cache: DiskCache | undefined;
  readonly #options: RemoteOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** when connections to an origin were made ahead, by its monotonic moment */
  readonly #expectedMs = new Map<string, number>();

  private constructor(remote: RemoteOptions, cache: DiskCache | undefined, log: Logger, clock: Clock) {
    this.client = new HttpClient(remote, clock);
    this.cache = cache;
    this.#options = remote;
    this.#clock = clock;
    this.#log = log;
  }

  /** @throws OUTPUT_UNWRITABLE when the cache folder cannot be written */
  static async open(options: SourceOptions, log: Logger, clock: Clock): Promise<SourceFactory> {
    const cache = options.cache === undefined ? undefined : await DiskCache.open(options.cache, log);
    return new SourceFactory(options.remote, cache, log, clock);
  }

  /**
   * The file's bytes as they lie, from any of its places, without cache. Servers are asked for checksums unless some are
   * known.
   *
   * @throws CONFIG_INVALID for a place that cannot be understood
   */
  replicas(name: string, places: readonly string[], expected: ExpectedFile): ByteSource {
    const { sizeBytes, checksums } = expected;
    const options = {
      askChecksums: checksums === undefined,
      ...(sizeBytes === undefined ? {} : { expectedSizeBytes: sizeBytes }),
    };
    return new ReplicaSet(
      places.flatMap((place) => parsePlace(place)).map((place) => this.#replica(place, options)),
      { name, expected, timing: this.#options, clock: this.#clock, log: this.#log },
    );
  }

  /** The bytes event ranges count: those of the file, inflated if it is compressed. */
  events(
    record: Pick<FileRecord, 'lfn' | 'sizeBytes' | 'sha256' | 'compression'>,
    places: readonly string[],
  ): ByteSource {
    const sha256 = { algorithm: 'sha-256', hex: record.sha256 } as const;
    let source = this.replicas(record.lfn, places, { sizeBytes: record.sizeBytes, checksums: [sha256] });
    if (this.cache !== undefined && places.some((place) => parsePlace(place).some(({ kind }) => kind !== 'local'))) {
      const known = { sizeBytes: record.sizeBytes, validator: undefined, checksums: [sha256] };
      source = new CachedSource(source, this.cache.file(contentKey(record.sha256)), known);
    }
    return record.compression === 'none' ? source : new InflatedSource(source);
  }

  /**
   * Makes some connections to each of the first hosts, unless that was done lately, so that the first reads need not wait
   * for them. Never rejects.
   */
  async expect(places: readonly string[]): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const asked: Promise<void>[] = [];
    for (const url of places.flatMap(addressesOf)) {
      const expectedMs = this.#expectedMs.get(url.origin) ?? Number.NEGATIVE_INFINITY;
      if (nowMs - expectedMs < CONNECTION_LIFE_MS) continue;
      if (this.#expectedMs.size >= EXPECTED_HOSTS_MAX && !this.#expectedMs.has(url.origin)) continue;
      this.#expectedMs.set(url.origin, nowMs);
      const target = new HttpTarget(this.client, url);
      for (let count = 0; count < EXPECTED_CONNECTIONS; count += 1) asked.push(connect(target));
    }
    await Promise.all(asked);
  }

  /** For single requests: see `persist.ts`. */
  persist<Result>(signal: AbortSignal, action: () => Promise<Result>): Promise<Result> {
    return persist(action, this.#options, this.#clock, signal);
  }

  async close(): Promise<void> {
    await this.client.close();
  }

  #replica(place: Place, options: HttpSourceOptions): Replica {
    if (place.kind === 'local') return { source: new LocalSource(place.path), expectedMs: () => 0 };
    const source =
      place.kind === 'http'
        ? new HttpSource(this.client, place.url, options)
        : new EventServerSource(this.client, place);
    return { source, expectedMs: (sizeBytes, nowMs) => source.expectedMs(sizeBytes, nowMs) };
  }
}

/** Servers commonly close a connection on which nothing was asked for some seconds. */
const CONNECTION_LIFE_MS = 3_000;

/** Any answer will do. */
async function connect(target: HttpTarget): Promise<void> {
  try {
    await discard(await target.send({ Range: 'bytes=0-0' }, NEVER));
  } catch {
    // Whoever reads from there finds out, and tries again or says why not.
  }
}

/** None of a place that cannot be understood: reading it says why. */
function addressesOf(text: string): URL[] {
  try {
    return parsePlace(text).flatMap((place) => {
      if (place.kind === 'local') return [];
      return [place.kind === 'http' ? place.url : place.server];
    });
  } catch {
    return [];
  }
}
