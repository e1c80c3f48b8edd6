/**
 * Which ranges were made by which version of the payload. As long as it never changed nothing is stored; when a change is
 * accepted, what was committed until then is noted as intervals.
 */
import type { GroupCommit } from './group-commit.ts';
import { IntervalBuilder, type RangeIntervals, without } from './range-intervals.ts';
import { packRecord, unpackRecord } from './record-codec.ts';
import { STORE_KEYS, type TableStore } from './table-store.ts';

export interface PayloadEpoch {
  /** as given when the task was submitted or the change accepted */
  readonly payload: string;
  /** ranges whose present outputs were made by it */
  readonly ranges: RangeIntervals;
}

/** Epochs that are over, oldest first; what is in none of them was, or will be, made by the payload in force. */
export function readEpochs(store: TableStore, taskID: number): PayloadEpoch[] {
  return [...store.entries(['epoch', taskID])].map(({ value }) => unpackRecord<PayloadEpoch>(value));
}

export class PayloadEpochs {
  readonly #taskID: number;
  readonly #commit: GroupCommit;
  readonly #epochs: PayloadEpoch[];

  constructor(taskID: number, store: TableStore, commit: GroupCommit) {
    this.#taskID = taskID;
    this.#commit = commit;
    this.#epochs = readEpochs(store, taskID);
  }

  get all(): readonly PayloadEpoch[] {
    return this.#epochs;
  }

  /** @param committed ranges committed so far, ascending */
  async close(payload: string, committed: AsyncIterable<number>): Promise<void> {
    const earlier = this.#epochs.map((epoch) => membership(epoch.ranges));
    const builder = new IntervalBuilder();
    for await (const rangeIndex of committed) {
      if (!earlier.some((isIn) => isIn(rangeIndex))) builder.add(rangeIndex);
    }
    this.#epochs.push({ payload, ranges: builder.build() });
    this.#write(this.#epochs.length - 1);
  }

  /** The range is made again: its outputs are not those of an old payload any more. */
  forget(rangeIndex: number): void {
    for (const [index, epoch] of this.#epochs.entries()) {
      const ranges = without(epoch.ranges, rangeIndex);
      if (ranges === epoch.ranges) continue;
      this.#epochs[index] = { ...epoch, ranges };
      this.#write(index);
    }
  }

  #write(index: number): void {
    this.#commit.write(STORE_KEYS.epoch(this.#taskID, index), packRecord(this.#epochs[index]));
  }
}

/** For queries in ascending order: walks along the intervals. */
function membership(intervals: RangeIntervals): (rangeIndex: number) => boolean {
  let place = 0;
  return (rangeIndex) => {
    while (place < intervals.length && rangeIndex >= (intervals[place + 1] as number)) place += 2;
    return place < intervals.length && rangeIndex >= (intervals[place] as number);
  };
}
