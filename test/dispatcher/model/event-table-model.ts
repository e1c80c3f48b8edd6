/**
 * What the event table should do, as plainly as it can be said: an object for each range and loops over all of them.
 * Written from the rules, not from the code that it judges.
 */
import type { RangeState } from '../../../core/states.ts';

export interface ModelRange {
  state: RangeState;
  failures: number;
  losses: number;
  attempt: number;
  /** consumer that holds it */
  owner: string | undefined;
  /** output files of its last finished attempt */
  files: number;
  /** deaths of the program in a row that found it held */
  deaths: number;
}

export interface ModelOutput {
  readonly first: number;
  end: number;
  cursor: number;
  complete: boolean;
  failed: boolean;
  mergeFailures: number;
  /** finished ranges of a merge that was begun and has not come to its end */
  offered: readonly number[];
}

export interface ModelConsumer {
  /** lives in the dispatcher's process */
  readonly local: boolean;
  lastHeardMs: number;
  /** its task was cancelled */
  stopped: boolean;
}

export interface ModelOptions {
  readonly eventsPerRange: number;
  readonly rangesPerOutput: number | undefined;
  readonly failuresMax: number;
  readonly lossesMax: number;
  readonly unmergedFilesMax: number;
  readonly longestFirst: boolean;
}

export const OPEN: readonly RangeState[] = ['ready', 'failed', 'corrupted'];
export const MISSING: readonly RangeState[] = ['fatal', 'cancelled', 'discarded'];
const SUSPECT_DEATHS = 3;
const MERGE_FAILURES_MAX = 5;

/** Any function of the place will do. */
export function costOf(rangeIndex: number): number {
  return (rangeIndex * 7) % 5;
}

export class EventTableModel {
  readonly options: ModelOptions;
  readonly ranges: ModelRange[] = [];
  readonly outputs: ModelOutput[] = [];
  readonly consumers = new Map<string, ModelConsumer>();
  sealed = false;
  cancelled = false;
  filesPerRange = 1;
  /** the file order has gone so far */
  cursor = 0;

  constructor(options: ModelOptions) {
    this.options = options;
  }

  addFile(eventCount: number): void {
    const first = this.ranges.length;
    for (let event = 0; event < eventCount; event += this.options.eventsPerRange) {
      this.ranges.push({
        state: 'ready',
        failures: 0,
        losses: 0,
        attempt: 0,
        owner: undefined,
        files: 0,
        deaths: 0,
      });
    }
    const { rangesPerOutput } = this.options;
    if (rangesPerOutput === undefined) this.#addOutput(first, this.ranges.length);
    for (let at = 0; rangesPerOutput !== undefined && at < this.ranges.length; at += rangesPerOutput) {
      const output = this.outputs[at / rangesPerOutput];
      const end = Math.min(at + rangesPerOutput, this.ranges.length);
      if (output === undefined) this.#addOutput(at, end);
      else output.end = end;
    }
  }

