/**
 * Everything the table knows about one range between its hand-outs, packed into one number: state, failures, losses and
 * attempt. 31 bits, so that V8 keeps it as a small integer and a chunk of them fits an `Int32Array`.
 *
 * Zero is a range as it was submitted: ready, never handed out, nothing charged. Such ranges are not stored.
 */
import { RANGE_STATE_NAMES, RANGE_STATES, type RangeState, type RangeStateNumber } from '../core/states.ts';

/** See {@link makeWord} for its parts. */
export type RangeWord = number;

export const SUBMITTED: RangeWord = 0;

/** Largest value of each part; the limits of a task must stay below the first two. */
export const FAILURES_MAX = 63;
export const LOSSES_MAX = 63;
export const ATTEMPT_NR_MAX = 32_767;

const FAILURES_SHIFT = 4;
const LOSSES_SHIFT = 10;
const ATTEMPT_SHIFT = 16;

/** Each part must be within its bound: nothing is checked here, this is the innermost loop. */
export function makeWord(state: RangeStateNumber, failures: number, losses: number, attemptNr: number): RangeWord {
  return state | (failures << FAILURES_SHIFT) | (losses << LOSSES_SHIFT) | (attemptNr << ATTEMPT_SHIFT);
}

export function stateOf(word: RangeWord): RangeStateNumber {
  return (word & 15) as RangeStateNumber;
}

export function failuresOf(word: RangeWord): number {
  return (word >> FAILURES_SHIFT) & FAILURES_MAX;
}

export function lossesOf(word: RangeWord): number {
  return (word >> LOSSES_SHIFT) & LOSSES_MAX;
}

/** Hand-outs so far. */
export function attemptOf(word: RangeWord): number {
  return word >> ATTEMPT_SHIFT;
}

export function stateNameOf(word: RangeWord): RangeState {
  return RANGE_STATE_NAMES[word & 15] ?? 'ready';
}

const HELD_STATES = (1 << RANGE_STATES.sent) | (1 << RANGE_STATES.running);

/** In the hands of a consumer. */
export function isHeld(word: RangeWord): boolean {
  return heldBit(word) === 1;
}

/** {@link isHeld} as a number, to be added: in a loop over ranges in random states a branch costs more than all else. */
export function heldBit(word: RangeWord): number {
  return (HELD_STATES >>> (word & 15)) & 1;
}

/** May be handed out. */
export function isOpen(word: RangeWord): boolean {
  const state = word & 15;
  return state === RANGE_STATES.ready || state === RANGE_STATES.failed || state === RANGE_STATES.corrupted;
}

/** Will not change unless the user or a merge asks for it: an output can go past it. */
export function isTerminal(word: RangeWord): boolean {
  return !isHeld(word) && !isOpen(word);
}

/** Terminal without outputs: a hole in the merged file. */
export function isMissing(word: RangeWord): boolean {
  const state = word & 15;
  return state === RANGE_STATES.fatal || state === RANGE_STATES.cancelled || state === RANGE_STATES.discarded;
}

/** Made, and not to be made again. */
export function isCommitted(word: RangeWord): boolean {
  return isFinished(word) || (word & 15) === RANGE_STATES.merged;
}

/** Its outputs are recorded and not merged yet. */
export function isFinished(word: RangeWord): boolean {
  const state = word & 15;
  return state === RANGE_STATES.finished || state === RANGE_STATES.done;
}
