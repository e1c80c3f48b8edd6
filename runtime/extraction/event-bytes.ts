/**
 * The bytes that ride with tokens, by whoever can read them: byte ranges of files that are remote or compressed, entries of
 * trees in ROOT files. Lives in the token extractor's thread.
 */
import type { FileRecord } from '../../core/file-index.ts';
import type { EventDataReader } from '../remote/event-data-reader.ts';
import type { RootEventReader } from '../root/root-event-reader.ts';
import type { ByteRequest, EventBytesReader, RidingBytes } from './token-extraction.ts';

export class EventBytes implements EventBytesReader {
  readonly #ranges: EventDataReader;
  readonly #entries: RootEventReader;
  /** by `fileIndex` */
  readonly #rootFiles = new Set<number>();

  /** Both belong to it from now on. */
  constructor(ranges: EventDataReader, entries: RootEventReader) {
    this.#ranges = ranges;
    this.#entries = entries;
  }

  addFile(file: { readonly fileIndex: number; readonly record: FileRecord; readonly places: readonly string[] }): void {
    if (file.record.format !== 'root') {
      this.#ranges.addFile(file);
      return;
    }
    this.#rootFiles.add(file.fileIndex);
    this.#entries.addFile(file);
  }

  plan(requests: readonly ByteRequest[]): void {
    const { ranges, entries } = this.#split(requests);
    if (ranges.length > 0) this.#ranges.plan(ranges);
    if (entries.length > 0) this.#entries.plan(entries);
  }

  forget(requests: readonly ByteRequest[]): void {
    const { ranges, entries } = this.#split(requests);
    this.#ranges.forget(ranges);
    this.#entries.forget(entries);
  }

  async read(requests: readonly ByteRequest[], signal: AbortSignal): Promise<readonly RidingBytes[]> {
    const { ranges, entries } = this.#split(requests);
    if (entries.length === 0) return this.#ranges.read(ranges, signal);
    const [ofRanges, ofEntries] = await Promise.all([
      ranges.length === 0 ? [] : this.#ranges.read(ranges, signal),
      this.#entries.read(entries, signal),
    ]);
    const results = new Map<ByteRequest, RidingBytes | undefined>([
      ...ranges.map((request, index) => [request, ofRanges[index]] as const),
      ...entries.map((request, index) => [request, ofEntries[index]] as const),
    ]);
    return requests.flatMap((request) => results.get(request) ?? []);
  }

  async close(): Promise<void> {
    await this.#ranges.close();
    await this.#entries.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #split(requests: readonly ByteRequest[]): { ranges: readonly ByteRequest[]; entries: readonly ByteRequest[] } {
    if (this.#rootFiles.size === 0) return { ranges: requests, entries: [] };
    const isEntry = ({ fileIndex }: ByteRequest): boolean => this.#rootFiles.has(fileIndex);
    return { ranges: requests.filter((request) => !isEntry(request)), entries: requests.filter(isEntry) };
  }
}
