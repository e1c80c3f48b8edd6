/**
 * Writes changes in groups. State lives in memory and changes at once; whoever has changed something says so with
 * {@link GroupCommit.changed} and awaits {@link GroupCommit.durable} before answering. While one group is being written
 * the next gathers, so a flush is paid once for all calls that came meanwhile.
 *
 * States: `open` → (`failed` | `closed`). Memory is ahead of the disk by the groups under way; were one to fail, memory
 * would tell what is not so. Hence `failed` is for good: everything awaited rejects, and so does everything after.
 */
import { GranuleError } from '../core/errors.ts';
import { COMMIT_MS_MAX } from '../core/limits.ts';
import { FencedOff, type StoreKey, type StoreWrite, type TableStore } from './table-store.ts';

/** Something with changes to write: encodes them when the group is closed, not before. */
export interface WriteSource {
  /** @param group number of the group they become part of, see {@link GroupCommit.writtenGroup} */
  collectWrites(write: (key: StoreKey, value: Uint8Array | undefined) => void, group: number): void;
}

/** What stops us from writing to a store that others have taken over. */
export interface Fence {
  readonly key: StoreKey;
  /** says who has */
  takenOver(): GranuleError;
}

interface Group {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

export class GroupCommit {
  readonly #store: TableStore;
  readonly #defer: (close: () => void) => void;
  readonly #onFailure: (error: GranuleError) => void;
  readonly #fence: Fence;
  readonly #sources = new Set<WriteSource>();
  #records: StoreWrite[] = [];
  #gathering: Group | undefined;
  #writing = false;
  #groupNumber = 1;
  #writtenGroup = 0;
  #failure: GranuleError | undefined;

  /**
   * @param options.defer when a group is closed after its first change: as a rule when the event loop has seen to what
   * has arrived
   */
  constructor(
    store: TableStore,
    options: {
      readonly defer: (close: () => void) => void;
      readonly onFailure: (error: GranuleError) => void;
      readonly fence: Fence;
    },
  ) {
    this.#store = store;
    this.#defer = options.defer;
    this.#onFailure = options.onFailure;
    this.#fence = options.fence;
  }

  /** All groups up to this number can be read back. */
  get writtenGroup(): number {
    return this.#writtenGroup;
  }

  get failure(): GranuleError | undefined {
    return this.#failure;
  }

  changed(source: WriteSource): void {
    this.#sources.add(source);
    this.#gather();
  }

  /** A record that is complete as it stands; later writes of one key win. */
  write(key: StoreKey, value: Uint8Array | undefined): void {
    this.#records.push({ key, value });
    this.#gather();
  }

  /** Resolves when every change announced so far is on disk; at once if that is so already. */
  durable(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return this.#gathering?.promise ?? this.#lastGroup;
  }

  /** Stops everything: nothing is written any more. */
  fail(error: GranuleError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#gathering?.reject(error);
    this.#onFailure(error);
  }

  #lastGroup: Promise<void> = Promise.resolve();

  #gather(): void {
    if (this.#gathering !== undefined || this.#failure !== undefined) return;
    let resolve: () => void = () => undefined;
    let reject: (reason: unknown) => void = () => undefined;
    const promise = new Promise<void>((onResolve, onReject) => {
      resolve = onResolve;
      reject = onReject;
    });
    // Not every change is awaited by somebody; a failure reaches `onFailure` in any case.
    promise.catch(() => undefined);
    this.#gathering = { promise, resolve, reject };
    if (!this.#writing) this.#defer(() => void this.#writeGroups());
  }

  async #writeGroups(): Promise<void> {
    if (this.#writing) return;
    this.#writing = true;
    while (this.#gathering !== undefined && this.#failure === undefined) {
      const group = this.#gathering;
      try {
        const writes = this.#collect();
        this.#gathering = undefined;
        this.#lastGroup = group.promise;
        await withinBound(this.#store.commit(writes, this.#fence.key));
        this.#writtenGroup = this.#groupNumber - 1;
        group.resolve();
      } catch (error) {
        const failure = error instanceof FencedOff ? this.#fence.takenOver() : storeFailed(error);
        this.fail(failure);
        group.reject(failure);
      }
    }
    this.#writing = false;
  }

  #collect(): readonly StoreWrite[] {
    const writes = this.#records;
    this.#records = [];
    const group = this.#groupNumber++;
    for (const source of this.#sources) source.collectWrites((key, value) => void writes.push({ key, value }), group);
    this.#sources.clear();
    return writes;
  }
}

function storeFailed(cause: unknown): GranuleError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new GranuleError('STORE_FAILED', `the event table could not be written: ${reason}`, {
    cause,
    remedy: 'free disk space or replace the disk, then run the same command again: what was reported is on disk',
  });
}

/** A disk that never answers is a disk that failed. */
async function withinBound(commit: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer from the disk within ${COMMIT_MS_MAX} ms`)), COMMIT_MS_MAX);
  });
  try {
    await Promise.race([commit, late]);
  } finally {
    clearTimeout(timer);
  }
}
