/**
 * Tokens nobody holds, in hand-out order. Suspects (in flight when the whole program died) wait in a lane of their own:
 * they are for workers that are child processes.
 */
import type { HeldToken } from './held-tokens.ts';

/** Taken tokens are cut off the front of the list when they are this many, and half of it. */
const COMPACTED_FROM = 1024;

export class TokenQueue {
  /** from `#front` on */
  #ordinary: HeldToken[] = [];
  #front = 0;
  #suspects: HeldToken[] = [];
  #bytes = 0;

  get ordinaryCount(): number {
    return this.#ordinary.length - this.#front;
  }

  get suspectCount(): number {
    return this.#suspects.length;
  }

  get count(): number {
    return this.ordinaryCount + this.suspectCount;
  }

  /** Bytes that ride with the tokens. */
  get bytes(): number {
    return this.#bytes;
  }

  /** At the end. */
  add(held: HeldToken): void {
    (held.token.suspect ? this.#suspects : this.#ordinary).push(held);
    this.#bytes += held.bytes?.length ?? 0;
  }

  /** At the front, in the order given. */
  putBack(back: readonly HeldToken[]): void {
    this.#suspects.unshift(...back.filter((held) => held.token.suspect));
    this.#ordinary = [...back.filter((held) => !held.token.suspect), ...this.#ordinary.slice(this.#front)];
    this.#front = 0;
    for (const held of back) this.#bytes += held.bytes?.length ?? 0;
  }

  /** Up to `count` that are no suspects. */
  take(count: number): HeldToken[] {
    const taken = this.#ordinary.slice(this.#front, this.#front + count);
    this.#front += taken.length;
    for (const held of taken) this.#bytes -= held.bytes?.length ?? 0;
    if (this.#front > COMPACTED_FROM && this.#front * 2 > this.#ordinary.length) {
      this.#ordinary = this.#ordinary.slice(this.#front);
      this.#front = 0;
    }
    return taken;
  }

  takeSuspect(): HeldToken | undefined {
    const suspect = this.#suspects.shift();
    this.#bytes -= suspect?.bytes?.length ?? 0;
    return suspect;
  }

  takeAll(): HeldToken[] {
    const all = [...this.#ordinary.slice(this.#front), ...this.#suspects];
    this.#ordinary = [];
    this.#front = 0;
    this.#suspects = [];
    this.#bytes = 0;
    return all;
  }
}
