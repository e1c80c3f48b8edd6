/**
 * Fetches the bytes of events ahead of their hand-out. It is told which events come next (`plan`), asks for them in that
 * order, several requests at a time, within a budget of bytes, and hands each event's bytes over once (`read`). Runs in
 * the thread that uses it; per event it costs a map entry and a view, per request one promise.
 *
 * An event is *planned* (waits in the queue), *fetching* (part of a request under way), *settled* (its bytes or error
 * are here), and forgotten once read.
 */
import { setMaxListeners } from 'node:events';
import { assert } from '../../core/assert.ts';
import type { Clock } from '../../core/clock.ts';
import { deserialiseError, GranuleError, isGranuleError, serialiseError } from '../../core/errors.ts';
import { PREFETCH_GROUP_EVENTS_MAX, PREFETCH_REQUESTS_MAX } from '../../core/limits.ts';
import { abortable } from './abortable.ts';
import type { ByteRange, ByteSource } from './byte-source.ts';
import { PrefetchWindow } from './prefetch-window.ts';

/** One event's bytes in one file (inflated bytes of a compressed one). */
export interface EventRequest extends ByteRange {
  readonly fileIndex: number;
}

/** The bytes, owned by the receiver, or why there are none. */
export type EventData = Uint8Array | GranuleError;

/** What prefetch did so far; for reports and benchmarks. */
export interface PrefetchFigures {
  readonly requestCount: number;
  /** events handed out, and their bytes */
  readonly eventCount: number;
  readonly eventBytes: number;
  /** calls of `read` that had to wait for a request */
  readonly waitCount: number;
  readonly waitMs: number;
  /** most bytes held or under way at once */
  readonly heldBytesMax: number;
}

interface Item {
  readonly request: EventRequest;
  /** the request it is part of; undefined while it waits in the queue */
  fetch: Fetch | undefined;
  data: EventData | undefined;
}

interface Fetch {
  readonly items: readonly Item[];
  readonly abort: AbortController;
  /** items not read and not forgotten */
  wantedCount: number;
  /** resolves when all items are settled; never rejects */
  done: Promise<void>;
}

export class Prefetcher {
  readonly #sourceOf: (fileIndex: number) => ByteSource;
  readonly #clock: Clock;
  readonly #window: PrefetchWindow;
  /** by file, then by offset */
  readonly #items = new Map<number, Map<number, Item>>();
  #queue: Item[] = [];
  #queueHead = 0;
  readonly #fetches = new Set<Fetch>();
  /** bytes under way, or here and not yet read */
  #heldBytes = 0;
  /** bytes of all items */
  #plannedBytes = 0;
  #closed: GranuleError | undefined;
  readonly #figures = { requestCount: 0, eventCount: 0, eventBytes: 0, waitCount: 0, waitMs: 0, heldBytesMax: 0 };

  constructor(
    sourceOf: (fileIndex: number) => ByteSource,
    options: { readonly budgetBytes: number; readonly clock: Clock },
  ) {
    this.#sourceOf = sourceOf;
    this.#clock = options.clock;
    this.#window = new PrefetchWindow(options.budgetBytes);
  }

