/** What ranges are expected to cost, for `order: longest-first`: their bytes. Larger events take longer, as a rule. */
import { assert } from '../../core/assert.ts';
import type { TaskFile } from '../../core/dispatcher-api.ts';
import type { Dispatcher } from '../../dispatcher/dispatcher.ts';
import type { CostHints } from '../../dispatcher/hand-out.ts';
import type { EventIndex } from '../indexing/event-index.ts';
import type { ResolvedRunOptions } from '../options/options.ts';
import type { RunTask } from './run-task.ts';

/** @param files of the task, by fileIndex; all of them indexed */
export function byteCostHints(index: EventIndex, files: readonly TaskFile[]): CostHints {
  return ({ fileIndex, startEvent, lastEvent }) => {
    const file = files[fileIndex];
    assert(file !== undefined, 'a range belongs to a file of its task');
    const { lengths } = index.lookupSpan(file.guid, startEvent, lastEvent - startEvent + 1);
    return lengths.reduce((sum, lengthBytes) => sum + lengthBytes, 0);
  };
}

/** For longest first: the event index answers while it is open, so it has to be as long as events are handed out. */
export async function setCostHints(
  dispatcher: Dispatcher,
  { taskID, files }: RunTask,
  { order }: Pick<ResolvedRunOptions, 'order'>,
  indexPath: string,
): Promise<EventIndex | undefined> {
  if (order !== 'longest-first') return undefined;
  const { EventIndex } = await import('../indexing/event-index.ts');
  const index = await EventIndex.openBesideWriters(indexPath);
  dispatcher.setCostHints(taskID, byteCostHints(index, files));
  return index;
}
