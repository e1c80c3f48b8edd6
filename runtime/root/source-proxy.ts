/** Gives jsroot the bytes of a file from any source, and keeps what went wrong, since jsroot swallows errors of reading. */
import { ROOT_SIGN_MS } from '../../core/limits.ts';
import type { ByteRange, ByteSource } from '../remote/byte-source.ts';
import type { RootFileProxy } from './jsroot.ts';

export class SourceProxy {
  readonly #source: ByteSource;
  readonly #sizeBytes: number;
  readonly #onRead: () => void;
  readonly #signal: AbortSignal;
  #error: unknown;

  /** @param onRead called before, after, and from time to time during each read */
  constructor(source: ByteSource, sizeBytes: number, onRead: () => void, signal: AbortSignal) {
    this.#source = source;
    this.#sizeBytes = sizeBytes;
    this.#onRead = onRead;
    this.#signal = signal;
  }

  /** What reading threw since this was last asked. */
  takeError(): unknown {
    const error = this.#error;
    this.#error = undefined;
    return error;
  }

  /** The methods that jsroot calls. */
  methods(): RootFileProxy {
    return {
      openFile: () => Promise.resolve(true),
      getFileName: () => this.#source.place,
      getFileSize: () => this.#sizeBytes,
      readBuffers: (places) => this.#read(places),
    };
  }

  async #read(places: readonly number[]): Promise<DataView[]> {
    const ranges: ByteRange[] = [];
    for (let index = 0; index < places.length; index += 2) {
      const offsetBytes = Math.min(places[index] ?? 0, this.#sizeBytes);
      const lengthBytes = Math.min(places[index + 1] ?? 0, this.#sizeBytes - offsetBytes);
      ranges.push({ offsetBytes, lengthBytes });
    }
    this.#onRead();
    const signs = setInterval(this.#onRead, ROOT_SIGN_MS);
    try {
      const results = await this.#source.readMany(ranges, this.#signal);
      this.#onRead();
      return results.map(({ buffer, byteOffset, length }) => new DataView(buffer, byteOffset, length));
    } catch (error) {
      this.#error = error;
      throw error;
    } finally {
      clearInterval(signs);
    }
  }
}
