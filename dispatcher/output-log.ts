/**
 * The output records of finished ranges of one task, until they are merged. All of them are in memory: the hand-out
 * stops before they become many. In the store they lie in the groups in which they came.
 */
import type { OutputRecord } from '../core/dispatcher-api.ts';
import type { GroupCommit, WriteSource } from './group-commit.ts';
import { packRecord, unpackRecord } from './record-codec.ts';
import { STORE_KEYS, type StoreKey, type TableStore } from './table-store.ts';

/** Ranges whose records are one entry of the store: about a page. */
const RANGES_PER_ENTRY = 48;

/**
 * An entry is one flat array, since this is the most that is written: for each range its index, attempt and number of
 * records, then for each record stream, file, offset, length, CRC-32, record count and header length (-1 for none).
 */
type PackedEntry = (string | number)[];

interface LoggedRange {
  readonly attemptNr: number;
  readonly outputs: readonly OutputRecord[];
  /** entry of the store it lies in; 0 while it lies in none */
  serial: number;
}

/** Outputs of one attempt at a range. */
export interface StoredOutputs {
  readonly rangeIndex: number;
  readonly attemptNr: number;
  readonly outputs: readonly OutputRecord[];
}

const NO_OUTPUTS: readonly OutputRecord[] = [];

export class OutputLog implements WriteSource {
  readonly #taskID: number;
  readonly #commit: GroupCommit;
  readonly #ranges = new Map<number, LoggedRange>();
  /** logged since the last group */
  #fresh: number[] = [];
  /** ranges still needed, by entry of the store */
  readonly #needed = new Map<number, number>();
  readonly #emptied: number[] = [];
  /** references to files that hold several ranges */
  readonly #sharedFiles = new Map<string, number>();
  #ownFiles = 0;
  #nextSerial = 1;

  constructor(taskID: number, commit: GroupCommit) {
    this.#taskID = taskID;
    this.#commit = commit;
  }

  /** Unmerged files that are recorded. */
  get fileCount(): number {
    return this.#ownFiles + this.#sharedFiles.size;
  }

  /** @param isCurrent tells records that count from those of attempts that were made again */
  load(store: TableStore, isCurrent: (rangeIndex: number, attemptNr: number) => boolean): void {
    for (const { key, value } of store.entries(['outputs', this.#taskID])) {
      const serial = Number((key as readonly unknown[])[2]);
      this.#nextSerial = Math.max(this.#nextSerial, serial + 1);
      let needed = 0;
      for (const { rangeIndex, attemptNr, outputs } of unpackEntry(value)) {
        if (!isCurrent(rangeIndex, attemptNr)) continue;
        needed += 1;
        this.#ranges.set(rangeIndex, { attemptNr, outputs, serial });
        this.#countFiles(outputs, 1);
      }
      if (needed > 0) this.#needed.set(serial, needed);
      else this.#emptied.push(serial);
    }
    if (this.#emptied.length > 0) this.#commit.changed(this);
  }

  add(rangeIndex: number, attemptNr: number, outputs: readonly OutputRecord[]): void {
    if (outputs.length === 0) return;
    this.#ranges.set(rangeIndex, { attemptNr, outputs, serial: 0 });
    this.#countFiles(outputs, 1);
    this.#fresh.push(rangeIndex);
    this.#commit.changed(this);
  }

  get(rangeIndex: number): readonly OutputRecord[] {
    return this.#ranges.get(rangeIndex)?.outputs ?? NO_OUTPUTS;
  }

  /** Files of all ranges, in no order; shared ones once for each range. */
  *files(): IterableIterator<string> {
    for (const { outputs } of this.#ranges.values()) for (const { file } of outputs) yield file;
  }

  drop(rangeIndex: number): void {
    const logged = this.#ranges.get(rangeIndex);
    if (logged === undefined) return;
    this.#ranges.delete(rangeIndex);
    this.#countFiles(logged.outputs, -1);
    if (logged.serial === 0) return;
    const needed = (this.#needed.get(logged.serial) ?? 0) - 1;
    if (needed > 0) {
      this.#needed.set(logged.serial, needed);
      return;
    }
    this.#needed.delete(logged.serial);
    this.#emptied.push(logged.serial);
    this.#commit.changed(this);
  }

  collectWrites(write: (key: StoreKey, value: Uint8Array | undefined) => void): void {
    for (const serial of this.#emptied) write(STORE_KEYS.outputs(this.#taskID, serial), undefined);
    this.#emptied.length = 0;
    let entry: PackedEntry = [];
    let rangeCount = 0;
    const close = (): void => {
      if (rangeCount === 0) return;
      this.#needed.set(this.#nextSerial, rangeCount);
      write(STORE_KEYS.outputs(this.#taskID, this.#nextSerial), packRecord(entry));
      this.#nextSerial += 1;
      entry = [];
      rangeCount = 0;
    };
    for (const rangeIndex of this.#fresh) {
      const logged = this.#ranges.get(rangeIndex);
      // Dropped, or logged twice, before it was ever written.
      if (logged === undefined || logged.serial !== 0) continue;
      logged.serial = this.#nextSerial;
      packOutputs(entry, rangeIndex, logged);
      rangeCount += 1;
      if (rangeCount === RANGES_PER_ENTRY) close();
    }
    close();
    this.#fresh = [];
  }

  #countFiles(outputs: readonly OutputRecord[], change: 1 | -1): void {
    for (const output of outputs) {
      if (output.headerBytes === undefined) {
        this.#ownFiles += change;
        continue;
      }
      const references = (this.#sharedFiles.get(output.file) ?? 0) + change;
      if (references > 0) this.#sharedFiles.set(output.file, references);
      else this.#sharedFiles.delete(output.file);
    }
  }
}

/** All that is in the store: some may be of attempts that were made again since. */
export function* readOutputs(store: TableStore, taskID: number): Iterable<StoredOutputs> {
  for (const { value } of store.entries(['outputs', taskID])) yield* unpackEntry(value);
}

function packOutputs(entry: PackedEntry, rangeIndex: number, { attemptNr, outputs }: LoggedRange): void {
  entry.push(rangeIndex, attemptNr, outputs.length);
  for (const { stream, file, offsetBytes, lengthBytes, crc32, recordCount, headerBytes } of outputs) {
    entry.push(stream, file, offsetBytes, lengthBytes, crc32, recordCount, headerBytes ?? -1);
  }
}

function* unpackEntry(bytes: Uint8Array): Iterable<StoredOutputs> {
  const entry = unpackRecord<PackedEntry>(bytes);
  let place = 0;
  const text = (): string => entry[place++] as string;
  const number = (): number => entry[place++] as number;
  while (place < entry.length) {
    const rangeIndex = number();
    const attemptNr = number();
    const outputs: OutputRecord[] = [];
    for (let left = number(); left > 0; left -= 1) {
      const output = {
        stream: text(),
        file: text(),
        offsetBytes: number(),
        lengthBytes: number(),
        crc32: number(),
        recordCount: number(),
      };
      const headerBytes = number();
      outputs.push(headerBytes < 0 ? output : { ...output, headerBytes });
    }
    yield { rangeIndex, attemptNr, outputs };
  }
}
