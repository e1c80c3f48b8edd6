/**
 * How many ranges somebody holds of which chunk. Most hold ranges of one chunk only, and there may be a million of them:
 * one chunk is kept in place, a map is made for more.
 */

export class HeldChunks {
  /** number of ranges */
  total = 0;
  #chunk = 0;
  #count = 0;
  #others: Map<number, number> | undefined;

  add(chunkIndex: number): void {
    this.total += 1;
    if (this.#count > 0 && this.#chunk === chunkIndex) this.#count += 1;
    else if (this.#count === 0 && !this.#others?.has(chunkIndex)) {
      this.#chunk = chunkIndex;
      this.#count = 1;
    } else {
      this.#others ??= new Map();
      this.#others.set(chunkIndex, (this.#others.get(chunkIndex) ?? 0) + 1);
    }
  }

  remove(chunkIndex: number): void {
    this.total -= 1;
    if (this.#count > 0 && this.#chunk === chunkIndex) {
      this.#count -= 1;
      return;
    }
    const left = (this.#others?.get(chunkIndex) ?? 0) - 1;
    if (left > 0) this.#others?.set(chunkIndex, left);
    else this.#others?.delete(chunkIndex);
    if (this.#others?.size === 0) this.#others = undefined;
  }

  has(chunkIndex: number): boolean {
    return (this.#count > 0 && this.#chunk === chunkIndex) || (this.#others?.has(chunkIndex) ?? false);
  }

  /** Ascending. */
  chunks(): readonly number[] {
    const chunks = [...(this.#others?.keys() ?? [])];
    if (this.#count > 0) chunks.push(this.#chunk);
    return chunks.sort((left, right) => left - right);
  }
}
