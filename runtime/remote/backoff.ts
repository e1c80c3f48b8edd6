/** When to try again: full jitter (each pause uniform below a doubling bound) and the server's own `Retry-After`. */
import { REMOTE_RETRY_AFTER_MAX_MS } from '../../core/limits.ts';

/**
 * Full jitter spreads the tries of many clients best: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 *
 * @param tries failed so far, from 1
 * @param uniform in [0, 1)
 */
export function fullJitterMs(
  tries: number,
  policy: { readonly backoffBaseMs: number; readonly backoffMaxMs: number },
  uniform: number,
): number {
  return uniform * Math.min(policy.backoffMaxMs, policy.backoffBaseMs * 2 ** Math.min(tries, 30));
}

/**
 * `Retry-After` (RFC 9110, 10.2.3): seconds or a date. Undefined when absent or senseless; at most
 * `REMOTE_RETRY_AFTER_MAX_MS`, since a run must not sleep for as long as a server likes.
 */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  if (!Number.isFinite(ms)) return undefined;
  return Math.min(Math.max(ms, 0), REMOTE_RETRY_AFTER_MAX_MS);
}
