/**
 * Puts ranges that were made after all into the complete files of their output. Runs in the merger thread, synchronously.
 *
 * The files are written anew beside the old ones (`<growing folder>/<file name>.amended`): the old records pass through
 * the joiner again, so that headers, indexes and footers come out as if nothing had ever been missing. Publishing keeps
 * each old file (`<growing folder>/<file name>.before`) until the commit; after a kill between the two, the old file is
 * found there, known by its size and digest, and the amendment is made once more.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from '../../core/assert.ts';
import type { MergedFile, MergeGap } from '../../core/dispatcher-api.ts';
import { MERGE_HASH_BYTES } from '../../core/limits.ts';
import type { OutputFormat, OutputFormatName } from '../../payloads/formats/event-format.ts';
import type {
  AmendRequest,
  Appended,
  CompleteFile,
  DamagedRange,
  GrowingFileLost,
  MergeFolders,
  MergeMode,
  MergeTarget,
} from './merge-messages.ts';
import { growingPath, MergeStreamWriter } from './merge-stream-writer.ts';
import { readMergedRuns } from './merged-runs.ts';
import { type FinishedItem, UnmergedReader } from './unmerged-reader.ts';

export interface AmenderOptions {
  readonly folders: MergeFolders;
  readonly mode: MergeMode;
  readonly formatOf: (name: OutputFormatName) => OutputFormat;
}

/** One stream of the output: the file it was completed with, and the gaps in it. */
interface OldStream {
  readonly target: MergeTarget;
  readonly path: string;
  readonly keep: string;
  readonly recordCount: number;
  readonly gaps: readonly MergeGap[];
}

export class Amender {
  readonly #options: AmenderOptions;
  readonly #reader: UnmergedReader;

  constructor(options: AmenderOptions) {
    this.#options = options;
    // From files, each of them twice: a copy in memory may be gone the second time.
    this.#reader = new UnmergedReader(options.folders.aggregation, options.mode);
  }

  amend(request: AmendRequest): Appended | GrowingFileLost {
    try {
      return this.#amend(request);
    } finally {
      this.#reader.rest();
    }
  }

  #amend(request: AmendRequest): Appended | GrowingFileLost {
    const items = [...request.items].filter((item) => item.kind === 'finished');
    const streams: OldStream[] = [];
    for (const target of request.targets) {
      const old = this.#findOld(target, request);
      if ('message' in old) return old;
      streams.push(old);
    }
    const damaged = this.#reader.findDamaged(items, (stream) => this.#formatOf(request, stream));
    if (damaged.length > 0) return nothingAppended(damaged);
    const writers: MergeStreamWriter[] = [];
    try {
      const gaps: MergeGap[] = [];
      const complete: CompleteFile[] = [];
      for (const old of streams) {
        const writer = MergeStreamWriter.amend(old.target, this.#options);
        writers.push(writer);
        gaps.push(...this.#rejoin(old, items, writer));
      }
      const progress = writers.map((writer) => writer.progress());
      for (const [index, writer] of writers.entries()) {
        complete.push({ ...writer.complete(), keep: streams[index]?.keep ?? null });
        writer.write();
        writer.flush();
      }
      return {
        kind: 'appended',
        throughRange: items.at(-1)?.rangeIndex ?? null,
        progress,
        gaps,
        damaged: [],
        removable: items.flatMap((item) => this.#reader.take(item)).join('\n'),
        complete,
      };
    } finally {
      for (const writer of writers) writer.close();
    }
  }

  /** Writes the old records and, at their gaps, the new ones; returns the gaps that are left. */
  #rejoin(old: OldStream, items: readonly FinishedItem[], writer: MergeStreamWriter): MergeGap[] {
    const made = new Map(items.map((item) => [item.rangeIndex, item]));
    const left: MergeGap[] = [];
    let next = 0;
    const fillThrough = (offsetBytes: number): void => {
      for (let gap = old.gaps[next]; gap !== undefined && gap.offsetBytes <= offsetBytes; gap = old.gaps[next]) {
        next += 1;
        const item = made.get(gap.rangeIndex);
        if (item === undefined) left.push(writer.gap(gap.rangeIndex));
        else this.#insert(item, writer);
      }
    };
    const cuts = old.gaps.map(({ offsetBytes }) => offsetBytes);
    for (const { offsetBytes, part } of readMergedRuns(old.path, writer.format, cuts)) {
      fillThrough(offsetBytes);
      writer.append(part, 0);
    }
    fillThrough(Number.POSITIVE_INFINITY);
    writer.countRecords(old.recordCount);
    return left;
  }

  #insert(item: FinishedItem, writer: MergeStreamWriter): void {
    this.#reader.begin(item);
    for (const record of item.outputs) {
      if (record.stream !== writer.stream) continue;
      const read = this.#reader.read(item, record, writer.format);
      assert(read.kind === 'intact', 'outputs do not change between their check and their use');
      writer.append(read.part, record.recordCount);
    }
  }

  /** The file that the journal names is the published one or, killed before the commit, the one kept. */
  #findOld(target: MergeTarget, request: AmendRequest): OldStream | GrowingFileLost {
    const { folders } = this.#options;
    const file = request.files.find(({ stream }) => stream === target.stream);
    assert(file !== undefined, `the output has a file of stream ${target.stream}`);
    const published = join(folders.out, file.path);
    const keep = keptPath(folders, target);
    const gaps = request.gaps
      .filter(({ stream }) => stream === target.stream)
      .sort((a, b) => a.offsetBytes - b.offsetBytes || a.rangeIndex - b.rangeIndex);
    const { recordCount } = file;
    if (isFile(published, file)) {
      rmSync(keep, { force: true });
      return { target, path: published, keep, recordCount, gaps };
    }
    if (isFile(keep, file)) return { target, path: keep, keep, recordCount, gaps };
    return { kind: 'lost', message: `${published} is not the file of ${file.sizeBytes} bytes that was completed` };
  }

  #formatOf(request: AmendRequest, stream: string): OutputFormat {
    const target = request.targets.find((candidate) => candidate.stream === stream);
    assert(target !== undefined, `stream ${stream} is declared`);
    return this.#options.formatOf(target.format);
  }
}

function nothingAppended(damaged: readonly DamagedRange[]): Appended {
  return {
    kind: 'appended',
    throughRange: null,
    progress: [],
    gaps: [],
    damaged,
    removable: '',
    complete: null,
  };
}

/** Where the old file is kept while its successor is published. */
function keptPath(folders: MergeFolders, target: MergeTarget): string {
  return `${growingPath(folders, target).replace(/\.part$/, '')}.before`;
}

function isFile(path: string, wanted: MergedFile): boolean {
  if (statSync(path, { throwIfNoEntry: false })?.size !== wanted.sizeBytes) return false;
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(MERGE_HASH_BYTES);
  const fd = openSync(path, 'r');
  try {
    for (;;) {
      const count = readSync(fd, buffer, 0, buffer.length, null);
      if (count === 0) return hash.digest('hex') === wanted.sha256;
      hash.update(buffer.subarray(0, count));
    }
  } finally {
    closeSync(fd);
  }
}