  #addOutput(first: number, end: number): void {
    this.outputs.push({ first, end, cursor: first, complete: false, failed: false, mergeFailures: 0, offered: [] });
  }

  /** What `take` must answer: indices in order. Changes the state accordingly. */
  take(consumer: string, count: number): number[] {
    const suspects = this.#indices((range) => range.deaths >= SUSPECT_DEATHS);
    const open = suspects.filter((index) => OPEN.includes(this.#range(index).state));
    if (count > 0 && open.length > 0 && !suspects.some((index) => isHeld(this.#range(index)))) {
      return this.#send(open.slice(0, 1), consumer);
    }
    const room = this.#room();
    const waiting = this.#indices((range) => OPEN.includes(range.state) && range.deaths < SUSPECT_DEATHS);
    const returned = this.#send(waiting.filter((index) => !this.#isFresh(index)).slice(0, count), consumer);
    const left = count - returned.length;
    const fresh = this.#indices((_, index) => this.#isFresh(index));
    if (this.options.longestFirst && this.sealed) {
      fresh.sort((one, other) => costOf(other) - costOf(one) || one - other);
      return returned.concat(this.#send(fresh.slice(0, left), consumer));
    }
    const limit = Math.max(0, Math.min(left, room));
    const taken = this.#send(fresh.slice(0, limit), consumer);
    // It stops behind the last one it may hand out, or goes to the end when there are not so many.
    if (taken.length < limit) this.cursor = this.ranges.length;
    else if (limit > 0) this.cursor = (taken.at(-1) ?? 0) + 1;
    return returned.concat(taken);
  }

  /** Fresh ranges that the bound of unmerged files lets through. */
  #room(): number {
    const files = this.ranges.reduce((sum, range) => sum + range.files, 0);
    const held = this.ranges.filter(isHeld).length;
    const room = this.options.unmergedFilesMax - files - held * this.filesPerRange;
    return room < this.filesPerRange && held === 0 && files === 0 ? 1 : Math.floor(room / this.filesPerRange);
  }

  #isFresh(index: number): boolean {
    const { state, failures, losses, attempt } = this.#range(index);
    return state === 'ready' && failures === 0 && losses === 0 && attempt === 0 && index >= this.cursor;
  }

  #send(indices: readonly number[], consumer: string): number[] {
    for (const index of indices) {
      const range = this.#range(index);
      range.state = 'sent';
      range.attempt += 1;
      range.owner = consumer;
    }
    return [...indices];
  }

  update(
    consumer: string,
    kind: 'started' | 'finished' | 'failed',
    index: number,
    attempt: number,
    files: number,
  ): 'accepted' | 'duplicate' | 'stale' {
    const range = this.#range(index);
    const current = range.attempt === attempt;
    if (current && isHeld(range) && range.owner === consumer && this.consumers.has(consumer)) {
      if (kind === 'started') {
        if (range.state === 'running') return 'duplicate';
        range.state = 'running';
        return 'accepted';
      }
      if (kind === 'finished') this.finish(index, files);
      else {
        range.owner = undefined;
        range.failures += 1;
        range.state = range.failures >= this.options.failuresMax ? 'fatal' : 'failed';
        if (range.state === 'fatal') range.deaths = 0;
      }
      return 'accepted';
    }
    if (current && (range.state === 'finished' || range.state === 'merged')) return 'duplicate';
    if (current && kind === 'failed' && (range.state === 'failed' || range.state === 'fatal')) return 'duplicate';
    return 'stale';
  }

  finish(index: number, files: number): void {
    const range = this.#range(index);
    range.owner = undefined;
    range.state = 'finished';
    range.files = files;
    range.deaths = 0;
    this.filesPerRange = Math.max(this.filesPerRange, files);
  }

  giveBack(index: number): void {
    const range = this.#range(index);
    range.state = 'ready';
    range.owner = undefined;
  }

  /** All that a consumer holds goes back, charged or not. */
  takeBack(consumer: string, charge: boolean): void {
    for (const range of this.ranges) {
      if (!isHeld(range) || range.owner !== consumer) continue;
      range.owner = undefined;
      range.state = 'ready';
      if (charge) range.losses += 1;
      if (charge && range.losses >= this.options.lossesMax) range.state = 'fatal';
    }
    this.consumers.delete(consumer);
  }

  heldBy(consumer: string): number[] {
    return this.#indices((range) => isHeld(range) && range.owner === consumer);
  }

  /** What is lost with the program. */
  heldByProgram(): number[] {
    return this.#indices((range) => isHeld(range) && this.consumers.get(range.owner ?? '')?.local === true);
  }

  /** The program dies: its own consumers with it, those elsewhere go on. */
  die(): void {
    for (const [name, consumer] of [...this.consumers]) {
      if (!consumer.local) continue;
      for (const index of this.heldBy(name)) this.#range(index).deaths += 1;
      this.takeBack(name, false);
    }
    this.forgetStarted();
  }

  /** What is known in memory only: `running`, and merges under way. */
  forgetStarted(): void {
    for (const output of this.outputs) output.offered = [];
    for (const range of this.ranges) if (range.state === 'running') range.state = 'sent';
  }

  /** True when something changed. */
  giveUp(index: number): boolean {
    const range = this.#range(index);
    if (range.state === 'finished') {
      // What is being merged is past discarding.
      if (this.outputOf(index).offered.includes(index)) return false;
      range.state = 'discarded';
      range.files = 0;
      return true;
    }
    if (!OPEN.includes(range.state) && !isHeld(range)) return false;
    range.state = 'cancelled';
    range.owner = undefined;
    range.deaths = 0;
    return true;
  }

  retry(states: readonly RangeState[]): number {
    let count = 0;
    for (const [index, range] of this.ranges.entries()) {
      if (!states.includes(range.state)) continue;
      this.#reopen(index, 'ready');
      range.failures = 0;
      range.losses = 0;
      count += 1;
    }
    return count;
  }

  #reopen(index: number, state: RangeState): void {
    const range = this.#range(index);
    range.state = state;
    range.files = 0;
    const output = this.outputOf(index);
    output.failed = false;
  }

  outputOf(index: number): ModelOutput {
    const output = this.outputs.find(({ first, end }) => index >= first && index < end);
    if (output === undefined) throw new Error(`no output holds range ${index}`);
    return output;
  }

  /** The stretch an output would offer for merging: indices; undefined when there is none. */
  stretch(output: ModelOutput, countMax: number): { indices: number[]; last: boolean; amend: boolean } | undefined {
    if (output.failed || this.cancelled) return undefined;
    const begun =
      output.cursor > output.first || this.#slice(output.first, output.end).some((index) => !this.#isOpenOrHeld(index));
    if (output.complete) {
      const made = this.#slice(output.first, output.end).filter((index) => this.#range(index).state === 'finished');
      const wait = this.#slice(output.first, output.end).some((index) => this.#isOpenOrHeld(index));
      return made.length > 0 && !wait ? { indices: made, last: true, amend: true } : undefined;
    }
    let end = output.cursor;
    while (end < output.end && end < output.cursor + countMax && !this.#isOpenOrHeld(end)) end += 1;
    const mayGrow =
      this.options.rangesPerOutput !== undefined && output.end - output.first < this.options.rangesPerOutput;
    const last = end === output.end && (this.sealed || !mayGrow) && begun;
    if (end === output.cursor && !last) return undefined;
    return { indices: this.#slice(output.cursor, end), last, amend: false };
  }

  merged(output: ModelOutput, indices: readonly number[], complete: boolean): void {
    for (const index of indices) {
      const range = this.#range(index);
      if (range.state !== 'finished') continue;
      range.state = 'merged';
      range.files = 0;
    }
    output.mergeFailures = 0;
    output.offered = [];
    output.cursor = Math.max(output.cursor, (indices.at(-1) ?? output.cursor - 1) + 1);
    if (complete) output.complete = true;
  }

  mergeFailed(output: ModelOutput, damaged: readonly number[]): void {
    output.mergeFailures += 1;
    output.offered = [];
    const givenUp = output.mergeFailures >= MERGE_FAILURES_MAX;
    for (const index of damaged) {
      const range = this.#range(index);
      if (range.state !== 'finished') continue;
      if (givenUp) {
        range.state = 'fatal';
        range.files = 0;
      } else this.#reopen(index, 'corrupted');
    }
    if (!givenUp || damaged.length > 0) return;
    for (const index of this.#slice(output.cursor, output.end)) {
      const range = this.#range(index);
      if (range.state === 'finished') range.state = 'fatal';
      else if (this.#isOpenOrHeld(index)) this.giveUp(index);
      range.files = 0;
    }
    output.failed = true;
  }

  resetOutput(output: ModelOutput): void {
    for (const index of this.#slice(output.first, output.end)) {
      if (this.#range(index).state === 'merged') this.#reopen(index, 'corrupted');
    }
    output.cursor = output.first;
    output.offered = [];
    output.complete = false;
    output.failed = false;
  }

  #isOpenOrHeld(index: number): boolean {
    const range = this.#range(index);
    return OPEN.includes(range.state) || isHeld(range);
  }

  #range(index: number): ModelRange {
    const range = this.ranges[index];
    if (range === undefined) throw new Error(`no range ${index}`);
    return range;
  }

  #slice(first: number, end: number): number[] {
    return Array.from({ length: Math.max(0, end - first) }, (_, place) => first + place);
  }

  #indices(matches: (range: ModelRange, index: number) => boolean): number[] {
    return this.ranges.flatMap((range, index) => (matches(range, index) ? [index] : []));
  }
}

function isHeld(range: ModelRange): boolean {
  return range.state === 'sent' || range.state === 'running';
}
