/**
 * The main thread's end of the token extractor: starts its thread, sends it ranges, passes on what comes back.
 *
 * States: *starting* (its thread loads and makes connections while inputs are read) → *serving* (from `listen` on) →
 * *closed*.
 */
import { Worker } from 'node:worker_threads';
import { assertNever } from '../../core/assert.ts';
import type { LeasedRange } from '../../core/dispatcher-api.ts';
import { deserialiseError, type GranuleError } from '../../core/errors.ts';
import type { LogLevel } from '../../core/log.ts';
import type {
  ExtractFile,
  FromExtractor,
  NothingFollows,
  RangeToken,
  ToExtractor,
  WorkerFile,
} from '../../core/messages.ts';
import { builtModuleUrl } from '../../core/own-files.ts';
import { PeerChannel } from '../channel/channel.ts';
import { LocalAddresses } from '../channel/local-addresses.ts';
import type { EventDataReaderOptions } from '../remote/event-data-reader.ts';
import { isRemotePlace } from '../remote/place.ts';
import { isReadByWorkers } from './token-extraction.ts';

export interface ExtractorOptions {
  /** the event index's store: there by the time that the first file is announced */
  readonly indexPath: string;
  readonly reader: EventDataReaderOptions;
  /** branches of ROOT trees to read, see `root/branch-choice.ts`; empty for all */
  readonly branches: readonly string[];
  readonly log: { readonly file: string; readonly level: LogLevel };
}

/** Given to the thread when it starts. */
export interface ExtractorData extends ExtractorOptions {
  readonly channelAddress: string;
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
  readonly #addresses: LocalAddresses;
  readonly #exited: Promise<void>;
  #listeners: ExtractorListeners | undefined;
  /** why the thread is of no use any more, from before anybody listened */
  #broken: { readonly error: unknown } | undefined;
  #pendingCount = 0;
  #fetches = false;
  #closed: Promise<void> | undefined;
  /** A send that waits for its peer to connect may wait for ever: nothing is sent before the thread has spoken. */
  readonly #connected: Promise<void>;
  #noteConnected: () => void = () => undefined;

  private constructor(addresses: LocalAddresses, channel: PeerChannel<FromExtractor, ToExtractor>, thread: Worker) {
    this.#addresses = addresses;
    this.#channel = channel;
    this.#connected = new Promise((resolve) => {
      this.#noteConnected = resolve;
    });
    this.#exited = new Promise((resolve) => {
      thread.once('exit', () => {
        resolve();
        if (this.#closed === undefined) this.#fail(new Error('the thread of the token extractor ended'));
      });
    });
    thread.on('error', (error) => this.#fail(error));
    this.#serve()
      .catch((error: unknown) => this.#fail(error))
      // It has said its last, or there is nobody to hear it: it may end.
      .finally(() => thread.postMessage('all-received'));
  }

  static async start(options: ExtractorOptions): Promise<TokenExtractor> {
    const addresses = await LocalAddresses.create();
    const channelAddress = addresses.address('extractor');
    const channel = await PeerChannel.bindPair<FromExtractor, ToExtractor>(channelAddress);
    const workerData: ExtractorData = { ...options, channelAddress };
    const thread = new Worker(builtModuleUrl('runtime/extraction/token-extractor.thread.ts'), { workerData });
    return new TokenExtractor(addresses, channel, thread);
  }

  /** Once, before the first range is sent. What went wrong until then is told at once. */
  listen(listeners: ExtractorListeners): void {
    this.#listeners = listeners;
    if (this.#broken !== undefined) listeners.onFatal(this.#broken.error);
  }

  /** Ranges sent whose tokens have not come back. */
  get pendingCount(): number {
    return this.#pendingCount;
  }

  /** True once it has been told of a file whose bytes it has to fetch, or to expect one. */
  get fetches(): boolean {
    return this.#fetches;
  }

  /** Paths or URLs that will probably be read: those of servers are connected to. */
  expect(places: readonly string[]): void {
    if (places.some(isRemotePlace)) this.#fetches = true;
    this.#send({ kind: 'expect-places', places }).catch((error: unknown) => this.#fail(error));
  }

  async addFile(file: Omit<ExtractFile, 'kind'>): Promise<void> {
    if (!isReadByWorkers(file)) this.#fetches = true;
    await this.#send({ kind: 'extract-file', ...file });
  }

  async extract(ranges: readonly LeasedRange[]): Promise<void> {
    this.#pendingCount += ranges.length;
    await this.#send({ kind: 'extract-ranges', ranges });
  }

  /** Refuses, soon, every range whose tokens have not come back. */
  async giveBack(): Promise<void> {
    await this.#send({ kind: 'give-back' });
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
    // A thread that is gone takes no message.
    await Promise.race([this.#send({ kind: 'end' }), this.#exited]);
    await this.#exited;
    this.#channel.destroy();
    await this.#addresses[Symbol.asyncDispose]();
  }

  async #send(message: ToExtractor): Promise<void> {
    await this.#connected;
    await this.#channel.send(message);
  }

  #fail(error: unknown): void {
    this.#broken ??= { error };
    this.#listeners?.onFatal(error);
  }

  /** Until its last message, whatever becomes of those before it: it must not end sooner. */
  async #serve(): Promise<void> {
    for (;;) {
      const received = await this.#channel.receive();
      if (received === undefined || received.message.kind === 'nothing-follows') return;
      try {
        this.#take(received.message, received.frames);
      } catch (error) {
        this.#fail(error);
      }
    }
  }

  #take(message: Exclude<FromExtractor, NothingFollows>, frames: readonly Uint8Array[]): void {
    switch (message.kind) {
      case 'extractor-connected':
        this.#noteConnected();
        break;
      case 'tokens':
        this.#pendingCount -= message.tokens.length;
        this.#listeners?.onTokens(message.files, message.tokens, frames);
        break;
      case 'extraction-failed':
        this.#pendingCount -= message.ranges.length;
        this.#listeners?.onRefused(message.ranges, deserialiseError(message.error));
        break;
      case 'extractor-failed':
        this.#fail(deserialiseError(message.error));
        break;
      default:
        assertNever(message, 'message of the token extractor');
    }
  }
}
