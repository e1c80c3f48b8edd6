/** Virtual time. The wall clock jumps now and then, as clocks of machines do; the monotonic one does not. */
import type { Clock } from '../../core/clock.ts';

export class GridClock implements Clock {
  #nowMs = 0;
  #wallOffsetMs = Date.UTC(2026, 0, 1);

  nowMs(): number {
    return this.#nowMs + this.#wallOffsetMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  moveTo(nowMs: number): void {
    this.#nowMs = nowMs;
  }

  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }
}
