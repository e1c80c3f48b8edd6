/**
 * Deaths of the whole program with work in flight. One can be an event's doing (native code, all the memory taken), so
 * each range counts the deaths in a row that found it in flight. After `SUSPECT_DEATHS` it is a suspect and runs alone;
 * after `PROGRAM_DEATHS_MAX` with evidence that it was in execution, it is given up. Finishing clears it.
 */
import { PROGRAM_DEATHS_MAX, SUSPECT_DEATHS } from '../core/limits.ts';
import type { GroupCommit, WriteSource } from './group-commit.ts';
import { packRecord, unpackRecord } from './record-codec.ts';
import { STORE_KEYS, type StoreKey, type TableStore } from './table-store.ts';

export class ProgramDeaths implements WriteSource {
  readonly #taskID: number;
  readonly #commit: GroupCommit;
  /** deaths in a row by range */
  readonly #counts: Map<number, number>;

  constructor(taskID: number, store: TableStore, commit: GroupCommit) {
    this.#taskID = taskID;
    this.#commit = commit;
    const bytes = store.get(STORE_KEYS.deaths(taskID));
    this.#counts = new Map(bytes === undefined ? [] : unpackRecord<readonly [number, number][]>(bytes));
  }

  suspects(): readonly number[] {
    return [...this.#counts.entries()].filter(([, count]) => count >= SUSPECT_DEATHS).map(([rangeIndex]) => rangeIndex);
  }

  /**
   * A death that found `held` in flight.
   *
   * @param inExecution those known to have been in execution, if that is known; all held ones when undefined
   * @returns ranges to be given up
   */
  note(held: readonly number[], inExecution: ReadonlySet<number> | undefined): readonly number[] {
    const givenUp: number[] = [];
    for (const rangeIndex of held) {
      if (inExecution !== undefined && !inExecution.has(rangeIndex)) {
        this.#counts.delete(rangeIndex);
        continue;
      }
      const count = (this.#counts.get(rangeIndex) ?? 0) + 1;
      this.#counts.set(rangeIndex, count);
      if (count >= PROGRAM_DEATHS_MAX && inExecution !== undefined) givenUp.push(rangeIndex);
    }
    for (const rangeIndex of givenUp) this.#counts.delete(rangeIndex);
    if (held.length > 0) this.#commit.changed(this);
    return givenUp;
  }

  /** It came to an end that is its own. True when it was counted at all. */
  clear(rangeIndex: number): boolean {
    if (!this.#counts.delete(rangeIndex)) return false;
    this.#commit.changed(this);
    return true;
  }

  collectWrites(write: (key: StoreKey, value: Uint8Array | undefined) => void): void {
    const value = this.#counts.size === 0 ? undefined : packRecord([...this.#counts.entries()]);
    write(STORE_KEYS.deaths(this.#taskID), value);
  }
}
