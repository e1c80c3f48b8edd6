/**
 * What one worker holds: tokens in the order in which it was given them, which is nearly always the order in which it
 * reports them. A list with a moving front, not a map: a map that loses an entry for each one it gains is made anew again
 * and again, and each dead copy keeps its successor from being collected young.
 */
import { CREDIT_MAX } from '../../core/limits.ts';
import type { RangeToken } from '../../core/messages.ts';

/** A token in somebody's hands, with the bytes that ride with it. */
export interface HeldToken {
  readonly token: RangeToken;
  readonly bytes: Uint8Array | undefined;
  /** a speculative copy of a range that another worker executes */
  readonly copy: boolean;
}

export class HeldTokens {
  /** what is before `#front` has been taken out */
  #list: (HeldToken | undefined)[] = [];
  #front = 0;

  get size(): number {
    return this.#list.length - this.#front;
  }

  /** A range is held once. */
  add(held: HeldToken): void {
    this.#list.push(held);
  }

  get(rangeIndex: number): HeldToken | undefined {
    return this.#list[this.#find(rangeIndex)];
  }

  /** Takes a range out; undefined when it is not held. Cheap for the one given first, and near the front. */
  remove(rangeIndex: number): HeldToken | undefined {
    const index = this.#find(rangeIndex);
    const held = this.#list[index];
    if (held === undefined) return undefined;
    // Not `copyWithin`, which is slow on plain arrays.
    for (let at = index; at > this.#front; at -= 1) this.#list[at] = this.#list[at - 1];
    this.#list[this.#front] = undefined;
    this.#front += 1;
    if (this.#front >= CREDIT_MAX && 2 * this.#front >= this.#list.length) {
      this.#list = this.#list.slice(this.#front);
      this.#front = 0;
    }
    return held;
  }

  /** All, in the order given. */
  values(): readonly HeldToken[] {
    return this.#list.slice(this.#front) as HeldToken[];
  }

  clear(): void {
    this.#list = [];
    this.#front = 0;
  }

  /** Its place in the list; the list's length when it is not held. */
  #find(rangeIndex: number): number {
    let index = this.#front;
    while (index < this.#list.length && this.#list[index]?.token.rangeIndex !== rangeIndex) index += 1;
    return index;
  }
}
