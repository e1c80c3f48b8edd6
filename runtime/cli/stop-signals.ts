/**
 * Signals of a run. The first SIGTERM, SIGINT, SIGHUP or SIGUSR1 (a batch system's warning) asks it to drain; a second
 * SIGTERM or SIGINT forces the end. Handlers are installed before anything else is done: without one, SIGUSR1 would
 * open Node's inspector.
 */
import { EXIT, type ExitCode, GranuleError } from '../../core/errors.ts';
import type { DrainReason } from '../run/run-events.ts';

export interface StopSignals {
  /** aborted by the first signal; its reason is a {@link DrainReason} */
  readonly drain: AbortSignal;
  /** aborted by the second */
  readonly force: AbortSignal;
  dispose(): void;
}

const DRAINING_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1'] as const;

export function listenForStopSignals(): StopSignals {
  const drain = new AbortController();
  const force = new AbortController();
  const listeners = DRAINING_SIGNALS.map((signal) => {
    const listener = (): void => {
      const reason: DrainReason = signal === 'SIGINT' ? 'interrupted' : 'requested';
      if (!drain.signal.aborted) drain.abort(reason);
      else if (signal === 'SIGINT' || signal === 'SIGTERM') force.abort(reason);
    };
    process.on(signal, listener);
    return { signal, listener };
  });
  return {
    drain: drain.signal,
    force: force.signal,
    dispose: () => {
      for (const { signal, listener } of listeners) process.off(signal, listener);
    },
  };
}

/**
 * Runs work that is not drained but given up at the first signal, as it does by rejecting.
 *
 * @param what the user is told of what was given up
 * @returns what `work` returns; 130 when SIGINT ended it
 * @throws STOPPED_EARLY when another signal did
 */
export async function untilSignal(what: string, work: (signals: StopSignals) => Promise<ExitCode>): Promise<ExitCode> {
  const signals = listenForStopSignals();
  try {
    return await work(signals);
  } catch (cause) {
    if (!signals.drain.aborted) throw cause;
    if (signals.drain.reason === 'interrupted') return EXIT.interrupted;
    throw new GranuleError('STOPPED_EARLY', `told to stop: ${what}`, { remedy: 'run the same command again', cause });
  } finally {
    signals.dispose();
  }
}
