/** Inputs that join a run while it works: remote files that had to be read before their events were known. */
import type { Dispatcher } from '../../dispatcher/dispatcher.ts';
import type { ResolvedRunOptions } from '../options/options.ts';
import type { NodeEvents } from '../run/run-events.ts';
import { extendTask, type RunTask } from '../run/run-task.ts';
import type { InputReading } from './input-reading.ts';

export interface LateInputsParts {
  readonly dispatcher: Dispatcher;
  readonly options: ResolvedRunOptions;
  readonly task: RunTask;
  readonly reading: InputReading;
  readonly events: NodeEvents;
  /** places whose events will be wanted soon */
  readonly onPlaces: (places: readonly string[]) => void;
}

/**
 * Resolves when no more will join: then the task is sealed, unless a file is gone for now.
 *
 * @throws what `InputReading.more` and `extendTask` throw
 */
export async function admitLateInputs(parts: LateInputsParts): Promise<void> {
  const { dispatcher, options, task, reading, events, onPlaces } = parts;
  let isGoneTold = false;
  for (;;) {
    const isLast = reading.isComplete;
    const countBefore = task.inputs.length;
    if (await extendTask(dispatcher, options, task, reading)) {
      onPlaces(task.inputs.slice(countBefore).flatMap(({ place, replicas }) => [place, ...replicas]));
      const { taskID, fileCount, eventCount, rangeCount } = dispatcher.getTask(task.taskID);
      events.emit('task:extended', { taskID, fileCount, eventCount, rangeCount });
    }
    if (reading.gone !== undefined && !isGoneTold) {
      events.emit('input:unreachable', { message: reading.gone.message });
      isGoneTold = true;
    }
    if (isLast) return;
    await reading.more();
  }
}
