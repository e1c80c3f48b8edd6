/**
 * A stretch of consecutive ranges of a task as typed arrays: the unit that is cached, changed in place and written.
 * A chunk that nobody touched does not exist.
 */
import { RANGES_PER_CHUNK } from '../core/limits.ts';
import { isHeld, type RangeWord } from './range-word.ts';

export class Chunk {
  readonly index: number;
  readonly words = new Int32Array(RANGES_PER_CHUNK);
  /** see `execution-length.ts` */
  readonly lengths = new Uint8Array(RANGES_PER_CHUNK);
  /** number of ranges in the hands of consumers */
  heldCount = 0;
  /** number of those whose consumer has reported `started`: known in memory only, so such a chunk stays cached */
  runningCount = 0;
  /** no range that waits to be handed out once more lies before this offset */
  returnedFrom = 0;
  /** changed since it was last written */
  dirty = false;
  /** where it is stored now */
  storedAs: 'working' | 'settled' | undefined;
  /** number of the group of changes it was last written with */
  writtenInGroup = 0;
  /** job that holds the range, where {@link isHeld}; allocated at the first hand-out */
  #owners: Uint32Array | undefined;

  constructor(index: number) {
    this.index = index;
  }

  get firstRange(): number {
    return this.index * RANGES_PER_CHUNK;
  }

  wordAt(offset: number): RangeWord {
    return this.words[offset] as RangeWord;
  }

  /** PandaID of the job that holds the range; 0 when none does. */
  ownerAt(offset: number): number {
    return this.#owners?.[offset] ?? 0;
  }

  setOwner(offset: number, jobID: number): void {
    if (this.#owners === undefined) {
      if (jobID === 0) return;
      this.#owners = new Uint32Array(RANGES_PER_CHUNK);
    }
    this.#owners[offset] = jobID;
  }

  /** Frees what only a chunk with held ranges needs. */
  settle(): void {
    if (this.heldCount === 0) this.#owners = undefined;
  }

  /** Counts what is held, after the words were filled from the store. */
  recount(): void {
    this.heldCount = 0;
    for (const word of this.words) if (isHeld(word)) this.heldCount += 1;
  }
}
