/** What a run recorded of one event and of the ways to it: for executing it again, without touching anything of the run. */
import { join } from 'node:path';
import type { TaskFile } from '../../core/dispatcher-api.ts';
import { GranuleError } from '../../core/errors.ts';
import type { FileRecord } from '../../core/file-index.ts';
import type { TableReader } from '../../dispatcher/table-reader.ts';
import { withPrivateParts } from '../catalogue/private-places.ts';
import { ReplicaCatalogue } from '../catalogue/replica-catalogue.ts';
import type { EventIndex } from '../indexing/event-index.ts';
import { IndexingPool } from '../indexing/indexing-pool.ts';
import { findUnchanged } from '../indexing/unchanged-files.ts';
import { isRemotePlace } from '../remote/place.ts';
import { chooseTree } from '../root/tree-choice.ts';
import type { RunFolders } from '../run/run-folders.ts';
import type { RunIdentity } from '../run/run-identity.ts';
import { readStartRecord, type StartRecord } from '../run/start-record.ts';

/** An event of a run, as `findEvent` of the command line finds it. */
export interface EventOfRun {
  readonly taskID: number;
  readonly file: TaskFile;
  /** 1-based */
  readonly position: number;
}

export interface RecordedEvent {
  readonly identity: RunIdentity;
  /** of the payload's code in force */
  readonly payloadIdentity: string;
  readonly start: StartRecord;
  readonly range: ReturnType<TableReader['show']>;
}

/** @throws EVENT_NOT_FOUND; STORE_MISSING when the run does not say how it was started */
export async function readRecordedEvent(
  table: TableReader,
  folders: RunFolders,
  { taskID, file, position }: EventOfRun,
): Promise<RecordedEvent> {
  const range = table.show(taskID, file.fileIndex, position);
  const { record } = table.tasks().find((task) => task.record.taskID === taskID) ?? {};
  if (record === undefined) throw new GranuleError('TASK_UNKNOWN', `there is no task ${taskID} in this store`);
  return {
    identity: record.record as RunIdentity,
    payloadIdentity: record.payloads.at(-1) ?? '',
    start: await readStartRecord(folders),
    range,
  };
}

/** An input of the run, checked to be what it was. */
export interface RecordedInput {
  readonly record: FileRecord;
  /** paths or URLs, the best first */
  readonly places: readonly string[];
}

/**
 * @param index of the run
 * @param scratch a folder where an input that looks different may be indexed anew
 * @throws INPUT_NOT_FOUND, INPUT_CHANGED, what reading the catalogue throws
 */
export async function findRecordedInput(
  index: EventIndex,
  folders: RunFolders,
  sought: { readonly start: StartRecord; readonly file: TaskFile; readonly scratch: string },
): Promise<RecordedInput> {
  const { start, file } = sought;
  const known = index.fileRecord(file.guid);
  if (known === undefined) {
    throw new GranuleError('INPUT_NOT_FOUND', `the event index of the run has nothing about ${file.lfn}`, {
      details: { lfn: file.lfn, index: index.path },
      remedy: 'run its command once more: it indexes its inputs, whatever is left to do',
    });
  }
  const catalogue = await ReplicaCatalogue.read(folders.catalogue, start.currentFolder);
  const places = catalogue.find(file.guid)?.places;
  if (places === undefined) throw inputGone(file, folders.catalogue);
  const [best] = places;
  const isUntouched = isRemotePlace(best) || findUnchanged(index, best)?.record.guid === file.guid;
  if (!isUntouched) await checkContent(best, sought);
  const record = chooseTree({ ...known, lfn: file.lfn }, start.tree);
  return { record, places: withPrivateParts(folders.places, places) };
}

function inputGone({ lfn, guid }: TaskFile, catalogue: string): GranuleError {
  return new GranuleError('INPUT_NOT_FOUND', `${lfn} is not where the run found it`, {
    details: { lfn, guid, catalogue },
    remedy: `put it back, or correct its place in ${catalogue}`,
  });
}

/** Reads the file. Its GUID is derived from its content. */
async function checkContent(
  path: string,
  { file, scratch }: { readonly file: TaskFile; readonly scratch: string },
): Promise<void> {
  const { guid, lfn } = file;
  await using pool = new IndexingPool({ indexPath: join(scratch, 'index'), threadsMax: 1 });
  const { record } = await pool.index(path);
  if (record.guid === guid) return;
  throw new GranuleError('INPUT_CHANGED', `${path} has other content than ${lfn} had in the run (GUID ${guid})`, {
    details: { path, guid },
    remedy: 'restore the file',
  });
}
