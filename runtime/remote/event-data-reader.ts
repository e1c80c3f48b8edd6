/**
 * The bytes of events that a worker cannot read by itself: those of remote files and of compressed ones. Lives in the
 * token extractor's thread; what it returns rides with the tokens. Plain local files do not come here.
 *
 * Use: `expect` for places as soon as they are known, `addFile` for each file, `plan` as ranges are leased, `read` as tokens go out, in about the same order.
 */
import { assert } from '../../core/assert.ts';
import { type Clock, systemClock } from '../../core/clock.ts';
import type { FileRecord } from '../../core/file-index.ts';
import { REMOTE_FILES_OPEN_MAX } from '../../core/limits.ts';
import type { Logger } from '../../core/log.ts';
import type { ByteSource } from './byte-source.ts';
import { isRemotePlace } from './place.ts';
import { type EventData, type EventRequest, Prefetcher, type PrefetchFigures } from './prefetcher.ts';
import { SourceFactory } from './source-factory.ts';
import type { SourceOptions } from './source-options.ts';

export interface EventDataFile {
  readonly fileIndex: number;
  readonly record: FileRecord;
  /** paths or URLs of the file, any of which will do */
  readonly places: readonly string[];
}

/** Plain values, so that they can be given to the thread that reads. */
export interface EventDataReaderOptions extends SourceOptions {
  /** most bytes fetched ahead of what was read */
  readonly prefetchBytesMax: number;
}

export class EventDataReader {
  readonly #factory: SourceFactory;
  readonly #prefetcher: Prefetcher;
  readonly #files = new Map<number, EventDataFile>();
  /** least recently used first */
  readonly #open = new Map<number, ByteSource>();
  readonly #closing = new Set<Promise<void>>();

  private constructor(factory: SourceFactory, prefetchBytesMax: number, clock: Clock) {
    this.#factory = factory;
    this.#prefetcher = new Prefetcher((fileIndex) => this.#sourceOf(fileIndex), {
      budgetBytes: prefetchBytesMax,
      clock,
    });
  }

  /** @throws OUTPUT_UNWRITABLE when the cache folder cannot be written */
  static async open(
    options: EventDataReaderOptions,
    log: Logger,
    clock: Clock = systemClock,
  ): Promise<EventDataReader> {
    const factory = await SourceFactory.open(options, log, clock);
    return new EventDataReader(factory, options.prefetchBytesMax, clock);
  }

  /** Connects to the servers of these places: they will be read soon. What goes wrong with that shows when they are. */
  expect(places: readonly string[]): void {
    const remote = places.filter(isRemotePlace);
    if (remote.length > 0) void this.#factory.expect(remote);
  }

  /** Nothing is asked of any server yet. @throws CONFIG_INVALID when the file's places make no sense, at its first use */
  addFile(file: EventDataFile): void {
    this.#files.set(file.fileIndex, file);
  }

  /** What will be read next, in that order. Offsets count inflated bytes. */
  plan(requests: readonly EventRequest[]): void {
    this.#prefetcher.plan(requests);
  }

  /** What will not be read after all, for instance because its range was given back. */
  forget(requests: readonly EventRequest[]): void {
    this.#prefetcher.forget(requests);
  }

  /**
   * The bytes of each event, or the error that stands for them: `SOURCE_UNREACHABLE` means that the run should stop and
   * be run again, any other code is about this event or file. The bytes are the caller's.
   */
  read(requests: readonly EventRequest[], signal: AbortSignal): Promise<EventData[]> {
    return this.#prefetcher.read(requests, signal);
  }

  /** How much of the look-ahead is in use: whoever leases ranges should lease on while less is planned than useful. */
  get lookAhead(): { readonly plannedBytes: number; readonly usefulBytes: number } {
    return this.#prefetcher.lookAhead;
  }

  get figures(): PrefetchFigures & { readonly receivedBytes: number } {
    return { ...this.#prefetcher.figures, receivedBytes: this.#factory.client.receivedBytes };
  }

  async close(): Promise<void> {
    await this.#prefetcher.close();
    await Promise.all([...this.#open.values()].map((source) => source.close()));
    await Promise.all(this.#closing);
    await this.#factory.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #sourceOf(fileIndex: number): ByteSource {
    let source = this.#open.get(fileIndex);
    if (source === undefined) {
      const file = this.#files.get(fileIndex);
      assert(file !== undefined, 'a file is added before its events are planned or read');
      source = this.#factory.events(file.record, file.places);
    } else {
      this.#open.delete(fileIndex);
    }
    this.#open.set(fileIndex, source);
    this.#closeIdle();
    return source;
  }

  /** Closes the file that has waited longest, unless events of it are under way. */
  #closeIdle(): void {
    if (this.#open.size <= REMOTE_FILES_OPEN_MAX) return;
    for (const [fileIndex, source] of this.#open) {
      if (this.#prefetcher.isFetching(fileIndex)) continue;
      this.#open.delete(fileIndex);
      const closing = source.close().finally(() => this.#closing.delete(closing));
      this.#closing.add(closing);
      return;
    }
  }
}
