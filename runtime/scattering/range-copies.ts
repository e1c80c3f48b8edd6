/**
 * Which ranges were given to a second worker while the first one executes them (speculation), and whether one of the two
 * has finished: then whatever becomes of the other counts for nothing. On the main thread; part of the token scatterer.
 *
 * A few per run, at its end, so nothing is ever taken out.
 */
import type { RangeReport, RangeToken } from '../../core/messages.ts';

/** One attempt at a range, which has a copy. */
interface CopiedAttempt {
  readonly attemptNr: number;
  isFinished: boolean;
}

export class RangeCopies {
  /** by rangeIndex: the latest attempt */
  readonly #attempts = new Map<number, CopiedAttempt>();

  add({ rangeIndex, attemptNr }: RangeToken): void {
    this.#attempts.set(rangeIndex, { attemptNr, isFinished: false });
  }

  noteFinished({ rangeIndex, attemptNr }: RangeReport): void {
    const copied = this.#attempts.get(rangeIndex);
    if (copied?.attemptNr === attemptNr) copied.isFinished = true;
  }

  /** True when either of the two has finished. */
  isFinished({ rangeIndex, attemptNr }: RangeReport | RangeToken): boolean {
    const copied = this.#attempts.get(rangeIndex);
    return copied !== undefined && copied.attemptNr === attemptNr && copied.isFinished;
  }
}
