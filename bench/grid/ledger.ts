/**
 * What a grid knows of its events, apart from the dispatcher: who was given what, and what was accepted. Every step is
 * checked; a broken promise of the dispatcher is a failed assertion.
 */
import { crc32 } from 'node:zlib';
import { assert } from '../../core/assert.ts';
import type { UpdateOutcome } from '../../core/dispatcher-api.ts';

/** One life of a consumer, as far as the dispatcher can know of it. */
export interface Life {
  lastHeardMs: number;
}

const OUTCOME_CODES: Readonly<Record<UpdateOutcome, number>> = { accepted: 1, duplicate: 2, stale: 3 };

export class Ledger {
  readonly #attempts: Uint16Array;
  readonly #accepted: Uint16Array;
  readonly #failed: Uint16Array;
  /** who was given it last and has not said what became of it */
  readonly #holders: (Life | undefined)[];
  readonly #leaseMs: number;
  #digest = 0;
  readonly #line = Buffer.alloc(24);

  constructor(rangeCount: number, leaseMs: number) {
    this.#leaseMs = leaseMs;
    this.#attempts = new Uint16Array(rangeCount);
    this.#accepted = new Uint16Array(rangeCount);
    this.#failed = new Uint16Array(rangeCount);
    this.#holders = new Array<Life | undefined>(rangeCount).fill(undefined);
  }

  get digest(): string {
    return (this.#digest >>> 0).toString(16).padStart(8, '0');
  }

  noteGiven(rangeIndex: number, attemptNr: number, life: Life, nowMs: number): void {
    const holder = this.#holders[rangeIndex];
    const isHeld = holder !== undefined && nowMs - holder.lastHeardMs < this.#leaseMs;
    assert(!isHeld, `range ${rangeIndex} is held by one consumer at a time`);
    assert(attemptNr > (this.#attempts[rangeIndex] as number), `range ${rangeIndex} gets a new attempt number`);
    assert(this.#accepted[rangeIndex] === 0, `range ${rangeIndex} is not handed out once it is committed`);
    this.#attempts[rangeIndex] = attemptNr;
    this.#holders[rangeIndex] = life;
    this.#note(rangeIndex, attemptNr, nowMs);
  }

  noteAnswer(
    update: { readonly kind: 'finished' | 'failed'; readonly rangeIndex: number; readonly attemptNr: number },
    outcome: UpdateOutcome,
    nowMs: number,
  ): void {
    const { kind, rangeIndex, attemptNr } = update;
    const committed = this.#accepted[rangeIndex] === attemptNr;
    const latest = this.#attempts[rangeIndex] === attemptNr;
    const recorded = committed || (kind === 'failed' && latest && this.#failed[rangeIndex] === attemptNr);
    if (outcome === 'accepted') {
      assert(this.#accepted[rangeIndex] === 0, `range ${rangeIndex} is committed once`);
      assert(latest, `range ${rangeIndex} is committed by its latest attempt`);
      assert(this.#failed[rangeIndex] !== attemptNr, `range ${rangeIndex} has one outcome an attempt`);
      if (kind === 'finished') this.#accepted[rangeIndex] = attemptNr;
      else this.#failed[rangeIndex] = attemptNr;
      this.#holders[rangeIndex] = undefined;
    } else if (outcome === 'stale') assert(!recorded, `an echo for range ${rangeIndex} is not called stale`);
    this.#note(rangeIndex, attemptNr + 0x10000 * OUTCOME_CODES[outcome], nowMs);
  }

  isCommitted(rangeIndex: number): boolean {
    return this.#accepted[rangeIndex] !== 0;
  }

  countCommitted(): number {
    return this.#accepted.reduce((count, attemptNr) => count + (attemptNr === 0 ? 0 : 1), 0);
  }

  #note(rangeIndex: number, what: number, nowMs: number): void {
    this.#line.writeDoubleLE(rangeIndex, 0);
    this.#line.writeDoubleLE(what, 8);
    this.#line.writeDoubleLE(nowMs, 16);
    this.#digest = crc32(this.#line, this.#digest);
  }
}
