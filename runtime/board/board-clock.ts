/** One axis of time for all threads and processes of a host: a board is read by another one than writes it. */

/** From `performance.now()` of this thread to the system's monotonic clock. */
const MONOTONIC_OFFSET_MS = monotonicOffsetMs();

/** The two clocks are read one after the other: a thread that loses its core in between would be off by that much. */
function monotonicOffsetMs(): number {
  let offsetMs = 0;
  let leastMs = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const beforeMs = performance.now();
    const monotonicMs = Number(process.hrtime.bigint() / 1000n) / 1000;
    const afterMs = performance.now();
    if (afterMs - beforeMs >= leastMs) continue;
    leastMs = afterMs - beforeMs;
    offsetMs = monotonicMs - (beforeMs + afterMs) / 2;
  }
  return offsetMs;
}

/** Milliseconds on one axis for all threads and processes of a host. */
export function boardTimeMs(): number {
  return MONOTONIC_OFFSET_MS + performance.now();
}
