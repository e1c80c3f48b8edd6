/**
 * Byte ranges out of something that can only be read from its beginning: an inflated stream, or a server without range
 * requests. Ranges that lie ahead are cut out of the pass under way; a range behind it needs a pass of its own.
 *
 * At most `SEQUENTIAL_PASSES_MAX` passes are open, so that an event done again does not throw the main pass back. A pass
 * reads on only while somebody waits for it, which bounds memory to one chunk and the ranges asked for.
 */
import { GranuleError } from '../../core/errors.ts';
import { SEQUENTIAL_PASSES_MAX } from '../../core/limits.ts';
import { type ByteRange, endOf } from './byte-source.ts';

interface Wanted extends ByteRange {
  /** filled piece by piece; undefined while no byte has been seen */
  bytes: Uint8Array | undefined;
  filledBytes: number;
  cancelled: boolean;
  resolve(bytes: Uint8Array): void;
  reject(reason: unknown): void;
}

class Pass {
  positionBytes = 0;
  /** sorted by offset */
  readonly wanted: Wanted[] = [];
  readonly abort = new AbortController();
  #wake: (() => void) | undefined;

  add(wanted: Wanted): void {
    let at = this.wanted.length;
    while (at > 0 && (this.wanted[at - 1]?.offsetBytes ?? 0) > wanted.offsetBytes) at -= 1;
    this.wanted.splice(at, 0, wanted);
    this.wake();
  }

  /** Nobody is to be read on for who has given up. */
  dropCancelled(): void {
    this.wanted.splice(0, this.wanted.length, ...this.wanted.filter(({ cancelled }) => !cancelled));
  }

  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  async waitForWanted(): Promise<void> {
    while (this.wanted.length === 0 && !this.abort.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Hands the chunk's bytes to all who want some of them. A range that lies in one chunk is a view of it. */
  deliver(chunk: Uint8Array): void {
    const start = this.positionBytes;
    const end = start + chunk.length;
    let kept = 0;
    for (const [index, wanted] of this.wanted.entries()) {
      if (wanted.offsetBytes >= end) {
        this.wanted.copyWithin(kept, index);
        kept += this.wanted.length - index;
        break;
      }
      if (!fill(wanted, chunk, start)) {
        this.wanted[kept] = wanted;
        kept += 1;
      }
    }
    this.wanted.length = kept;
    this.positionBytes = end;
  }

  fail(reason: unknown): void {
    for (const wanted of this.wanted.splice(0)) wanted.reject(reason);
  }
}

/** True when the range is complete. */
function fill(wanted: Wanted, chunk: Uint8Array, chunkOffset: number): boolean {
  const from = wanted.offsetBytes + wanted.filledBytes - chunkOffset;
  const piece = chunk.subarray(from, Math.min(chunk.length, from + wanted.lengthBytes - wanted.filledBytes));
  if (piece.length === wanted.lengthBytes) {
    wanted.resolve(piece);
    return true;
  }
  wanted.bytes ??= Buffer.allocUnsafeSlow(wanted.lengthBytes);
  wanted.bytes.set(piece, wanted.filledBytes);
  wanted.filledBytes += piece.length;
  if (wanted.filledBytes < wanted.lengthBytes) return false;
  wanted.resolve(wanted.bytes);
  return true;
}

export class SequentialReader {
  readonly #place: string;
  readonly #openStream: (signal: AbortSignal) => AsyncIterable<Uint8Array>;
  readonly #passes = new Set<Pass>();
  /** ranges behind all passes, waiting for one to become idle */
  readonly #waiting: Wanted[] = [];
  readonly #ends = new Set<Promise<void>>();

  /** @param openStream begins at the first byte; its chunks are not reused once yielded */
  constructor(place: string, openStream: (signal: AbortSignal) => AsyncIterable<Uint8Array>) {
    this.#place = place;
    this.#openStream = openStream;
  }

  readMany(ranges: readonly ByteRange[], signal: AbortSignal): Promise<Uint8Array[]> {
    if (signal.aborted) return Promise.reject(signal.reason);
    const all: Wanted[] = [];
    const results = ranges.map((range) => {
      if (range.lengthBytes === 0) return new Uint8Array(0);
      return new Promise<Uint8Array>((resolve, reject) => {
        all.push({ ...range, bytes: undefined, filledBytes: 0, cancelled: false, resolve, reject });
      });
    });
    const cancel = (): void => {
      for (const wanted of all) {
        wanted.cancelled = true;
        wanted.reject(signal.reason);
      }
      for (const pass of this.#passes) pass.dropCancelled();
    };
    signal.addEventListener('abort', cancel, { once: true });
    for (const wanted of all.toSorted((a, b) => a.offsetBytes - b.offsetBytes)) this.#assign(wanted);
    return Promise.all(results).finally(() => signal.removeEventListener('abort', cancel));
  }

  async close(reason: unknown): Promise<void> {
    for (const wanted of this.#waiting.splice(0)) wanted.reject(reason);
    for (const pass of this.#passes) this.#end(pass, reason);
    await Promise.all(this.#ends);
  }

  /** The furthest pass that has not gone by yet; else a new one; else the range waits. */
  #assign(wanted: Wanted): void {
    let best: Pass | undefined;
    for (const pass of this.#passes) {
      if (pass.positionBytes <= wanted.offsetBytes && pass.positionBytes >= (best?.positionBytes ?? 0)) best = pass;
    }
    best ??= this.#begin();
    if (best === undefined) this.#waiting.push(wanted);
    else best.add(wanted);
  }

  #begin(): Pass | undefined {
    if (this.#passes.size >= SEQUENTIAL_PASSES_MAX) {
      // The idle pass that is least far has the least to lose.
      const idle = [...this.#passes].filter((pass) => pass.wanted.length === 0);
      const victim = idle.sort((a, b) => a.positionBytes - b.positionBytes)[0];
      if (victim === undefined) return undefined;
      this.#end(victim, undefined);
    }
    const pass = new Pass();
    this.#passes.add(pass);
    const end = this.#run(pass).finally(() => this.#ends.delete(end));
    this.#ends.add(end);
    return pass;
  }

  #end(pass: Pass, reason: unknown): void {
    this.#passes.delete(pass);
    pass.fail(reason);
    pass.abort.abort(reason);
    pass.wake();
  }

  async #run(pass: Pass): Promise<void> {
    try {
      await pass.waitForWanted();
      for await (const chunk of this.#openStream(pass.abort.signal)) {
        if (pass.abort.signal.aborted) return;
        pass.deliver(chunk);
        if (pass.wanted.length > 0) continue;
        this.#reassignWaiting();
        await pass.waitForWanted();
        if (pass.abort.signal.aborted) return;
      }
      const [short] = pass.wanted;
      if (short !== undefined) {
        pass.fail(
          new GranuleError(
            'SOURCE_CORRUPT',
            `${this.#place} ends at byte ${pass.positionBytes}, but bytes ${short.offsetBytes}-${endOf(short) - 1} are wanted`,
            { details: { place: this.#place, offsetBytes: pass.positionBytes } },
          ),
        );
      }
    } catch (error) {
      pass.fail(error);
    } finally {
      this.#passes.delete(pass);
      this.#reassignWaiting();
    }
  }

  #reassignWaiting(): void {
    for (const wanted of this.#waiting.splice(0)) {
      if (!wanted.cancelled) this.#assign(wanted);
    }
  }
}
