/** Who is to be woken when: a binary heap over typed arrays, for millions of sleepers. Ties in order of number. */

export class WakeQueue {
  readonly #times: Float64Array;
  readonly #sleepers: Int32Array;
  #size = 0;

  /** @param sleeperCount each is in the queue once at most */
  constructor(sleeperCount: number) {
    this.#times = new Float64Array(sleeperCount);
    this.#sleepers = new Int32Array(sleeperCount);
  }

  get size(): number {
    return this.#size;
  }

  /** Infinity when nobody sleeps. */
  get nextTime(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#times[0] as number);
  }

  push(sleeper: number, time: number): void {
    let place = this.#size;
    this.#size += 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!this.#before(time, sleeper, parent)) break;
      this.#move(parent, place);
      place = parent;
    }
    this.#set(place, time, sleeper);
  }

  /** Everybody whose time has come, in order. */
  popUntil(time: number): number[] {
    const woken: number[] = [];
    while (this.#size > 0 && (this.#times[0] as number) <= time) {
      woken.push(this.#sleepers[0] as number);
      this.#removeFirst();
    }
    return woken;
  }

  #removeFirst(): void {
    this.#size -= 1;
    const time = this.#times[this.#size] as number;
    const sleeper = this.#sleepers[this.#size] as number;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= this.#size) break;
      if (
        child + 1 < this.#size &&
        this.#before(this.#times[child + 1] as number, this.#sleepers[child + 1] as number, child)
      ) {
        child += 1;
      }
      if (this.#before(time, sleeper, child)) break;
      this.#move(child, place);
      place = child;
    }
    if (this.#size > 0) this.#set(place, time, sleeper);
  }

  #before(time: number, sleeper: number, place: number): boolean {
    const other = this.#times[place] as number;
    return time < other || (time === other && sleeper < (this.#sleepers[place] as number));
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#times[from] as number, this.#sleepers[from] as number);
  }

  #set(place: number, time: number, sleeper: number): void {
    this.#times[place] = time;
    this.#sleepers[place] = sleeper;
  }
}
