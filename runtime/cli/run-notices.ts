/** What a run says on stderr beside its progress: one line for each thing that a user would want to know. */
import { NOTICES_PER_KIND_MAX } from '../../core/limits.ts';
import { printableText } from '../../core/printable.ts';
import { formatCount, formatDuration, formatNumberOf } from '../../core/quantities.ts';
import type { DrainReason, NodeEvents } from '../run/run-events.ts';

const DRAIN_REASONS: Readonly<Record<DrainReason, string>> = {
  requested: 'asked to stop',
  interrupted: 'interrupted (once more to stop at once)',
  walltime: 'the wall time is about to end',
  'limit-reached': 'the number of events asked for is reached',
  halted: 'the halt rule holds the payload to be broken',
  'source-gone': 'the source of remote data cannot be reached',
  stopped: 'the job was stopped',
};

/**
 * Writes a line per notable event through `write`.
 *
 * @returns a function that stops it, and writes what was only counted
 */
export function announceRun(events: NodeEvents, write: (line: string) => void): () => void {
  const note = (line: string): void => write(printableText(line));
  const counts = new Map<string, number>();
  const bounded = (kind: string, line: string): void => {
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    if (count <= NOTICES_PER_KIND_MAX) note(line);
  };
  const stops = [
    events.on('input:refused', ({ message, remedy, code }) => {
      bounded('inputs refused', `refused: ${message} (${code})${remedy === undefined ? '' : `\n  ${remedy}`}`);
    }),
    events.on('input:unreachable', ({ message }) => {
      note(
        `unreachable: ${message}\n  The other inputs are processed; run the same command again to go on with this one.`,
      );
    }),
    events.on('output:damaged', ({ message }) => bounded('outputs damaged', `made again: ${message}`)),
    events.on('run:recovered', ({ eventsFinished, rangesReturned, filesAdopted, outputsDamaged, wallMs }) => {
      note(
        `recovered: ${formatNumberOf(eventsFinished, 'event')} finished before, ${formatNumberOf(rangesReturned, 'range')} ` +
          `returned without cost, ${formatNumberOf(filesAdopted, 'file')} adopted, ` +
          `${formatNumberOf(outputsDamaged, 'output')} damaged (${formatDuration(wallMs)})`,
      );
    }),
    events.on('event:failed', ({ lfn, position, attemptNr, cause, message, fatal }) => {
      const fate = fatal ? 'failed for good' : 'will be tried again';
      bounded('failures', `failed: ${lfn}:${position} ${cause}: ${message} (attempt ${attemptNr}, ${fate})`);
    }),
    events.on('worker:replaced', ({ workerIndex, cause, message }) => {
      if (cause !== 'recycled') bounded('workers replaced', `worker ${workerIndex} replaced: ${cause}: ${message}`);
    }),
    events.on('worker:not-finalized', ({ workerIndex, message }) => {
      bounded('workers not finalized', `worker ${workerIndex} was not finalized: ${message}`);
    }),
    events.on('run:draining', ({ reason, eventsInExecution }) => {
      note(`draining: ${DRAIN_REASONS[reason]}; ${formatNumberOf(eventsInExecution, 'event')} in execution`);
    }),
  ];
  return () => {
    for (const stop of stops) stop();
    for (const [kind, count] of counts) {
      if (count > NOTICES_PER_KIND_MAX) note(`${kind}: ${formatCount(count - NOTICES_PER_KIND_MAX)} more, not shown`);
    }
  };
}
