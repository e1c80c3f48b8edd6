/**
 * Which small reads of a local file are done on the spot. Handing one to another thread costs several times what the
 * read itself does when the page cache has the bytes, but a read from a slow disk stops everything else in this thread.
 * Whether the cache has the bytes the kernel does not tell: a read that took long is taken for a no, for a while.
 *
 * States: trying (each small read is done on the spot), pausing (the next so many are handed over). A slow read begins a
 * pause; each pause is twice as long as the one before, up to a bound, until as many reads in a row were quick as the
 * last pause was long. So a thread that was merely interrupted while it read loses little, and a cold disk is asked
 * rarely.
 */
import {
  QUICK_READ_BYTES_MAX,
  QUICK_READ_MS_MAX,
  SLOW_READ_PAUSE_MAX,
  SLOW_READ_PAUSE_MIN,
} from '../../core/limits.ts';

export class ReadsOnTheSpot {
  /** reads to be handed over before one is tried again */
  #handOverCount = 0;
  #nextPause = SLOW_READ_PAUSE_MIN;
  #quickInARow = 0;

  /** Asked before each read. */
  allow(lengthBytes: number): boolean {
    if (lengthBytes > QUICK_READ_BYTES_MAX) return false;
    if (this.#handOverCount === 0) return true;
    this.#handOverCount -= 1;
    return false;
  }

  /** Told after each read on the spot. */
  note(durationMs: number): void {
    if (durationMs > QUICK_READ_MS_MAX) {
      this.#handOverCount = this.#nextPause;
      this.#nextPause = Math.min(SLOW_READ_PAUSE_MAX, this.#nextPause * 2);
      this.#quickInARow = 0;
      return;
    }
    this.#quickInARow += 1;
    if (this.#quickInARow >= this.#nextPause) this.#nextPause = SLOW_READ_PAUSE_MIN;
  }
}
