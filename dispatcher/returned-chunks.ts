/** Which chunks have ranges that wait to be handed out once more, lowest first: a heap that tidies up when read. */

export class ReturnedChunks {
  readonly #counts = new Map<number, number>();
  /** binary min-heap of chunk indices; may hold some whose count has gone to zero, never one twice */
  readonly #heap: number[] = [];
  readonly #queued = new Set<number>();
  #total = 0;

  /** number of ranges */
  get total(): number {
    return this.#total;
  }

  add(chunkIndex: number): void {
    this.#total += 1;
    this.#counts.set(chunkIndex, (this.#counts.get(chunkIndex) ?? 0) + 1);
    if (this.#queued.has(chunkIndex)) return;
    this.#queued.add(chunkIndex);
    this.#push(chunkIndex);
  }

  remove(chunkIndex: number): void {
    this.#total -= 1;
    const left = (this.#counts.get(chunkIndex) ?? 0) - 1;
    if (left > 0) this.#counts.set(chunkIndex, left);
    else this.#counts.delete(chunkIndex);
  }

  has(chunkIndex: number): boolean {
    return this.#counts.has(chunkIndex);
  }

  /** Lowest chunk with such ranges. */
  first(): number | undefined {
    for (;;) {
      const lowest = this.#heap[0];
      if (lowest === undefined || this.#counts.has(lowest)) return lowest;
      this.#queued.delete(lowest);
      this.#pop();
    }
  }

  #push(value: number): void {
    const heap = this.#heap;
    let place = heap.length;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if ((heap[parent] as number) <= value) break;
      heap[place] = heap[parent] as number;
      place = parent;
    }
    heap[place] = value;
  }

  #pop(): void {
    const heap = this.#heap;
    const value = heap.pop();
    if (value === undefined || heap.length === 0) return;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as number) < (heap[child] as number)) child += 1;
      if ((heap[child] as number) >= value) break;
      heap[place] = heap[child] as number;
      place = child;
    }
    heap[place] = value;
  }
}
