/**
 * What is known of one host (origin): how many ranges it takes in a request, how fast it answers, and whether it is
 * worth asking at all (a circuit breaker). Shared by all files of the host within a thread.
 *
 * The breaker is *closed* (requests pass); after `HOST_FAILURES_TO_OPEN` failures in a row *open* (requests are refused
 * at once, for a pause that doubles each time); after the pause *half open* (one request passes: its success closes
 * the breaker, its failure opens it again).
 */
import {
  HOST_FAILURES_TO_OPEN,
  HOST_PAUSE_BASE_MS,
  HOST_PAUSE_MAX_MS,
  REMOTE_RANGES_LADDER,
} from '../../core/limits.ts';

/** Weight of the newest measurement in the running means. */
const SMOOTHING = 0.2;
/** Measurements older than this say little about now: the host is then tried as if it were new. */
const MEASUREMENT_LIFE_MS = 60_000;

export class HostHealth {
  readonly origin: string;
  #rung = 0;
  #failures = 0;
  #openings = 0;
  #openUntilMs = 0;
  #probing = false;
  #roundTripMs: number | undefined;
  #bytesPerMs: number | undefined;
  #measuredAtMs = Number.NEGATIVE_INFINITY;

  constructor(origin: string) {
    this.origin = origin;
  }

  /** Ranges to ask for in one request. */
  get rangesPerRequest(): number {
    return REMOTE_RANGES_LADDER[this.#rung] ?? 1;
  }

  /** The host failed a request of `rangeCount` ranges: ask for fewer from now on. False when one is the least. */
  stepDown(rangeCount: number): boolean {
    if (rangeCount <= 1) return false;
    while (this.rangesPerRequest >= rangeCount && this.rangesPerRequest > 1) this.#rung += 1;
    return true;
  }

  /** 0 when a request may go out now, else how long the host is left alone. A half-open breaker admits one caller. */
  admit(nowMs: number): number {
    if (this.#failures < HOST_FAILURES_TO_OPEN) return 0;
    if (nowMs < this.#openUntilMs) return this.#openUntilMs - nowMs;
    if (this.#probing) return HOST_PAUSE_BASE_MS;
    this.#probing = true;
    return 0;
  }

  /** The host answered, be it with an error of its own making such as 404. */
  answered(roundTripMs: number, nowMs: number): void {
    this.#failures = 0;
    this.#openings = 0;
    this.#probing = false;
    this.#beginMeasurement(nowMs);
    this.#roundTripMs = smooth(this.#roundTripMs, roundTripMs);
  }

  /** No answer, a broken one, or one that says "overloaded". */
  failed(nowMs: number, retryAfterMs: number): void {
    this.#failures += 1;
    this.#probing = false;
    if (this.#failures < HOST_FAILURES_TO_OPEN) return;
    const pauseMs = Math.min(HOST_PAUSE_MAX_MS, HOST_PAUSE_BASE_MS * 2 ** Math.min(this.#openings, 20));
    if (nowMs >= this.#openUntilMs) this.#openings += 1;
    this.#openUntilMs = Math.max(this.#openUntilMs, nowMs + Math.max(pauseMs, retryAfterMs));
  }

  /** The request that was admitted was abandoned by its caller: nothing is known of the host. */
  abandoned(): void {
    this.#probing = false;
  }

  /** @param ms from the first byte of a body to its last */
  transferred(sizeBytes: number, ms: number, nowMs: number): void {
    this.#beginMeasurement(nowMs);
    this.#bytesPerMs = smooth(this.#bytesPerMs, sizeBytes / Math.max(ms, 0.05));
  }

  /** Expected time for a request of this size; 0 for a host that has not been measured lately. */
  expectedMs(sizeBytes: number, nowMs: number): number {
    if (nowMs - this.#measuredAtMs > MEASUREMENT_LIFE_MS) return 0;
    return (this.#roundTripMs ?? 0) + (this.#bytesPerMs === undefined ? 0 : sizeBytes / this.#bytesPerMs);
  }

  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  #beginMeasurement(nowMs: number): void {
    if (nowMs - this.#measuredAtMs > MEASUREMENT_LIFE_MS) {
      this.#roundTripMs = undefined;
      this.#bytesPerMs = undefined;
    }
    this.#measuredAtMs = nowMs;
  }
}

function smooth(mean: number | undefined, value: number): number {
  return mean === undefined ? value : mean + SMOOTHING * (value - mean);
}
