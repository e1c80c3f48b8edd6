/**
 * When is there something to merge? Watches the ranges of one task become terminal, and offers each output's next
 * stretch of terminal ranges as a merge job. Work for a range is a comparison: only a range that the stretch was waiting
 * for makes anybody look.
 *
 * An output is `open` until its last stretch is committed, then `complete`; it opens again when a range that was
 * missing in it gets another chance (then an amending job is offered when all such are terminal), and begins anew when
 * its file is lost.
 */
import type { MergedFile, MergeGap, MergeItem, MergeJob, StreamProgress } from '../core/dispatcher-api.ts';
import { GranuleError } from '../core/errors.ts';
import { MERGE_FAILURES_MAX, TAIL_RANGES_MAX } from '../core/limits.ts';
import { finishedOf, mergeItem, mergeJob, type TerminalSpan, terminalSpan } from './merge-offer.ts';
import type { OutputBook } from './output-book.ts';
import type { OutputLog } from './output-log.ts';
import type { OfferedStretch, OutputState } from './output-state.ts';
import type { RangeTable } from './range-table.ts';
import { isFinished, isMissing, isOpen, isTerminal } from './range-word.ts';
import { RANGE_ACTIONS } from './transitions.ts';

export interface StretchRequest {
  readonly rangeCountMin: number;
  readonly rangeCountMax: number;
  readonly busyOutputs: readonly number[];
  readonly behindOutput?: number;
  /** so many outputs are waiting that any stretch is worth merging */
  readonly pressure: boolean;
  readonly sealed: boolean;
}

export interface MergeCommit {
  readonly outputIndex: number;
  readonly throughRange: number;
  readonly progress: readonly StreamProgress[];
  readonly gaps: readonly MergeGap[];
  readonly completed?: readonly MergedFile[];
}

export class MergeTrigger {
  readonly #table: RangeTable;
  readonly #outputLog: OutputLog;
  readonly #outputs: OutputBook;
  /** outputs that may have a stretch to offer */
  readonly #candidates = new Set<number>();
  /** outputs that have a stretch to offer, but a shorter one than was asked for */
  readonly #short = new Set<number>();
  readonly #onCandidate: () => void;

  constructor(options: {
    readonly table: RangeTable;
    readonly outputLog: OutputLog;
    readonly outputs: OutputBook;
    /** there may be a stretch to merge where there was none, or none of the length asked for */
    readonly onCandidate: () => void;
  }) {
    this.#table = options.table;
    this.#outputLog = options.outputLog;
    this.#outputs = options.outputs;
    this.#onCandidate = options.onCandidate;
  }

