/** Opens output files: name, place, format and header of each. In a worker's thread. */
import { join } from 'node:path';
import { formatEventRangeID } from '../../core/ids.ts';
import { SHARD_RANGES } from '../../core/limits.ts';
import type { RangeToken, WorkerFile } from '../../core/messages.ts';
import type { OutputDeclarations } from '../../payloads/payload.ts';
import { EventFile, TEMPORARY_SUFFIX } from './event-file.ts';
import { EventInfoCollector } from './event-info.ts';
import { OutputFile } from './output-file.ts';
import { onOneFileSystem } from './stage-out.ts';
import { formatOfStream } from './stream-format.ts';

export interface OutputOpenerOptions {
  readonly outputs: OutputDeclarations;
  readonly folder: string;
  /** unique among the sessions that ever use the folder: part of the names of files that are not complete */
  readonly session: string;
  readonly aggregationFolder: string;
  readonly taskID: number;
  readonly jobID: number;
  readonly processingTag: string;
}

/** What a file is opened for: the first event that writes to it. */
export interface OpenedFor {
  readonly token: RangeToken;
  /** a speculative copy of a range that another worker executes */
  readonly copy: boolean;
  /** the event's own position when its range has a file of the stream already, else the range's first event */
  readonly startEvent: number;
  readonly inputFile: WorkerFile;
  readonly runHeader: Uint8Array;
}

export class OutputOpener {
  readonly #options: OutputOpenerOptions;
  readonly #oneFileSystem: boolean;
  /** of each stream. A name that is used again is found in the kernel's cache: a fifth of the cost of a file */
  readonly #temporaryPaths = new Map<string, string>();

  constructor(options: OutputOpenerOptions) {
    this.#options = options;
    this.#oneFileSystem = onOneFileSystem(options.folder, options.aggregationFolder);
  }

  /**
   * One file per stream is open at a time.
   *
   * @throws PAYLOAD_OUTPUT_INVALID when the payload declares no such stream
   */
  open<Range>(stream: string, { token, copy, startEvent, inputFile, runHeader }: OpenedFor): OutputFile<Range> {
    const { outputs, taskID, jobID, processingTag } = this.#options;
    const format = formatOfStream(outputs, stream, inputFile);
    const fileID = inputFile.fileIndex + 1;
    const id = formatEventRangeID({ taskID, jobID, fileID, startEvent, attemptNr: token.attemptNr });
    const name = `${stream}.${id}${copy ? '.copy' : ''}`;
    return new OutputFile<Range>({
      stream,
      format,
      file: new EventFile(this.#temporaryPath(stream), this.#oneFileSystem),
      path: `${Math.floor(token.rangeIndex / SHARD_RANGES)}/${name}`,
      header: format.begin({ stream, runHeader, inputFormat: inputFile.format }),
      info: format.carriesInfo ? new EventInfoCollector(outputs[stream]?.eventType, processingTag) : undefined,
    });
  }

  #temporaryPath(stream: string): string {
    let path = this.#temporaryPaths.get(stream);
    if (path === undefined) {
      path = join(this.#options.folder, `${stream}.${this.#options.session}${TEMPORARY_SUFFIX}`);
      this.#temporaryPaths.set(stream, path);
    }
    return path;
  }
}
