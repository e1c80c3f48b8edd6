/**
 * Time as a dependency. Everything that decides by time takes a {@link Clock}, so that tests and the grid simulation
 * can run it in virtual time.
 */
export interface Clock {
  /** Milliseconds since the epoch; comparable across processes, may jump. */
  nowMs(): number;
  /** Milliseconds since an arbitrary moment; never jumps back. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};
