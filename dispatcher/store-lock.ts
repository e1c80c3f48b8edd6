/**
 * One dispatcher per store. The lock is a record, taken by compare-and-set in a write transaction; it names its holder.
 * A holder on this host that is dead is replaced without asking. Of a holder elsewhere (another container or host)
 * nothing can be seen but that it renews its record: one that stopped doing so for `LOCK_STALE_MS` is taken for dead.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { GranuleError } from '../core/errors.ts';
import { LOCK_STALE_MS } from '../core/limits.ts';
import { identifyProcess, isThisBoot, livenessOf, type ProcessIdentity } from './process-identity.ts';
import { packRecord, unpackRecord } from './record-codec.ts';
import { STORE_KEYS, type TableStore } from './table-store.ts';

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
    );
    if (!taken && present !== undefined) throw busy(present, options.path, nowMs);
    this.#before = present;
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
    const present = parseLock(this.#store.get(STORE_KEYS.lock));
    if (present?.token === this.#token) return this.#record(this.#clock.nowMs());
    const by = present === undefined ? 'nobody' : `process ${present.holder.pid} on ${present.holder.host}`;
    throw new GranuleError('STORE_BUSY', `the store was taken over: its lock is held by ${by}`, {
      remedy: 'let one dispatcher at a time use the store; do not use --force while another one runs',
    });
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
      `${freeInSeconds} s (its last sign of life was ${silentSeconds} s ago), or use --force`,
  });
}

/** Who holds the store, if anybody does who is not known to be dead. */
export function lockHolder(store: TableStore, clock: Clock): ProcessIdentity | undefined {
  const lock = parseLock(store.get(STORE_KEYS.lock));
  return lock === undefined || isFree(lock, clock.nowMs()) ? undefined : lock.holder;
}
