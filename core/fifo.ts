/** A queue of any length: a list with a moving front, since taking the first of a long array moves all others. */

/** What was taken is cut off when it is so many, and half of the list. */
const COMPACTED_FROM = 1024;

export class Fifo<Item> {
  #list: (Item | undefined)[] = [];
  /** what is before has been taken */
  #front = 0;

  get length(): number {
    return this.#list.length - this.#front;
  }

  push(item: Item): void {
    this.#list.push(item);
  }

  /** Undefined when there is none. */
  shift(): Item | undefined {
    if (this.length === 0) return undefined;
    const item = this.#list[this.#front];
    this.#list[this.#front] = undefined;
    this.#advance(1);
    return item;
  }

  /** Up to `count` from the front, in order. */
  take(count: number): Item[] {
    const taken = this.#list.slice(this.#front, this.#front + count) as Item[];
    this.#list.fill(undefined, this.#front, this.#front + taken.length);
    this.#advance(taken.length);
    return taken;
  }

  /** To the front, in the order given. */
  putBack(items: readonly Item[]): void {
    if (items.length > 0) this.#replace([...items, ...this.#left()]);
  }

  /** Leaves out what is not wanted any more; the others keep their order. */
  retain(isWanted: (item: Item) => boolean): void {
    this.#replace(this.#left().filter(isWanted));
  }

  /** Takes all, in their order. */
  clear(): Item[] {
    const all = this.#left();
    this.#replace([]);
    return all;
  }

  #advance(count: number): void {
    this.#front += count;
    if (this.#front >= COMPACTED_FROM && 2 * this.#front >= this.#list.length) this.#replace(this.#left());
  }

  #left(): Item[] {
    return this.#list.slice(this.#front) as Item[];
  }

  #replace(list: Item[]): void {
    this.#list = list;
    this.#front = 0;
  }
}
