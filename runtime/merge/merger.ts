/**
 * Appends unmerged outputs to the growing files of an output. Runs in the merger thread, synchronously, and keeps
 * nothing between calls but a buffer: where a file stands is in the journal entry that comes with each request.
 */

import { assert } from '../../core/assert.ts';
import type { MergeGap, MergeItem, StreamProgress } from '../../core/dispatcher-api.ts';
import { MERGE_STRETCH_BYTES_MAX } from '../../core/limits.ts';
import type { OutputFormat, OutputFormatName } from '../../payloads/formats/event-format.ts';
import { outputFailure } from '../durable-file.ts';
import { Amender } from './amender.ts';
import type { ChecksumBoardMemory } from './checksum-board.ts';
import type {
  Appended,
  AppendRequest,
  CompleteFile,
  DamagedRange,
  GrowingFileLost,
  MergeFolders,
  MergeMode,
  MergerReply,
  MergerRequest,
  MergeTarget,
  SnapshotRequest,
  SnapshotTaken,
} from './merge-messages.ts';
import { MergeStreamWriter } from './merge-stream-writer.ts';
import { type LoadedItem, UnmergedReader } from './unmerged-reader.ts';

/** Moments between which a kill must do no harm; tests kill there. */
export type MergerStep = 'opened' | 'written' | 'flushed';

export interface MergerOptions {
  readonly folders: MergeFolders;
  readonly mode: MergeMode;
  readonly formatOf: (name: OutputFormatName) => OutputFormat;
  readonly onStep?: (step: MergerStep) => void;
  /** as {@link UnmergedReaderOptions.startHelper} */
  readonly startHelper?: (board: ChecksumBoardMemory) => void;
}

export class Merger {
  readonly #options: MergerOptions;
  readonly #reader: UnmergedReader;
  readonly #amender: Amender;

  constructor(options: MergerOptions) {
    this.#options = options;
    const { folders, mode, startHelper } = options;
    this.#reader = new UnmergedReader({
      aggregationFolder: folders.aggregation,
      mode,
      ...(startHelper === undefined ? {} : { startHelper }),
    });
    this.#amender = new Amender(options, this.#reader);
  }

  /** @throws OUTPUT_FAILED when the growing files cannot be written */
  handle(request: MergerRequest): MergerReply {
    try {
      if (request.kind === 'append') return this.#append(request);
      return request.kind === 'amend' ? this.#amender.amend(request) : this.#snapshot(request);
    } catch (cause) {
      throw outputFailure(this.#options.folders.growing, cause);
    } finally {
      this.#reader.rest();
    }
  }

  #append(request: AppendRequest): Appended | GrowingFileLost {
    const writers: MergeStreamWriter[] = [];
    try {
      for (const target of request.targets) {
        const opened = MergeStreamWriter.resume(target, progressOf(request.progress, target), this.#options);
        if (opened.kind === 'lost') return opened;
        writers.push(opened.writer);
      }
      this.#step('opened');
      return this.#appendItems(request, writers);
    } finally {
      for (const writer of writers) writer.close();
    }
  }

  #appendItems(request: AppendRequest, writers: readonly MergeStreamWriter[]): Appended {
    const gaps: MergeGap[] = [];
    const removable: string[] = [];
    const damaged: DamagedRange[] = [];
    let throughRange: number | null = null;
    let takenBytes = 0;
    let ended = true;
    const formatOf = (stream: string): OutputFormat => writerOf(writers, stream).format;
    const items = request.items[Symbol.iterator]();
    let next = items.next();
    let loaded = next.done === true ? undefined : this.#load(next.value, formatOf);
    while (next.done !== true) {
      const item = next.value;
      const current = loaded;
      if (item.kind === 'finished') for (const record of item.outputs) takenBytes += record.lengthBytes;
      // The next item is read before this one is checked: another thread may have its sums meanwhile.
      next = items.next();
      const goesOn = next.done !== true && takenBytes < MERGE_STRETCH_BYTES_MAX;
      loaded = goesOn ? this.#load(next.value, formatOf) : undefined;
      if (current === undefined) {
        for (const writer of writers) gaps.push(writer.gap(item.rangeIndex));
      } else {
        const damage = this.#appendItem(current, writers);
        if (damage !== undefined) {
          const rest = next.done === true ? [] : [next.value, ...{ [Symbol.iterator]: () => items }];
          damaged.push(damage, ...this.#reader.findDamaged(rest, formatOf));
          ended = false;
          break;
        }
        for (const file of this.#reader.take(current.item)) removable.push(file);
      }
      throughRange = item.rangeIndex;
      ended = next.done === true;
      if (!goesOn) break;
    }
    const progress = writers.map((writer) => writer.progress());
    const complete = request.last && ended ? writers.map((writer) => writer.complete()) : null;
    for (const writer of writers) writer.write();
    this.#step('written');
    for (const writer of writers) writer.flush();
    this.#step('flushed');
    return {
      kind: 'appended',
      throughRange,
      progress,
      gaps,
      damaged,
      removable: removable.join('\n'),
      complete,
    };
  }

  #load(item: MergeItem, formatOf: (stream: string) => OutputFormat): LoadedItem | undefined {
    return item.kind === 'missing' ? undefined : this.#reader.load(item, formatOf);
  }

  /** All outputs of the item or, when one of them is damaged, none. */
  #appendItem(loaded: LoadedItem, writers: readonly MergeStreamWriter[]): DamagedRange | undefined {
    const checked = this.#reader.check(loaded);
    if ('message' in checked) return checked;
    for (const { record, part } of checked) writerOf(writers, record.stream).append(part, record.recordCount);
    return undefined;
  }

  /** What is there, as complete files: the growing file's committed bytes, and behind them what is finished. */
  #snapshot(request: SnapshotRequest): SnapshotTaken | GrowingFileLost {
    const writers: MergeStreamWriter[] = [];
    const damaged: DamagedRange[] = [];
    try {
      for (const target of request.targets) {
        const opened = MergeStreamWriter.copy(target, progressOf(request.progress, target), this.#options);
        if (opened.kind === 'lost') return opened;
        writers.push(opened.writer);
      }
      for (const item of request.items) {
        if (item.kind === 'missing') continue;
        const loaded = this.#reader.load(item, (stream) => writerOf(writers, stream).format);
        const damage = this.#appendItem(loaded, writers);
        if (damage !== undefined) damaged.push(damage);
      }
      const files: CompleteFile[] = writers.map((writer) => writer.complete());
      for (const writer of writers) {
        writer.write();
        writer.flush();
      }
      return { kind: 'snapshot', files, damaged };
    } finally {
      for (const writer of writers) writer.close();
    }
  }

  #step(step: MergerStep): void {
    this.#options.onStep?.(step);
  }
}

function writerOf(writers: readonly MergeStreamWriter[], stream: string): MergeStreamWriter {
  const writer = writers.find((candidate) => candidate.stream === stream);
  assert(writer !== undefined, `stream ${stream} is declared`);
  return writer;
}

function progressOf(progress: readonly StreamProgress[], target: MergeTarget): StreamProgress | undefined {
  return progress.find(({ stream }) => stream === target.stream);
}