  get figures(): PrefetchFigures {
    return { ...this.#figures };
  }

  /** These events come next, after those planned before. An event that is planned already keeps its place. */
  plan(requests: readonly EventRequest[]): void {
    for (const request of requests) this.#queue.push(...this.#add(request));
    this.#pump();
  }

  /** These events will not be read after all: what is under way for them alone is cut off. */
  forget(requests: readonly EventRequest[]): void {
    for (const request of requests) {
      const item = this.#find(request);
      if (item !== undefined) this.#remove(item);
    }
    this.#pump();
  }

  /**
   * The bytes of these events, in order. Each is handed over once: reading an event again fetches it again. Events that
   * were never planned are fetched at once, whatever the budget. Rejects only when `signal` is aborted (then the events
   * stay planned) or the prefetcher closed.
   */
  async read(requests: readonly EventRequest[], signal: AbortSignal): Promise<EventData[]> {
    if (this.#closed !== undefined) throw this.#closed;
    const items = requests.map((request) => this.#find(request) ?? this.#add(request)[0]);
    this.#fetchNow(items);
    const waited = await this.#settled(items, signal);
    let sizeBytes = 0;
    const data = items.map((item, index): EventData => {
      if (item?.data === undefined) throw this.#closed ?? closedError();
      sizeBytes += requests[index]?.lengthBytes ?? 0;
      this.#remove(item);
      return item.data;
    });
    this.#figures.eventCount += data.length;
    this.#figures.eventBytes += sizeBytes;
    this.#window.handedOut(sizeBytes, waited, this.#clock.monotonicMs());
    this.#pump();
    return data;
  }

  /** Bytes planned and not yet read, and how many of them are of use: beyond, planning more makes nothing faster. */
  get lookAhead(): { readonly plannedBytes: number; readonly usefulBytes: number } {
    return { plannedBytes: this.#plannedBytes, usefulBytes: 2 * this.#window.bytes };
  }

  isFetching(fileIndex: number): boolean {
    for (const { items } of this.#fetches) if (items[0]?.request.fileIndex === fileIndex) return true;
    return false;
  }

  async close(): Promise<void> {
    this.#closed ??= closedError();
    this.#queue = [];
    this.#queueHead = 0;
    for (const fetch of this.#fetches) fetch.abort.abort(this.#closed);
    await Promise.all([...this.#fetches].map(({ done }) => done));
    this.#items.clear();
  }

  #find(request: EventRequest): Item | undefined {
    const item = this.#items.get(request.fileIndex)?.get(request.offsetBytes);
    return item?.request.lengthBytes === request.lengthBytes ? item : undefined;
  }

  /** The new item; none when the event is known already. */
  #add(request: EventRequest): [] | [Item] {
    if (this.#find(request) !== undefined) return [];
    let file = this.#items.get(request.fileIndex);
    const other = file?.get(request.offsetBytes);
    if (other !== undefined) this.#remove(other);
    if (file === undefined || file.size === 0) {
      file = new Map();
      this.#items.set(request.fileIndex, file);
    }
    const item: Item = { request, fetch: undefined, data: undefined };
    file.set(request.offsetBytes, item);
    this.#plannedBytes += request.lengthBytes;
    return [item];
  }

  #remove(item: Item): void {
    const { fileIndex, offsetBytes, lengthBytes } = item.request;
    const file = this.#items.get(fileIndex);
    if (file?.get(offsetBytes) !== item) return;
    file.delete(offsetBytes);
    if (file.size === 0) this.#items.delete(fileIndex);
    this.#plannedBytes -= lengthBytes;
    if (item.fetch === undefined) return;
    this.#heldBytes -= lengthBytes;
    item.fetch.wantedCount -= 1;
    if (item.fetch.wantedCount === 0 && this.#fetches.has(item.fetch)) item.fetch.abort.abort(closedError());
  }

  /** Begins the requests that the window has room for: whole ones, lest each event read make a request of one event. */
  #pump(): void {
    while (this.#closed === undefined && this.#fetches.size < PREFETCH_REQUESTS_MAX) {
      const { groupBytes } = this.#window;
      const idle = this.#heldBytes === 0;
      const roomBytes = idle ? Number.POSITIVE_INFINITY : this.#window.bytes - this.#heldBytes;
      if (roomBytes < groupBytes) return;
      const group = this.#takeGroup(groupBytes, roomBytes);
      if (group.length === 0) return;
      this.#begin(group);
    }
  }

  /** The next events of one file up to `groupBytes`; a larger one by itself if it fits into `roomBytes`. */
  #takeGroup(groupBytes: number, roomBytes: number): Item[] {
    const group: Item[] = [];
    let bytes = 0;
    while (this.#queueHead < this.#queue.length && group.length < PREFETCH_GROUP_EVENTS_MAX) {
      const item = this.#queue[this.#queueHead];
      const [first] = group;
      if (item !== undefined && item.fetch === undefined && this.#find(item.request) === item) {
        if (first !== undefined && first.request.fileIndex !== item.request.fileIndex) break;
        if (bytes + item.request.lengthBytes > (first === undefined ? roomBytes : groupBytes)) break;
        group.push(item);
        bytes += item.request.lengthBytes;
      }
      this.#queueHead += 1;
    }
    if (this.#queueHead > 1024 && this.#queueHead * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#queueHead);
      this.#queueHead = 0;
    }
    return group;
  }

  /** Somebody waits for these: whatever of them is still in the queue is asked for now, one request per file. */
  #fetchNow(items: readonly (Item | undefined)[]): void {
    const late = new Map<number, Set<Item>>();
    for (const item of items) {
      if (item === undefined || item.fetch !== undefined) continue;
      const group = late.get(item.request.fileIndex);
      if (group === undefined) late.set(item.request.fileIndex, new Set([item]));
      else group.add(item);
    }
    for (const group of late.values()) this.#begin([...group]);
  }

  #begin(items: readonly Item[]): void {
    const abort = new AbortController();
    setMaxListeners(0, abort.signal);
    const fetch: Fetch = { items, abort, wantedCount: items.length, done: Promise.resolve() };
    for (const item of items) {
      item.fetch = fetch;
      this.#heldBytes += item.request.lengthBytes;
    }
    this.#figures.heldBytesMax = Math.max(this.#figures.heldBytesMax, this.#heldBytes);
    this.#figures.requestCount += 1;
    this.#window.requestBegun();
    this.#fetches.add(fetch);
    fetch.done = this.#fetch(fetch);
  }

  async #fetch(fetch: Fetch): Promise<void> {
    const startMs = this.#clock.monotonicMs();
    const error = await this.#fetchItems(fetch.items, fetch.abort.signal);
    if (error?.code === 'SOURCE_CORRUPT' && fetch.items.length > 1) {
      // One damaged event must not take its neighbours along.
      for (const item of fetch.items) await this.#fetchItems([item], fetch.abort.signal);
    }
    if (error === undefined) this.#window.requestTook(this.#clock.monotonicMs() - startMs);
    this.#fetches.delete(fetch);
    this.#pump();
  }

  /** Settles the items; the error they all got, if any. */
  async #fetchItems(items: readonly Item[], signal: AbortSignal): Promise<GranuleError | undefined> {
    const requests = items.map(({ request }) => request);
    try {
      const results = await this.#sourceOf(requests[0]?.fileIndex ?? 0).readMany(requests, signal);
      assert(results.length === items.length, 'a source answers every range');
      for (const [index, item] of items.entries()) item.data = results[index];
      return undefined;
    } catch (thrown) {
      const error = isGranuleError(thrown) ? thrown : deserialiseError(serialiseError(thrown));
      for (const item of items) item.data = error;
      return error;
    }
  }

  /** Waits for the requests these items are part of. True when there was something to wait for. */
  async #settled(items: readonly (Item | undefined)[], signal: AbortSignal): Promise<boolean> {
    const pending = new Set<Promise<void>>();
    for (const item of items) if (item?.fetch !== undefined && item.data === undefined) pending.add(item.fetch.done);
    if (pending.size === 0) {
      signal.throwIfAborted();
      return false;
    }
    const startMs = this.#clock.monotonicMs();
    await abortable(Promise.all(pending), signal);
    this.#figures.waitCount += 1;
    this.#figures.waitMs += this.#clock.monotonicMs() - startMs;
    return true;
  }
}

function closedError(): GranuleError {
  return new GranuleError('SOURCE_UNREACHABLE', 'the prefetch was closed');
}
