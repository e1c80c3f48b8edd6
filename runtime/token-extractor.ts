/** The main thread's end of the token extractor: starts its thread, sends it ranges, passes on what comes back. */
import { Worker } from 'node:worker_threads';
import { assertNever } from '../core/assert.ts';
import type { LeasedRange } from '../core/dispatcher-api.ts';
import { deserialiseError, type GranuleError } from '../core/errors.ts';
import type { LogLevel } from '../core/log.ts';
import type { ExtractFile, FromExtractor, RangeToken, ToExtractor, WorkerFile } from '../core/messages.ts';
import { threadEntryUrl } from '../core/thread-entry.ts';
import { PeerChannel } from './channel.ts';
import type { EventDataReaderOptions } from './remote/event-data-reader.ts';
import { isReadByWorkers } from './token-extraction.ts';

/** Given to the thread when it starts. */
export interface ExtractorData {
  readonly channelAddress: string;
  /** the event index's store */
  readonly indexPath: string;
  readonly reader: EventDataReaderOptions;
  /** branches of ROOT trees to read, see `root/branch-choice.ts`; empty for all */
  readonly branches: readonly string[];
  readonly log: { readonly file: string; readonly level: LogLevel };
}

export interface ExtractorListeners {
  onTokens(files: readonly WorkerFile[], tokens: readonly RangeToken[], frames: readonly Uint8Array[]): void;
  /** These ranges cannot be read now. */
  onRefused(ranges: readonly { readonly rangeIndex: number; readonly attemptNr: number }[], error: GranuleError): void;
  /** The thread is gone or cannot go on. */
  onFatal(error: unknown): void;
}

export class TokenExtractor {
  readonly #channel: PeerChannel<FromExtractor, ToExtractor>;
  readonly #listeners: ExtractorListeners;
  readonly #exited: Promise<void>;
  #pendingCount = 0;
  #fetches = false;
  #closed: Promise<void> | undefined;

  private constructor(channel: PeerChannel<FromExtractor, ToExtractor>, thread: Worker, listeners: ExtractorListeners) {
    this.#channel = channel;
    this.#listeners = listeners;
    this.#exited = new Promise((resolve) => {
      thread.once('exit', () => {
        resolve();
        if (this.#closed === undefined) listeners.onFatal(new Error('the thread of the token extractor ended'));
      });
    });
    thread.on('error', (error) => listeners.onFatal(error));
  }

  static async start(data: ExtractorData, listeners: ExtractorListeners): Promise<TokenExtractor> {
    const channel = await PeerChannel.bindPair<FromExtractor, ToExtractor>(data.channelAddress);
    const thread = new Worker(threadEntryUrl(import.meta.url, './token-extractor.thread.ts'), { workerData: data });
    const extractor = new TokenExtractor(channel, thread, listeners);
    extractor.#serve().catch((error: unknown) => listeners.onFatal(error));
    return extractor;
  }

  /** Ranges sent whose tokens have not come back. */
  get pendingCount(): number {
    return this.#pendingCount;
  }

  /** True once it has been told of a file whose bytes it has to fetch. */
  get fetches(): boolean {
    return this.#fetches;
  }

  async addFile(file: Omit<ExtractFile, 'kind'>): Promise<void> {
    if (!isReadByWorkers(file)) this.#fetches = true;
    await this.#channel.send({ kind: 'extract-file', ...file });
  }

  async extract(ranges: readonly LeasedRange[]): Promise<void> {
    this.#pendingCount += ranges.length;
    await this.#channel.send({ kind: 'extract-ranges', ranges });
  }

  /** Refuses, soon, every range whose tokens have not come back. */
  async giveBack(): Promise<void> {
    await this.#channel.send({ kind: 'give-back' });
  }

  /** Ends the thread; what it has not answered is forgotten. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    await this.#channel.send({ kind: 'end' });
    await this.#exited;
    await this.#channel.close();
  }

  async #serve(): Promise<void> {
    for (;;) {
      const received = await this.#channel.receive();
      if (received === undefined) return;
      const { message, frames } = received;
      switch (message.kind) {
        case 'tokens':
          this.#pendingCount -= message.tokens.length;
          this.#listeners.onTokens(message.files, message.tokens, frames);
          break;
        case 'extraction-failed':
          this.#pendingCount -= message.ranges.length;
          this.#listeners.onRefused(message.ranges, deserialiseError(message.error));
          break;
        case 'extractor-failed':
          this.#listeners.onFatal(deserialiseError(message.error));
          break;
        default:
          assertNever(message, 'message of the token extractor');
      }
    }
  }
}
