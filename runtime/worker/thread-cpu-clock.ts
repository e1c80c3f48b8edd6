/**
 * CPU time of the calling thread. Node 20 has no such clock; Linux tells it in `/proc/thread-self/schedstat`
 * (time on CPU in nanoseconds, first field). The kernel counts a thread that goes on running once in a scheduler tick (4 ms),
 * unless somebody asks for the CPU time of its process: then it counts the asking thread at once. So that is asked first.
 * Elsewhere wall time stands in for it.
 */
import { closeSync, openSync, readSync } from 'node:fs';
// Not the global one: a payload may remove that.
import process from 'node:process';

export class ThreadCpuClock {
  readonly #fd: number | undefined;
  readonly #buffer = Buffer.alloc(64);

  /** Must be made in the thread that it measures. */
  constructor() {
    this.#fd = ThreadCpuClock.#open();
  }

  static #open(): number | undefined {
    try {
      return openSync('/proc/thread-self/schedstat', 'r');
    } catch {
      return undefined;
    }
  }

  /** True when `nowMs` counts CPU time and not wall time. */
  get exact(): boolean {
    return this.#fd !== undefined;
  }

  nowMs(): number {
    if (this.#fd === undefined) return performance.now();
    process.cpuUsage();
    const count = readSync(this.#fd, this.#buffer, 0, this.#buffer.length, 0);
    return Number.parseInt(this.#buffer.toString('latin1', 0, count), 10) / 1e6;
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
  }
}
