/**
 * Tokens nobody holds, in hand-out order. Suspects (in flight when the whole program died) wait in a lane of their own:
 * they are for workers that are child processes.
 */
import { Fifo } from '../../core/fifo.ts';
import type { HeldToken } from './held-tokens.ts';

export class TokenQueue {
  readonly #ordinary = new Fifo<HeldToken>();
  readonly #suspects = new Fifo<HeldToken>();
  #bytes = 0;

  get ordinaryCount(): number {
    return this.#ordinary.length;
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
    this.#suspects.putBack(back.filter((held) => held.token.suspect));
    this.#ordinary.putBack(back.filter((held) => !held.token.suspect));
    for (const held of back) this.#bytes += held.bytes?.length ?? 0;
  }

  /** Up to `count` that are no suspects. */
  take(count: number): HeldToken[] {
    const taken = this.#ordinary.take(count);
    for (const held of taken) this.#bytes -= held.bytes?.length ?? 0;
    return taken;
  }

  takeSuspect(): HeldToken | undefined {
    const suspect = this.#suspects.shift();
    this.#bytes -= suspect?.bytes?.length ?? 0;
    return suspect;
  }

  takeAll(): HeldToken[] {
    this.#bytes = 0;
    return [...this.#ordinary.clear(), ...this.#suspects.clear()];
  }
}
