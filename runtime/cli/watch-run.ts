/** Stands by a run from its start to its end: progress and notices on stderr, signals to drain and to force. */
import { systemClock } from '../../core/clock.ts';
import { FORCED_END_MS } from '../../core/limits.ts';
import type { DrainReason } from '../run/run-events.ts';
import type { RunHandle } from '../run/run-handle.ts';
import type { RunSummary } from '../run/run-summary.ts';
import { ProgressReporter, progressStyle } from './progress.ts';
import { announceRun } from './run-notices.ts';
import type { StopSignals } from './stop-signals.ts';
import type { Surroundings } from './surroundings.ts';

/**
 * Resolves with the summary of the run; rejects with what the run rejects with.
 *
 * @param quiet no progress and no notices
 */
export async function watchRun(
  handle: RunHandle,
  signals: StopSignals,
  surroundings: Surroundings,
  quiet: boolean,
): Promise<RunSummary> {
  const { notices, environment } = surroundings;
  const style = quiet ? 'none' : progressStyle(notices, environment);
  const reporter = new ProgressReporter(handle.events, { output: notices, style, clock: systemClock });
  const stopNotices = quiet ? () => undefined : announceRun(handle.events, (line) => reporter.note(line));

  const drain = (): void => handle.drain(signals.drain.reason as DrainReason);
  if (signals.drain.aborted) drain();
  else signals.drain.addEventListener('abort', drain, { once: true });

  let timer: NodeJS.Timeout | undefined;
  const force = (): void => {
    notices.write('stopping at once; the same command goes on from here\n');
    handle.force();
    // Whatever does not end now is ended with the process: the event table is safe at any moment.
    timer = setTimeout(() => process.kill(process.pid, 'SIGKILL'), FORCED_END_MS);
  };
  signals.force.addEventListener('abort', force, { once: true });
  try {
    return await handle.done;
  } finally {
    clearTimeout(timer);
    signals.drain.removeEventListener('abort', drain);
    signals.force.removeEventListener('abort', force);
    stopNotices();
    reporter.close();
  }
}
