/** Waiting for shared work without giving up one's own right to stop waiting. */

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
