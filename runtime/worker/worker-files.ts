/** What a worker knows of the input files, and where the bytes of their events come from. In a worker's thread. */
import type { RangeToken, WorkerFile } from '../../core/messages.ts';
import type { InputFormat } from '../../payloads/formats/event-format.ts';
import { inputFormat } from '../../payloads/formats/registry.ts';
import { EventReader } from './event-reader.ts';

export interface KnownFile {
  readonly file: WorkerFile;
  readonly format: InputFormat;
  /** bytes of the run segments, read when first needed */
  readonly headers: (Uint8Array | undefined)[];
}

const NO_HEADER = new Uint8Array(0);

export class WorkerFiles {
  readonly #reader = new EventReader();
  readonly #files = new Map<number, KnownFile>();

  /** The description of a file comes with its first token. */
  add(files: readonly WorkerFile[]): void {
    for (const file of files) {
      this.#files.set(file.fileIndex, {
        file,
        format: inputFormat(file.format),
        headers: file.runSegments.map(() => undefined),
      });
    }
  }

  of(token: RangeToken): KnownFile {
    const known = this.#files.get(token.fileIndex);
    if (known === undefined) throw new Error(`no description of file ${token.fileIndex} came with its first token`);
    return known;
  }

  /**
   * The bytes of a range: those that ride with its token, or read from the file.
   *
   * @param frames data frames of the message that brought the batch
   * @param batch the range and those after it: their bytes are read together
   * @throws INPUT_UNREADABLE, INPUT_TRUNCATED
   */
  bytesOf(token: RangeToken, frames: readonly Uint8Array[], batch: readonly RangeToken[]): Uint8Array {
    if (token.frame >= 0) {
      const frame = frames[token.frame];
      if (frame === undefined) throw new Error(`frame ${token.frame} did not come with its token`);
      return frame;
    }
    const last = batch[batch.length - 1];
    const following = last?.fileIndex === token.fileIndex ? last.offsetBytes + last.lengthBytes : 0;
    return this.#reader.read(this.of(token).file, token, following);
  }

  /** The run information in force at an event; the same array for all events that share it. */
  runHeader(known: KnownFile, position: number): Uint8Array {
    const segments = known.file.runSegments;
    let index = segments.length - 1;
    while (index >= 0 && (segments[index]?.firstPosition ?? 0) > position) index -= 1;
    const segment = index < 0 ? undefined : segments[index];
    if (segment === undefined) return NO_HEADER;
    const header =
      known.headers[index] ??
      known.file.runHeaders?.[index] ??
      Uint8Array.from(this.#reader.readRange(known.file, segment.offsetBytes, segment.lengthBytes));
    known.headers[index] = header;
    return header;
  }

  close(): void {
    this.#reader.close();
  }
}

/** One event's bytes out of its range's. */
export function eventBytes(token: RangeToken, position: number, rangeBytes: Uint8Array): Uint8Array {
  if (token.cuts === null) return rangeBytes;
  const index = 2 * (position - token.startEvent);
  const start = token.cuts[index] ?? 0;
  return rangeBytes.subarray(start, start + (token.cuts[index + 1] ?? 0));
}
