/** Waiting for shared work without giving up one's own right to stop waiting; and waiting without that right. */
import { setMaxListeners } from 'node:events';

/** Never aborted: of work that nobody waits for, or that ends by itself. */
export const NEVER: AbortSignal = new AbortController().signal;
// Any number of requests may hang on it at once.
setMaxListeners(0, NEVER);

/**
 * Settles as `work` does, or rejects with the signal's reason as soon as it is aborted. The work itself goes on: others
 * may wait for it too.
 */
export async function abortable<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  if (signal.aborted) {
    work.catch(() => undefined);
    throw signal.reason;
  }
  let stop: (() => void) | undefined;
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, stopped]);
  } finally {
    if (stop !== undefined) signal.removeEventListener('abort', stop);
  }
}
