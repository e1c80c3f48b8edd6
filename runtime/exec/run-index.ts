/** The event index of a run that may be over, for reading. */
import { existsSync } from 'node:fs';
import { GranuleError } from '../../core/errors.ts';
import { EventIndex } from '../indexing/event-index.ts';
import type { RunFolders } from '../run/run-folders.ts';
import type { StartRecord } from '../run/start-record.ts';

/** The run's own event index, or the one it shares. @throws STORE_MISSING, STORE_VERSION, STORE_FAILED */
export function openRunIndex(folders: RunFolders, { indexFolder }: StartRecord): Promise<EventIndex> {
  const path = indexFolder ?? folders.index;
  if (existsSync(path)) return EventIndex.open({ path, readOnly: true });
  throw new GranuleError('STORE_MISSING', `the event index of the run is gone: ${path}`, {
    details: { path },
    remedy: 'run its command once more: it indexes its inputs, whatever is left to do',
  });
}
