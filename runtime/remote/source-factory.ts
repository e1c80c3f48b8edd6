/** Builds the source of one file from its places: replicas, then the cache, then inflation. One factory per thread. */
import type { Clock } from '../../core/clock.ts';
import type { FileRecord } from '../../core/file-index.ts';
import type { Logger } from '../../core/log.ts';
import type { ByteSource } from './byte-source.ts';
import { CachedSource } from './cached-source.ts';
import { contentKey, DiskCache } from './disk-cache.ts';
import { EventServerSource } from './event-server-source.ts';
import { HttpClient } from './http-client.ts';
import { HttpSource, type HttpSourceOptions } from './http-source.ts';
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

  /** Loads what the first request needs, so that it does not wait for that. */
  async prepare(): Promise<void> {
    await this.client.prepare();
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
