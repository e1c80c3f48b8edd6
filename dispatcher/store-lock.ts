/**
 * One dispatcher per store. The lock is a record, taken by compare-and-set in a write transaction; it names its holder.
 * A holder on this host that is dead is replaced without asking. Of a holder elsewhere (another container or host)
 * nothing can be seen but that it renews its record: one that stopped doing so for `LOCK_STALE_MS` is taken for dead.
 *
 * Whoever takes the store from a holder that may live leaves a *fence* for it in the same transaction: from then on, no
 * commit of that holder writes anything. It sees so soon, and stops; until then it may still write merged files, so the
 * new holder lets it end before it begins.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import { GranuleError } from '../core/errors.ts';
import { LOCK_HANDOVER_MS, LOCK_STALE_MS } from '../core/limits.ts';
import { identifyProcess, isThisBoot, livenessOf, type ProcessIdentity } from './process-identity.ts';
import { packRecord, unpackRecord } from './record-codec.ts';
import { STORE_KEYS, type StoreKey, type StoreWrite, type TableStore } from './table-store.ts';

/** There is nothing that would tell of the end of a process that is not ours. */
const HANDOVER_LOOK_MS = 50;

export interface LockRecord {
  readonly holder: ProcessIdentity;
  /** of one taking of the lock: a process may hold, release and take it again */
  readonly token: string;
  readonly renewedMs: number;
}

function isFree(lock: LockRecord, nowMs: number): boolean {
  const liveness = livenessOf(lock.holder);
  return liveness === 'dead' || (liveness === 'unknown' && nowMs - lock.renewedMs > LOCK_STALE_MS);
}

function parseLock(bytes: Uint8Array | undefined): LockRecord | undefined {
  return bytes === undefined ? undefined : unpackRecord<LockRecord>(bytes);
}

export class StoreLock {
  readonly #store: TableStore;
  readonly #clock: Clock;
  readonly #token = randomUUID();
  readonly #holder = identifyProcess(process.pid);
  readonly #before: LockRecord | undefined;
  readonly #path: string;

  /** Throws `STORE_BUSY` naming host and pid while somebody else holds it, unless `force`. */
  constructor(store: TableStore, clock: Clock, options: { readonly path: string; readonly force: boolean }) {
    this.#store = store;
    this.#clock = clock;
    let present: LockRecord | undefined;
    const nowMs = clock.nowMs();
    const taken = store.compareAndSet(
      STORE_KEYS.lock,
      (bytes) => {
        present = parseLock(bytes);
        return present === undefined || options.force || isFree(present, nowMs);
      },
      this.#record(nowMs),
      () => fenceFor(present),
    );
    if (!taken && present !== undefined) throw busy(present, options.path, nowMs);
    this.#before = present;
    this.#path = options.path;
  }

  /** Of all commits of this holder. */
  get key(): StoreKey {
    return STORE_KEYS.fence(this.#token);
  }

  /** The holder before this one, if it died without giving the lock back. */
  get deadHolder(): ProcessIdentity | undefined {
    return this.#before?.holder;
  }

  /**
   * The record to be written so that others see this holder alive; throws `STORE_BUSY` when somebody has taken the
   * store over meanwhile.
   */
  renewal(): Uint8Array {
    this.checkHeld();
    return this.#record(this.#clock.nowMs());
  }

  /** Throws `STORE_BUSY` when somebody has taken the store over meanwhile. */
  checkHeld(): void {
    if (parseLock(this.#store.get(STORE_KEYS.lock))?.token !== this.#token) throw this.takenOver();
  }

  takenOver(): GranuleError {
    const present = parseLock(this.#store.get(STORE_KEYS.lock));
    const by = present === undefined ? 'nobody' : `process ${present.holder.pid} on ${present.holder.host}`;
    return new GranuleError('STORE_BUSY', `the store was taken over: its lock is held by ${by}`, {
      remedy: 'let one process at a time use the output folder; what is in the table is sound',
    });
  }

  /**
   * Resolves when the holder before this one has ended; where that cannot be seen, when it has had the time to.
   *
   * @throws STORE_BUSY when it has not ended in time
   */
  async predecessorEnded(): Promise<void> {
    const before = this.#before;
    if (before === undefined || before.holder.pid === process.pid) return;
    if (this.#clock.nowMs() - before.renewedMs > LOCK_STALE_MS) return;
    const endMs = this.#clock.monotonicMs() + LOCK_HANDOVER_MS;
    while (livenessOf(before.holder) !== 'dead') {
      if (this.#clock.monotonicMs() > endMs) break;
      await sleep(HANDOVER_LOOK_MS);
    }
    if (livenessOf(before.holder) === 'alive') throw busy(before, this.#path, this.#clock.nowMs());
  }

  release(): void {
    this.#replaceBy(undefined);
  }

  /** As {@link release}, but what the death of the holder before this one has left is still to be taken up. */
  giveBackToDead(): void {
    this.#replaceBy(this.#before === undefined ? undefined : packRecord(this.#before));
  }

  #replaceBy(value: Uint8Array | undefined): void {
    this.#store.compareAndSet(STORE_KEYS.lock, (bytes) => parseLock(bytes)?.token === this.#token, value);
  }

  #record(nowMs: number): Uint8Array {
    return packRecord({ holder: this.#holder, token: this.#token, renewedMs: nowMs } satisfies LockRecord);
  }
}

function busy(lock: LockRecord, path: string, nowMs: number): GranuleError {
  const { host, pid } = lock.holder;
  const silentSeconds = Math.max(0, Math.round((nowMs - lock.renewedMs) / 1000));
  const details = { host, pid, renewedSecondsAgo: silentSeconds };
  if (livenessOf(lock.holder) !== 'unknown') {
    return new GranuleError('STORE_BUSY', `${path} is in use by process ${pid} on host ${host}`, {
      details,
      remedy: `stop that process (kill ${pid}) or use another output folder`,
    });
  }
  const place = isThisBoot(lock.holder) ? `in another container of this machine (${host})` : `on host ${host}`;
  const freeInSeconds = Math.max(1, LOCK_STALE_MS / 1000 - silentSeconds);
  return new GranuleError('STORE_BUSY', `${path} is in use by process ${pid} ${place}`, {
    details: { ...details, freeInSeconds },
    remedy:
      `stop that process; if it is gone already, which cannot be seen from here, run the same command again in ` +
      `${freeInSeconds} s (its last sign of life was ${silentSeconds} s ago)`,
  });
}

/** For a holder that may write yet. One that is known to be dead needs none. */
function fenceFor(lock: LockRecord | undefined): readonly StoreWrite[] {
  if (lock === undefined || livenessOf(lock.holder) === 'dead') return [];
  return [{ key: STORE_KEYS.fence(lock.token), value: packRecord({ pid: process.pid }) }];
}

/** Who holds the store, if anybody does who is not known to be dead. */
export function lockHolder(store: TableStore, clock: Clock): ProcessIdentity | undefined {
  const lock = parseLock(store.get(STORE_KEYS.lock));
  return lock === undefined || isFree(lock, clock.nowMs()) ? undefined : lock.holder;
}
