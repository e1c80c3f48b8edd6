/** Trying again what may work later, for requests that have no other replica to go to. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../../core/clock.ts';
import { isGranuleError } from '../../core/errors.ts';
import { fullJitterMs } from './backoff.ts';
import type { RemoteOptions } from './remote-options.ts';

/**
 * Repeats the action while it fails with `SOURCE_UNREACHABLE` that is not permanent, for as long as patience lasts.
 *
 * @throws the last error; the signal's reason
 */
export async function persist<Result>(
  action: () => Promise<Result>,
  timing: Pick<RemoteOptions, 'patienceMs' | 'backoffBaseMs' | 'backoffMaxMs'>,
  clock: Clock,
  signal: AbortSignal,
): Promise<Result> {
  const startMs = clock.monotonicMs();
  for (let tries = 1; ; tries += 1) {
    try {
      return await action();
    } catch (error) {
      signal.throwIfAborted();
      if (!isGranuleError(error) || error.code !== 'SOURCE_UNREACHABLE' || error.details['permanent'] === true)
        throw error;
      const { retryAfterMs } = error.details;
      const jitterMs = fullJitterMs(tries, timing, Math.random());
      const waitMs = Math.max(jitterMs, typeof retryAfterMs === 'number' ? retryAfterMs : 0);
      if (clock.monotonicMs() - startMs + waitMs > timing.patienceMs) throw error;
      await pause(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }
}
