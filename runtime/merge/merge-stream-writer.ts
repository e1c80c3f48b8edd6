/** The writer of one stream's merged file: a growing file and the joiner of its format. Runs in the merger thread. */
import { copyFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { pack, unpack } from 'msgpackr';
import { assert } from '../../core/assert.ts';
import type { MergeGap, StreamProgress } from '../../core/dispatcher-api.ts';
import type { OutputFormat, OutputFormatName, OutputJoiner, SplitOutput } from '../../payloads/formats/event-format.ts';
import { GrowingFile } from './growing-file.ts';
import type { CompleteFile, MergeFolders, MergeTarget } from './merge-messages.ts';

/** What `StreamProgress.state` holds, in msgpack. */
interface WriterState {
  readonly inode: number;
  readonly joiner: Uint8Array;
}

interface WriterOptions {
  readonly folders: MergeFolders;
  readonly formatOf: (name: OutputFormatName) => OutputFormat;
}

export type OpenedWriter =
  | { readonly kind: 'open'; readonly writer: MergeStreamWriter }
  | { readonly kind: 'lost'; readonly message: string };

export class MergeStreamWriter {
  readonly stream: string;
  readonly format: OutputFormat;
  readonly #target: MergeTarget;
  readonly #file: GrowingFile;
  readonly #joiner: OutputJoiner;
  #recordCount: number;

  private constructor(target: MergeTarget, format: OutputFormat, file: GrowingFile, progress?: StreamProgress) {
    this.stream = target.stream;
    this.format = format;
    this.#target = target;
    this.#file = file;
    this.#joiner = format.createJoiner(progress === undefined ? undefined : stateOf(progress).joiner, target.stream);
    this.#recordCount = progress?.recordCount ?? 0;
  }

  /** Goes on where the journal says. */
  static resume(target: MergeTarget, progress: StreamProgress | undefined, options: WriterOptions): OpenedWriter {
    const path = growingPath(options.folders, target);
    return MergeStreamWriter.#open(path, join(options.folders.out, target.fileName), { target, progress, options });
  }

  /** Writes on in a copy of what is committed; the growing file stays as it is. */
  static copy(target: MergeTarget, progress: StreamProgress | undefined, options: WriterOptions): OpenedWriter {
    const path = growingPath(options.folders, target);
    const copy = `${path}.snapshot`;
    rmSync(copy, { force: true });
    const committedBytes = progress?.offsetBytes ?? 0;
    if (committedBytes > 0) {
      const found = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
      if (found < committedBytes) {
        return { kind: 'lost', message: `${path}: wanted ${committedBytes} merged bytes, found ${found}` };
      }
      copyFileSync(path, copy);
      truncateSync(copy, committedBytes);
    }
    return MergeStreamWriter.#open(copy, copy, { target, progress, options });
  }

  /** Writes the output's file anew, beside the one that it will replace. */
  static amend(target: MergeTarget, options: WriterOptions): MergeStreamWriter {
    const path = `${growingPath(options.folders, target).replace(/\.part$/, '')}.amended`;
    const opened = MergeStreamWriter.#open(path, path, { target, progress: undefined, options });
    assert(opened.kind === 'open', 'a new file is never lost');
    return opened.writer;
  }

  static #open(
    path: string,
    finalPath: string,
    stream: {
      readonly target: MergeTarget;
      readonly progress: StreamProgress | undefined;
      readonly options: WriterOptions;
    },
  ): OpenedWriter {
    const { target, progress, options } = stream;
    const inode = progress === undefined ? 0 : stateOf(progress).inode;
    const opened = GrowingFile.open(path, finalPath, { bytes: progress?.offsetBytes ?? 0, inode });
    if (opened.kind === 'lost') return opened;
    const format = options.formatOf(target.format);
    return { kind: 'open', writer: new MergeStreamWriter(target, format, opened.file, progress) };
  }

  append(part: SplitOutput, recordCount: number): void {
    for (const piece of this.#joiner.append(part, this.#file.sizeBytes)) this.#file.append(piece);
    this.#recordCount += recordCount;
  }

  /** Records that were appended without being counted. */
  countRecords(recordCount: number): void {
    this.#recordCount += recordCount;
  }

  gap(rangeIndex: number): MergeGap {
    return { rangeIndex, stream: this.stream, offsetBytes: this.#file.sizeBytes };
  }

  write(): void {
    this.#file.write();
  }

  flush(): void {
    this.#file.flush();
  }

  /** The journal entry for what was appended. */
  progress(): StreamProgress {
    const state: WriterState = { inode: this.#file.inode, joiner: this.#joiner.state() };
    return {
      stream: this.stream,
      offsetBytes: this.#file.sizeBytes,
      recordCount: this.#recordCount,
      state: Uint8Array.from(pack(state)),
    };
  }

  /** Appends what ends the file: nothing can follow it. */
  complete(): CompleteFile {
    this.#file.append(this.#joiner.finish(this.#file.sizeBytes));
    return {
      stream: this.stream,
      path: this.#file.path,
      fileName: this.#target.fileName,
      sizeBytes: this.#file.sizeBytes,
      recordCount: this.#recordCount,
      keep: null,
    };
  }

  close(): void {
    this.#file.close();
  }
}

/** Where a merged file grows. */
export function growingPath(folders: MergeFolders, target: MergeTarget): string {
  return join(folders.growing, `${target.fileName}.part`);
}

function stateOf(progress: StreamProgress): WriterState {
  return unpack(progress.state) as WriterState;
}