  load(): void {
    this.#outputs.load();
    for (const outputIndex of this.#outputs.openIndices()) this.#candidates.add(outputIndex);
  }

  becameTerminal(rangeIndex: number): void {
    const outputIndex = this.#table.plan.outputOf(rangeIndex);
    const output = this.#outputs.get(outputIndex) ?? this.#outputs.begin(outputIndex);
    if (rangeIndex === output.scannedTo || rangeIndex < output.cursor) this.#offerable(outputIndex);
    // One more output may be what makes short stretches worth merging.
    else if (this.#short.size > 0) this.#onCandidate();
  }

  becameOpen(rangeIndex: number): void {
    const outputIndex = this.#table.plan.outputOf(rangeIndex);
    const output = this.#outputs.find(outputIndex) ?? this.#outputs.begin(outputIndex);
    output.failure = undefined;
    if (rangeIndex < output.cursor) output.reopened.add(rangeIndex);
    else output.scannedTo = Math.min(output.scannedTo, rangeIndex);
    this.#outputs.changed(output);
  }

  /** The last file is known: an output that could have grown may now be complete. */
  noteSealed(): void {
    for (const outputIndex of this.#outputs.openIndices()) this.#offerable(outputIndex);
  }

  next(request: StretchRequest): MergeJob | undefined {
    if (request.behindOutput !== undefined) return this.#following(request.behindOutput, request);
    const anyLength = request.pressure || request.rangeCountMin <= 1;
    const places = anyLength ? [...this.#candidates, ...this.#short] : [...this.#candidates];
    for (const outputIndex of places) {
      if (request.busyOutputs.includes(outputIndex)) continue;
      const output = this.#outputs.get(outputIndex);
      if (output === undefined || output.failure !== undefined) {
        this.#forget(outputIndex);
        continue;
      }
      const job = output.files === undefined ? this.#stretch(output, request) : this.#amendment(output);
      if (job !== undefined) return job;
    }
    return undefined;
  }

  /** Throws `REQUEST_INVALID` for anything that was not offered. */
  merged(commit: MergeCommit): void {
    const output = this.#outputs.get(commit.outputIndex);
    const [offered, ...behind] = output?.offered ?? [];
    if (output === undefined || offered === undefined || commit.throughRange > offered.throughRange) {
      throw invalid(`output ${commit.outputIndex} was not offered for merging up to range ${commit.throughRange}`);
    }
    const { endRange } = this.#table.plan.outputSpan(output.outputIndex);
    if (commit.completed !== undefined && commit.throughRange !== endRange - 1) {
      throw invalid(`output ${commit.outputIndex} ends at range ${endRange - 1}, not at ${commit.throughRange}`);
    }
    this.#checkMerged(offered, commit.throughRange);
    if (!offered.amends) {
      for (let rangeIndex = output.cursor; rangeIndex <= commit.throughRange; rangeIndex += 1) {
        if (offered.finished.has(rangeIndex)) this.#table.apply(rangeIndex, RANGE_ACTIONS.merge);
        else if (!isMissing(this.#table.wordAt(rangeIndex))) output.reopened.add(rangeIndex);
      }
      output.cursor = Math.max(output.cursor, commit.throughRange + 1);
      output.scannedTo = Math.max(output.scannedTo, output.cursor);
      output.gaps = [...output.gaps, ...commit.gaps];
    } else {
      for (const rangeIndex of offered.finished) {
        this.#table.apply(rangeIndex, RANGE_ACTIONS.merge);
        output.reopened.delete(rangeIndex);
      }
      output.gaps = commit.gaps;
    }
    output.progress = commit.progress;
    output.mergeFailures = 0;
    output.offered = commit.throughRange === offered.throughRange ? behind : [];
    if (commit.completed !== undefined) output.files = commit.completed;
    this.#offerable(output.outputIndex);
    this.#outputs.changed(output);
  }

  /**
   * A merge failed. Returns the ranges that were given up by it: those damaged, once too often with no progress between;
   * with none damaged, all that the output still waited for.
   */
  failed(
    outputIndex: number,
    damaged: readonly { readonly rangeIndex: number; readonly message: string }[],
  ): readonly { readonly rangeIndex: number; readonly message: string }[] {
    const output = this.#outputs.get(outputIndex);
    if (output === undefined) throw invalid(`output ${outputIndex} has nothing to merge`);
    output.offered = [];
    output.mergeFailures += 1;
    const givenUp = output.mergeFailures >= MERGE_FAILURES_MAX;
    this.#outputs.changed(output);
    this.#offerable(outputIndex);
    const action = givenUp ? RANGE_ACTIONS.abandon : RANGE_ACTIONS.damage;
    const changed = damaged.filter(({ rangeIndex }) => this.#table.apply(rangeIndex, action) >= 0);
    this.#table.totals.damaged += changed.length;
    if (!givenUp) return [];
    return damaged.length > 0 ? changed : this.#giveUp(output);
  }

  /** What was merged of an output is gone: all of it is to be made again. */
  reset(outputIndex: number): void {
    const output = this.#outputs.find(outputIndex);
    if (output === undefined) return;
    const { firstRange } = this.#table.plan.outputSpan(outputIndex);
    const mergedEnd = output.cursor;
    output.cursor = firstRange;
    output.scannedTo = firstRange;
    output.progress = [];
    output.gaps = [];
    output.reopened.clear();
    output.files = undefined;
    output.failure = undefined;
    output.offered = [];
    for (let rangeIndex = firstRange; rangeIndex < mergedEnd; rangeIndex += 1) {
      this.#table.apply(rangeIndex, RANGE_ACTIONS.unmerge);
    }
    this.#offerable(outputIndex);
    this.#outputs.changed(output);
  }

  *unfinished(): IterableIterator<MergeJob> {
    const { plan, cursor } = this.#table;
    const handedOutEnd = plan.rangeCount - cursor <= TAIL_RANGES_MAX ? plan.rangeCount : cursor;
    for (const outputIndex of this.#outputs.openIndices().toSorted((left, right) => left - right)) {
      const output = this.#outputs.get(outputIndex);
      if (output === undefined || output.files !== undefined) continue;
      const end = Math.min(handedOutEnd, plan.outputSpan(outputIndex).endRange);
      const items: MergeItem[] = [];
      for (let rangeIndex = output.cursor; rangeIndex < end; rangeIndex += 1) {
        if (isFinished(this.#table.wordAt(rangeIndex))) items.push(mergeItem(this.#table, this.#outputLog, rangeIndex));
      }
      yield mergeJob(this.#table, output, items, false);
    }
  }

  /** The range is in a stretch that is being merged: its outcome is settled by that. */
  isOffered(rangeIndex: number): boolean {
    const output = this.#outputs.get(this.#table.plan.outputOf(rangeIndex));
    return output?.offered.some(({ finished }) => finished.has(rangeIndex)) ?? false;
  }

  #offerable(outputIndex: number): void {
    if (this.#candidates.has(outputIndex)) return;
    this.#short.delete(outputIndex);
    this.#candidates.add(outputIndex);
    this.#onCandidate();
  }

  #forget(outputIndex: number): void {
    this.#candidates.delete(outputIndex);
    this.#short.delete(outputIndex);
  }

  #stretch(output: OutputState, request: StretchRequest): MergeJob | undefined {
    const span = terminalSpan(this.#table, output, output.cursor, request);
    const count = span.end - span.first;
    if (count === 0 && !span.last) {
      this.#forget(output.outputIndex);
      return undefined;
    }
    if (!span.last && count < request.rangeCountMin && !request.pressure) {
      this.#forget(output.outputIndex);
      this.#short.add(output.outputIndex);
      return undefined;
    }
    return this.#offer(output, span, []);
  }

  /** Whatever comes of this, the commit of the stretch before makes somebody look at the output again. */
  #following(outputIndex: number, request: StretchRequest): MergeJob | undefined {
    const output = this.#outputs.get(outputIndex);
    const [before, ...behind] = output?.offered ?? [];
    if (output === undefined || before === undefined || before.amends || behind.length > 0) return undefined;
    const span = terminalSpan(this.#table, output, before.throughRange + 1, request);
    const count = span.end - span.first;
    if (count <= 0 || (!span.last && count < request.rangeCountMin)) return undefined;
    return this.#offer(output, span, [before]);
  }

  #offer(output: OutputState, span: TerminalSpan, before: readonly OfferedStretch[]): MergeJob {
    const items: MergeItem[] = [];
    for (let rangeIndex = span.first; rangeIndex < span.end; rangeIndex += 1)
      items.push(mergeItem(this.#table, this.#outputLog, rangeIndex));
    output.offered = [...before, { throughRange: span.end - 1, finished: finishedOf(items), amends: false }];
    return mergeJob(this.#table, output, items, span.last);
  }

  /** Ranges made after all go into the finished files, once none of them is still under way. */
  #amendment(output: OutputState): MergeJob | undefined {
    const ranges = [...output.reopened].sort((left, right) => left - right);
    if (!ranges.every((rangeIndex) => isTerminal(this.#table.wordAt(rangeIndex)))) {
      this.#candidates.delete(output.outputIndex);
      return undefined;
    }
    const made = ranges.filter((rangeIndex) => isFinished(this.#table.wordAt(rangeIndex)));
    if (made.length === 0) {
      // All have failed again: the files stay as they are.
      output.reopened.clear();
      this.#candidates.delete(output.outputIndex);
      this.#outputs.changed(output);
      return undefined;
    }
    const { endRange } = this.#table.plan.outputSpan(output.outputIndex);
    const items = made.map((rangeIndex) => mergeItem(this.#table, this.#outputLog, rangeIndex));
    output.offered = [{ throughRange: endRange - 1, finished: finishedOf(items), amends: true }];
    return { ...mergeJob(this.#table, output, items, true), amend: { files: output.files ?? [], gaps: output.gaps } };
  }

  /** Before anything is changed: all or nothing. */
  #checkMerged({ finished }: OfferedStretch, throughRange: number): void {
    for (const rangeIndex of finished) {
      if (rangeIndex > throughRange || isFinished(this.#table.wordAt(rangeIndex))) continue;
      throw invalid(`range ${rangeIndex} is not finished any more and cannot have been merged`);
    }
  }

  #giveUp(output: OutputState): readonly { readonly rangeIndex: number; readonly message: string }[] {
    output.failure = 'the merge failed again and again';
    const { endRange } = this.#table.plan.outputSpan(output.outputIndex);
    const givenUp: { rangeIndex: number; message: string }[] = [];
    for (let rangeIndex = output.cursor; rangeIndex < endRange; rangeIndex += 1) {
      const word = this.#table.wordAt(rangeIndex);
      if (isFinished(word)) {
        this.#table.apply(rangeIndex, RANGE_ACTIONS.abandon);
        givenUp.push({ rangeIndex, message: output.failure });
      } else if (isOpen(word) || !isTerminal(word)) this.#table.apply(rangeIndex, RANGE_ACTIONS.cancel);
    }
    return givenUp;
  }
}

function invalid(message: string): GranuleError {
  return new GranuleError('REQUEST_INVALID', message, { remedy: 'ask for the next merge job and commit that one' });
}
