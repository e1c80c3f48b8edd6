/**
 * Where the outputs of one task stand. In memory are those that have a terminal range and are not complete; complete
 * ones are in the store, and come back when one of their ranges gets another chance.
 */
import type { CompletedFile, MergedFile } from '../core/dispatcher-api.ts';
import type { GroupCommit, WriteSource } from './group-commit.ts';
import { isComplete, newOutput, type OutputState, packOutputState, unpackOutputState } from './output-state.ts';
import type { RangePlan } from './range-plan.ts';
import { STORE_KEYS, type StoreKey, type TableStore } from './table-store.ts';

export class OutputBook implements WriteSource {
  readonly #taskID: number;
  readonly #plan: RangePlan;
  readonly #store: TableStore;
  readonly #commit: GroupCommit;
  readonly #open = new Map<number, OutputState>();
  readonly #changed = new Set<OutputState>();

  constructor(taskID: number, plan: RangePlan, store: TableStore, commit: GroupCommit) {
    this.#taskID = taskID;
    this.#plan = plan;
    this.#store = store;
    this.#commit = commit;
  }

  load(): void {
    for (const { key, value } of this.#store.entries(['open', this.#taskID])) {
      const outputIndex = Number((key as readonly unknown[])[2]);
      this.#open.set(outputIndex, unpackOutputState(outputIndex, value));
    }
  }

  /** Places of those in memory, in the order in which they began. */
  openIndices(): readonly number[] {
    return [...this.#open.keys()];
  }

  get(outputIndex: number): OutputState | undefined {
    return this.#open.get(outputIndex);
  }

  /** Also a complete one, which is open from here on; undefined for one that has not begun. */
  find(outputIndex: number): OutputState | undefined {
    const open = this.#open.get(outputIndex);
    if (open !== undefined) return open;
    const bytes = this.#store.get(STORE_KEYS.completeOutput(this.#taskID, outputIndex));
    if (bytes === undefined) return undefined;
    const output = unpackOutputState(outputIndex, bytes);
    this.#open.set(outputIndex, output);
    return output;
  }

  begin(outputIndex: number): OutputState {
    const output = newOutput(outputIndex, this.#plan.outputSpan(outputIndex));
    this.#open.set(outputIndex, output);
    this.changed(output);
    return output;
  }

  changed(output: OutputState): void {
    this.#changed.add(output);
    this.#commit.changed(this);
  }

  /** A complete output leaves the memory; only to be called when what was changed is durable. */
  forgetComplete(outputIndex: number): boolean {
    const output = this.#open.get(outputIndex);
    if (output === undefined || !isComplete(output) || this.#changed.has(output)) return false;
    return this.#open.delete(outputIndex);
  }

  /** Files of outputs that were completed, waiting for an amendment or not, in no order. */
  *completedFiles(): IterableIterator<CompletedFile> {
    for (const { outputIndex, files } of this.#open.values()) yield* filesOf(outputIndex, files);
    for (const { key, value } of this.#store.entries(['complete', this.#taskID])) {
      const outputIndex = Number((key as readonly unknown[])[2]);
      if (!this.#open.has(outputIndex)) yield* filesOf(outputIndex, unpackOutputState(outputIndex, value).files);
    }
  }

  collectWrites(write: (key: StoreKey, value: Uint8Array | undefined) => void): void {
    for (const output of this.#changed) {
      const open = STORE_KEYS.openOutput(this.#taskID, output.outputIndex);
      const complete = STORE_KEYS.completeOutput(this.#taskID, output.outputIndex);
      write(isComplete(output) ? open : complete, undefined);
      write(isComplete(output) ? complete : open, packOutputState(output));
    }
    this.#changed.clear();
  }
}

function filesOf(outputIndex: number, files: readonly MergedFile[] | undefined): CompletedFile[] {
  return (files ?? []).map((file) => ({ ...file, outputIndex }));
}
