/** EVENT on a command line: `LFN:position`, `GUID:position` or an eventRangeID. */
import type { TaskFile } from '../../core/dispatcher-api.ts';
import { GranuleError } from '../../core/errors.ts';
import { formatEventSelection } from '../../core/event-selection.ts';
import { tryEventRangeID, tryGuid } from '../../core/ids.ts';
import { suggestNames } from '../../core/nearest-name.ts';

/** What a reference needs to know of the event table. */
export interface EventSource {
  tasks(): readonly { readonly record: { readonly taskID: number } }[];
  files(taskID: number): Iterable<TaskFile>;
}

export interface EventPlace {
  readonly taskID: number;
  readonly file: TaskFile;
  /** 1-based */
  readonly position: number;
}

/**
 * @throws USAGE for text of another form; EVENT_NOT_FOUND when the run has no such file or position, with the nearest
 * file name
 */
export function findEvent(reference: string, source: EventSource): EventPlace {
  const rangeID = tryEventRangeID(reference);
  const named = /^(.+):(\d{1,15})$/.exec(reference);
  if (rangeID === undefined && named === null) {
    throw new GranuleError('USAGE', `"${reference}" names no event`, {
      remedy: 'write LFN:position (events.hepmc:17), GUID:position or an eventRangeID',
    });
  }
  const position = rangeID?.startEvent ?? Number(named?.[2]);
  const guid = tryGuid(named?.[1] ?? '');
  const isMeant = (taskID: number, file: TaskFile): boolean => {
    if (rangeID !== undefined) return rangeID.taskID === taskID && rangeID.fileID === file.fileIndex + 1;
    return guid === undefined ? file.lfn === named?.[1] : file.guid === guid;
  };
  const names: string[] = [];
  for (const { record } of source.tasks()) {
    for (const file of source.files(record.taskID)) {
      names.push(file.lfn);
      if (!isMeant(record.taskID, file)) continue;
      if (isLeftOut(file, position)) throw leftOut(file, position);
      if (position >= 1 && position <= file.eventCount) return { taskID: record.taskID, file, position };
      throw new GranuleError('EVENT_NOT_FOUND', `${file.lfn} has no event ${position}: it has ${file.eventCount}`, {
        details: { lfn: file.lfn, position, eventCount: file.eventCount },
      });
    }
  }
  const suggestion = rangeID === undefined ? suggestNames(named?.[1] ?? '', names) : undefined;
  throw new GranuleError('EVENT_NOT_FOUND', `"${reference}": the run has no such file`, {
    details: { reference },
    ...(suggestion === undefined ? {} : { remedy: suggestion }),
  });
}

/** The run was told to leave it alone. */
function isLeftOut({ selection, eventCount }: TaskFile, position: number): boolean {
  if (selection === undefined || position < 1 || position > eventCount) return false;
  return !selection.some(([first, last]) => first <= position && position <= last);
}

function leftOut({ lfn, selection = [] }: TaskFile, position: number): GranuleError {
  const chosen = formatEventSelection(selection);
  return new GranuleError('EVENT_NOT_FOUND', `the run leaves out event ${position} of ${lfn}: --events ${chosen}`, {
    details: { lfn, position, events: chosen },
  });
}
