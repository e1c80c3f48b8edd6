/**
 * What a dispatcher does without being asked: sees whose lease has ended, takes back what silent consumers held, and shows
 * that it lives.
 *
 * States: *idle* → *running* ({@link start}) → *stopped*. Simulations never start it and call {@link look} by hand.
 */
import { GranuleError, isGranuleError } from '../core/errors.ts';
import { LEASE_CHECKS, LOCK_CHECK_MS, LOCK_RENEW_MS } from '../core/limits.ts';
import type { DispatcherCore } from './dispatcher-core.ts';
import type { LeaseDesk } from './lease-desk.ts';
import type { StoreLock } from './store-lock.ts';
import { STORE_KEYS } from './table-store.ts';

export class DispatcherWatch {
  readonly #core: DispatcherCore;
  readonly #lock: StoreLock;
  #timer: NodeJS.Timeout | undefined;
  #lockRenewedMs: number;
  #looking = false;
  #stopped = false;

  constructor(core: DispatcherCore, lock: StoreLock) {
    this.#core = core;
    this.#lock = lock;
    this.#lockRenewedMs = core.clock.monotonicMs();
  }

  /** @param tick one {@link look}; what it throws ends the dispatcher */
  start(leaseMs: number, tick: () => boolean): void {
    const everyMs = Math.max(1, Math.min(LOCK_CHECK_MS, leaseMs / LEASE_CHECKS));
    this.#timer = setInterval(() => void this.#lookToEnd(tick), everyMs).unref();
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  /** A few ms of work at most; true when there is more to do at once. */
  look(leases: LeaseDesk): boolean {
    this.#lock.checkHeld();
    const now = this.#core.clock.monotonicMs();
    if (now - this.#lockRenewedMs >= LOCK_RENEW_MS) {
      this.#lockRenewedMs = now;
      this.#core.commit.write(STORE_KEYS.lock, this.#lock.renewal());
    }
    return leases.checkLeases();
  }

  async #lookToEnd(tick: () => boolean): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      // A slice, its group, and what came meanwhile; then the next slice: others never wait for more than one.
      while (!this.#stopped && tick()) await this.#core.betweenSlices();
    } catch (error) {
      this.#core.commit.fail(isGranuleError(error) ? error : broken(error));
    } finally {
      this.#looking = false;
    }
  }
}

function broken(cause: unknown): GranuleError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new GranuleError('INTERNAL', `the dispatcher stopped: ${reason}`, { cause });
}
