/**
 * Waiting for an answer until a signal is aborted, for many with the same signal: Node looks through all listeners of a
 * signal for each one that is added, so all who wait share one, and one flag that threads look at.
 */

/** All that wait with one signal. */
export interface Cancellation<Waiting> {
  readonly waiting: Set<Waiting>;
  /** one number; not 0 as soon as nobody wants the answers any more */
  readonly cancelled: Int32Array;
}

export class Cancellations<Waiting> {
  readonly #bySignal = new WeakMap<AbortSignal, Cancellation<Waiting>>();
  readonly #never = newCancellation<Waiting>();
  readonly #onAbort: (waiting: ReadonlySet<Waiting>, reason: unknown) => void;

  /** @param onAbort told once per signal of all that wait with it then */
  constructor(onAbort: (waiting: ReadonlySet<Waiting>, reason: unknown) => void) {
    this.#onAbort = onAbort;
  }

  /** @throws the signal's reason when it is aborted */
  of(signal: AbortSignal | undefined): Cancellation<Waiting> {
    if (signal === undefined) return this.#never;
    signal.throwIfAborted();
    const known = this.#bySignal.get(signal);
    if (known !== undefined) return known;
    const made = newCancellation<Waiting>();
    this.#bySignal.set(signal, made);
    const abort = (): void => {
      Atomics.store(made.cancelled, 0, 1);
      this.#onAbort(made.waiting, signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    return made;
  }
}

function newCancellation<Waiting>(): Cancellation<Waiting> {
  return {
    waiting: new Set(),
    cancelled: new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)),
  };
}
