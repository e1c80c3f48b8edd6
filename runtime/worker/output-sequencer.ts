/**
 * The output sequencer: opens and closes a worker's output files at incidents, `EndEvent` by default.
 *
 * States of a range: *open* (begun, its records may still grow), *closed* (executed, its file still open because the
 * rule puts several ranges into one file), *complete* (all its files are at the aggregation point: it may be reported).
 * An abandoned range leaves nothing behind.
 *
 * A file is `<stream>.<eventRangeID>`, named after its first range; the ID holds the attempt, a speculative copy has a
 * suffix of its own, so no two writers ever share a name. A file that holds one range is recorded whole; in a file
 * shared by several ranges each is recorded as a slice of body bytes, with `headerBytes` telling where bodies begin.
 */
import { assert } from '../../core/assert.ts';
import type { OutputRecord } from '../../core/dispatcher-api.ts';
import { GranuleError } from '../../core/errors.ts';
import type { RangeToken, SequenceRule, WorkerFile } from '../../core/messages.ts';
import type { RecentOutputs } from '../recent-outputs.ts';
import type { OutputFile } from './output-file.ts';
import { OutputOpener, type OutputOpenerOptions } from './output-opener.ts';
import { removeOutputs } from './stage-out.ts';

export interface SequencerOptions extends OutputOpenerOptions {
  readonly rule: SequenceRule;
  readonly outputBytesMax: number;
  /** where the merger looks first for outputs of a range in files of their own, if they are small */
  readonly recent?: RecentOutputs | undefined;
}

/** A range whose outputs are all at the aggregation point. */
export interface CompleteRange {
  readonly token: RangeToken;
  readonly copy: boolean;
  readonly outputs: readonly OutputRecord[];
  /** as `endRange` was told */
  readonly wallMs: number;
}

interface RangeInWork extends CompleteRange {
  readonly outputs: OutputRecord[];
  wallMs: number;
  /** streams it has begun a file for: a few at most */
  readonly streams: string[];
  /** files it has records in that are not complete yet */
  openFiles: number;
  closed: boolean;
}

/** What a stream's next record belongs to. */
export interface EventInWork {
  readonly position: number;
  /** read from the event's bytes when asked for */
  readonly eventNumber: number;
  readonly runNumber: number;
  readonly runHeader: Uint8Array;
}

const UNNUMBERED = { eventNumber: Number.NaN, runNumber: Number.NaN };

/** Rules under which several ranges lie in one file. */
const SHARING_RULES: ReadonlySet<SequenceRule['at']> = new Set(['events', 'bytes', 'EndInputFile']);

export class OutputSequencer {
  readonly #options: SequencerOptions;
  readonly #sharesFiles: boolean;
  readonly #opener: OutputOpener;
  /** one per stream that has records: a few at most. (A map that is emptied for each event is costly to collect.) */
  #files: OutputFile<RangeInWork>[] = [];
  #range: RangeInWork | undefined;
  #event: EventInWork | undefined;
  #inputFile: WorkerFile | undefined;
  /** the run segment of the event in work, compared by reference: a file has one header */
  #runHeader: Uint8Array | undefined;
  /** events in the open files, for the rule `events:N` */
  #eventsInFiles = 0;
  #complete: CompleteRange[] = [];
  /** of a write of the range in work: it fails, whatever its payload makes of that */
  #failure: unknown;

  constructor(options: SequencerOptions) {
    this.#options = options;
    this.#sharesFiles = SHARING_RULES.has(options.rule.at);
    this.#opener = new OutputOpener(options);
  }

