/** The outputs of an event that was executed by itself: files of the same form as merged ones, with this one event. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TableReader } from '../../dispatcher/table-reader.ts';
import type { OutputFormat } from '../../payloads/formats/event-format.ts';
import { outputFailure } from '../durable-file.ts';
import type { RunFolders } from '../run/run-folders.ts';
import { type FolderUse, makeWritableFolder } from '../writable-folder.ts';
import { type Comparison, compareWithRun, type WrittenInRun } from './compare-outputs.ts';
import type { EventOfRun, RecordedEvent } from './recorded-event.ts';

export interface ExecOutput {
  readonly stream: string;
  /** absolute */
  readonly path: string;
  /** null where records cannot be told apart */
  readonly records: number | null;
  readonly sizeBytes: number;
  readonly sha256: string;
  /** with what the run has of the event */
  readonly comparedWithRun: Comparison;
}

/** Where outputs of an event that is executed by itself go. */
export const EXEC_FOLDER: FolderUse = { what: 'output folder', choice: 'with --to' };

/** A folder that nothing was written to yet: `<LFN>.<position>`, with a number after it from the second time on. */
export function freshFolder(folders: RunFolders, { file, position }: EventOfRun): string {
  const first = join(folders.exec, `${file.lfn}.${position}`);
  makeWritableFolder(dirname(first), EXEC_FOLDER);
  for (let count = 1; ; count += 1) {
    const path = count === 1 ? first : `${first}.${count}`;
    try {
      mkdirSync(path);
      return path;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw outputFailure(path, error);
    }
  }
}

/** What the run has of the event in this stream. */
export function writtenInRun(
  run: { readonly table: TableReader; readonly folders: RunFolders } & Pick<RecordedEvent, 'range'> & {
      readonly event: EventOfRun;
    },
  stream: string,
): WrittenInRun {
  const { table, folders, range, event } = run;
  const ofStream = range.outputs.filter((output) => output.stream === stream);
  const isAlone = range.startEvent === range.lastEvent && ofStream.length === 1;
  const merged = table
    .outputs(event.taskID)
    .find(({ firstRange, endRange }) => firstRange <= range.rangeIndex && range.rangeIndex < endRange)
    ?.files?.find((file) => file.stream === stream);
  return {
    unmerged: isAlone ? ofStream[0] : undefined,
    mergedPath: merged === undefined || range.state !== 'merged' ? undefined : join(folders.out, merged.path),
  };
}

/**
 * Writes `<STREAM>.<extension>`, replacing what is there, and compares it.
 *
 * @param written the unmerged file as the worker wrote it
 * @throws OUTPUT_FAILED
 */
export async function putOutput(
  written: { readonly stream: string; readonly format: OutputFormat; readonly file: Uint8Array },
  inRun: WrittenInRun,
  toFolder: string,
): Promise<ExecOutput> {
  const { stream, format, file } = written;
  const part = format.split(file);
  const joiner = format.createJoiner(undefined, stream);
  const pieces = [...joiner.append(part, 0)];
  const lengthBytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const complete = Buffer.concat([...pieces, joiner.finish(lengthBytes)]);
  const path = join(toFolder, `${stream}${format.fileExtension}`);
  try {
    writeFileSync(path, complete);
  } catch (error) {
    throw outputFailure(path, error);
  }
  return {
    stream,
    path,
    records: Number.isNaN(part.recordCount) ? null : part.recordCount,
    sizeBytes: complete.length,
    sha256: createHash('sha256').update(complete).digest('hex'),
    comparedWithRun: await compareWithRun({ format: format.name, file, part }, inRun),
  };
}
