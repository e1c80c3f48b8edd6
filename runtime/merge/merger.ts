/**
 * Appends unmerged outputs to the growing files of an output. Runs in the merger thread, synchronously, and keeps
 * nothing between calls but a buffer: where a file stands is in the journal entry that comes with each request.
 */

import { assert } from '../../core/assert.ts';
import type { MergeGap, StreamProgress } from '../../core/dispatcher-api.ts';
import { MERGE_STRETCH_BYTES_MAX } from '../../core/limits.ts';
import type { OutputFormat, OutputFormatName, SplitOutput } from '../../payloads/formats/event-format.ts';
import { outputFailure } from '../durable-file.ts';
import type { RecentOutputs } from '../recent-outputs.ts';
import { Amender } from './amender.ts';
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
import { type FinishedItem, UnmergedReader } from './unmerged-reader.ts';

/** Moments between which a kill must do no harm; tests kill there. */
export type MergerStep = 'opened' | 'written' | 'flushed';

export interface MergerOptions {
  readonly folders: MergeFolders;
  readonly mode: MergeMode;
  /** copies of small outputs, that need not be read from their files */
  readonly recent?: RecentOutputs | undefined;
  readonly formatOf: (name: OutputFormatName) => OutputFormat;
  readonly onStep?: (step: MergerStep) => void;
}

/** One checked output of an item and the stream that takes it. */
interface CheckedPart {
  readonly writer: MergeStreamWriter;
  readonly part: SplitOutput;
  readonly recordCount: number;
}

export class Merger {
  readonly #options: MergerOptions;
  readonly #reader: UnmergedReader;
  readonly #amender: Amender;

  constructor(options: MergerOptions) {
    this.#options = options;
    this.#reader = new UnmergedReader(options.folders.aggregation, options.mode, options.recent);
    this.#amender = new Amender(options);
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
    const items = request.items[Symbol.iterator]();
    for (let next = items.next(); next.done !== true; next = items.next()) {
      const item = next.value;
      ended = takenBytes < MERGE_STRETCH_BYTES_MAX;
      if (!ended) break;
      if (item.kind === 'missing') {
        for (const writer of writers) gaps.push(writer.gap(item.rangeIndex));
      } else {
        const damage = this.#appendItem(item, writers);
        if (damage !== undefined) {
          const rest = { [Symbol.iterator]: () => items };
          damaged.push(damage, ...this.#reader.findDamaged(rest, (stream) => writerOf(writers, stream).format));
          ended = false;
          break;
        }
        for (const file of this.#reader.take(item)) removable.push(file);
        for (const record of item.outputs) takenBytes += record.lengthBytes;
      }
      throughRange = item.rangeIndex;
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

  /** All outputs of the item or, when one of them is damaged, none. */
  #appendItem(item: FinishedItem, writers: readonly MergeStreamWriter[]): DamagedRange | undefined {
    this.#reader.begin(item);
    const parts = this.#check(item, writers);
    if ('message' in parts) return parts;
    for (const { writer, part, recordCount } of parts) writer.append(part, recordCount);
    return undefined;
  }

  #check(item: FinishedItem, writers: readonly MergeStreamWriter[]): CheckedPart[] | DamagedRange {
    const parts: CheckedPart[] = [];
    for (const record of item.outputs) {
      const writer = writerOf(writers, record.stream);
      const read = this.#reader.read(item, record, writer.format);
      if (read.kind === 'damaged') return { rangeIndex: item.rangeIndex, message: read.message };
      parts.push({ writer, part: read.part, recordCount: record.recordCount });
    }
    return parts;
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
        const damage = this.#appendItem(item, writers);
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