  beginRange(token: RangeToken, inputFile: WorkerFile, copy: boolean): void {
    assert(this.#range === undefined, 'one range is open at a time');
    if (this.#inputFile !== undefined && this.#inputFile.fileIndex !== inputFile.fileIndex) this.closeFiles();
    this.#inputFile = inputFile;
    this.#range = { token, copy, outputs: [], wallMs: 0, streams: [], openFiles: 0, closed: false };
  }

  beginEvent(event: EventInWork): void {
    if (this.#runHeader !== event.runHeader && this.#files.length > 0) this.#cutForRunHeader();
    this.#runHeader = event.runHeader;
    this.#event = event;
    for (const open of this.#files) open.beginEvent();
  }

  /** Appends one record of the event in work. */
  write(stream: string, value: unknown): void {
    const event = this.#event;
    assert(event !== undefined, 'records are written while an event is in work');
    const open = this.#writableFile(stream, event);
    // Numbers are read from the event's bytes: only for formats whose records carry them.
    const { eventNumber, runNumber } = open.format.carriesInfo ? event : UNNUMBERED;
    const bytes = open.format.encode(value, { position: event.position, eventNumber, runNumber });
    if (open.countEventBytes(bytes) > this.#options.outputBytesMax) {
      throw new GranuleError(
        'OUTPUT_TOO_LARGE',
        `the event wrote more than ${this.#options.outputBytesMax} bytes to stream ${stream}`,
        { details: { stream, position: event.position }, remedy: 'raise --output-size-max or write less per event' },
      );
    }
    try {
      open.append(bytes);
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  addIntervalOfValidity(stream: string, key: string, firstRun: number, lastRun: number, value: string): void {
    const event = this.#event;
    assert(event !== undefined, 'intervals of validity are added while an event is in work');
    const { info, format } = this.#writableFile(stream, event);
    if (info === undefined) {
      throw new GranuleError(
        'PAYLOAD_OUTPUT_INVALID',
        `stream ${stream} has the format ${format.name}, whose files hold no intervals of validity`,
        { details: { stream }, remedy: 'declare the format gev for it, or write them as records' },
      );
    }
    info.addIntervalOfValidity({ key, firstRun, lastRun, value });
  }

  /** The incident EndEvent. */
  endEvent(): void {
    const { token } = this.#openRange();
    const event = this.#event;
    assert(event !== undefined, 'an event is in work');
    if (this.#failure !== undefined) throw this.#failure;
    for (const open of this.#files) {
      if (open.info !== undefined && open.eventBytes > 0) open.info.addEvent(event.runNumber);
    }
    this.#event = undefined;
    this.#eventsInFiles += 1;
    if (this.#options.rule.at === 'EndEvent' && token.lastEvent > token.startEvent) this.#closeFilesOfRange();
  }

  /**
   * The range was executed: cuts its files if the rule says so.
   *
   * @param wallMs time it took, kept for its report
   */
  endRange(wallMs: number): void {
    const range = this.#openRange();
    range.closed = true;
    range.wallMs = wallMs;
    this.#range = undefined;
    if (!this.#sharesFiles) {
      this.#closeFilesOf(range);
      return;
    }
    for (const open of this.#files) this.#endSlice(open, range);
    if (range.openFiles === 0) this.#complete.push(range);
    if (this.#ruleCuts()) this.closeFiles();
  }

  /**
   * The range failed: nothing of it stays. Ranges that share its files are untouched.
   *
   * @throws when a shared file cannot be brought back to where it was: its ranges are not complete, and never will be
   */
  abandonRange(): void {
    const range = this.#range;
    this.#range = undefined;
    this.#event = undefined;
    this.#failure = undefined;
    if (range === undefined) return;
    const files = this.#files;
    this.#files = [];
    this.#forEach(files, (open) => {
      open.abandon();
      if (open.isShared) this.#files.push(open);
    });
    // Files of single events that are in place already.
    if (!this.#sharesFiles) removeOutputs(this.#options.aggregationFolder, range.outputs);
  }

  /**
   * Closes every open file: at a change of input file, when the queue is empty, and at the end.
   *
   * @throws OUTPUT_FAILED: the ranges of that file are not complete, and never will be
   */
  closeFiles(): void {
    const files = this.#files;
    this.#files = [];
    this.#eventsInFiles = 0;
    this.#forEach(files, (open) => {
      for (const [range, output] of open.completeSlices(this.#options.aggregationFolder)) {
        range.outputs.push(output);
        range.openFiles -= 1;
        if (range.openFiles === 0 && range.closed) this.#complete.push(range);
      }
    });
  }

  /** Does something with every file, and throws what went wrong first. A file with which it did is discarded. */
  #forEach(files: readonly OutputFile<RangeInWork>[], action: (open: OutputFile<RangeInWork>) => void): void {
    const failures: unknown[] = [];
    for (const open of files) {
      try {
        action(open);
      } catch (error) {
        open.discard();
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** The ranges completed since this was last asked. */
  takeComplete(): readonly CompleteRange[] {
    const complete = this.#complete;
    this.#complete = [];
    return complete;
  }

  #openRange(): RangeInWork {
    assert(this.#range !== undefined, 'a range is open');
    return this.#range;
  }

  /** Run information changed between two events: their records cannot stand under one header. */
  #cutForRunHeader(): void {
    if (!this.#sharesFiles) {
      this.#closeFilesOfRange();
      return;
    }
    for (const open of this.#files) this.#endSlice(open, this.#openRange());
    this.closeFiles();
  }

  #ruleCuts(): boolean {
    const { rule } = this.#options;
    if (rule.at === 'events') return this.#eventsInFiles >= rule.count;
    if (rule.at === 'bytes') return this.#files.some((open) => open.sizeBytes >= rule.count);
    return false;
  }

  #closeFilesOf(range: RangeInWork): void {
    this.#range = range;
    this.#closeFilesOfRange();
    this.#range = undefined;
    this.#complete.push(range);
  }

  /** Puts the files of the open range in place, each recorded whole. */
  #closeFilesOfRange(): void {
    const range = this.#openRange();
    for (const open of this.#files) {
      const output = open.complete(this.#options.aggregationFolder);
      // There is room for one file of each stream.
      const isFirst = range.streams.indexOf(open.stream) === range.streams.lastIndexOf(open.stream);
      if (isFirst && open.wholeBytes !== undefined) {
        this.#options.recent?.leave(range.token.rangeIndex, output, open.wholeBytes);
      }
      range.outputs.push(output);
    }
    // Not `length = 0`: that goes through V8's runtime, for each event.
    while (this.#files.length > 0) this.#files.pop();
    this.#eventsInFiles = 0;
  }

  /** @throws OUTPUT_FAILED, as `endEvent` will */
  #writableFile(stream: string, event: EventInWork): OutputFile<RangeInWork> {
    const open = this.#openFile(stream, event);
    if (!this.#sharesFiles) return open;
    try {
      open.beginSlice();
    } catch (error) {
      this.#failure = error;
      throw error;
    }
    return open;
  }

  #endSlice(open: OutputFile<RangeInWork>, range: RangeInWork): void {
    if (open.endSlice(range)) range.openFiles += 1;
  }

  #openFile(stream: string, event: EventInWork): OutputFile<RangeInWork> {
    const existing = this.#files.find((open) => open.stream === stream);
    if (existing !== undefined) return existing;
    const range = this.#openRange();
    const inputFile = this.#inputFile;
    assert(inputFile !== undefined, 'a range has an input file');
    const { token, copy, streams } = range;
    const open = this.#opener.open<RangeInWork>(stream, {
      token,
      copy,
      startEvent: streams.includes(stream) ? event.position : token.startEvent,
      inputFile,
      runHeader: event.runHeader,
    });
    streams.push(stream);
    this.#files.push(open);
    return open;
  }
}
