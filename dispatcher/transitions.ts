/**
 * The life of an event range as one pure function. The table below answers every pair of action and state; nothing
 * else in granule changes a range.
 *
 * ```
 *            send            finish            merge
 *   ready ─────────▶ sent ─────────▶ finished ─────────▶ merged
 *     ▲  ◀─────────   │ ▲               │  damage
 *     │    release    │ └──── send ──── ├──────────▶ corrupted
 *     │    expire     │                 │  discard
 *     │               │ fail            └──────────▶ discarded      (merged ── unmerge ─▶ corrupted)
 *     │ retry         ▼
 *     └──────────  failed / fatal         cancel: every open or held range ─▶ cancelled
 * ```
 */
import { RANGE_STATES, type RangeState, type RangeStateNumber } from '../core/states.ts';
import { ATTEMPT_NR_MAX, attemptOf, failuresOf, lossesOf, makeWord, type RangeWord } from './range-word.ts';

/** What can be done to a range. (`submit` makes it: a range is submitted once, and its word is then `SUBMITTED`.) */
export const RANGE_ACTIONS = {
  /** handed out: the attempt number grows here and nowhere else */
  send: 0,
  /** its consumer says that a worker has begun to execute it */
  start: 1,
  /** its consumer says that its outputs are at the aggregation point */
  finish: 2,
  /** its consumer says that the execution ended badly: charged as a failure */
  fail: 3,
  /** given back by its consumer, or found in the hands of a program that died as a whole: charges nothing */
  release: 4,
  /** its consumer went away while the dispatcher lived: charged as a loss */
  expire: 5,
  /** given up by the user before it finished */
  cancel: 6,
  /** the user wants it tried again: both counters start anew */
  retry: 7,
  /** its outputs are durably in the merged file */
  merge: 8,
  /** the merge found its outputs missing or altered */
  damage: 9,
  /** the merge found its outputs missing or altered once too often */
  abandon: 10,
  /** its outputs are no longer wanted */
  discard: 11,
  /** the merged file it was in is gone */
  unmerge: 12,
  /** the whole program died with it again and again, although it ran alone */
  quarantine: 13,
} as const;

export type RangeAction = keyof typeof RANGE_ACTIONS;
export type RangeActionNumber = (typeof RANGE_ACTIONS)[RangeAction];

/**
 * Answers below zero: nothing changed.
 * - `duplicate`: the range has been through this already
 * - `stale`: a later attempt exists, or the range is no longer open
 * - `refused`: the action has no meaning in this state
 */
export const REFUSALS = { duplicate: -1, stale: -2, refused: -3 } as const;
export type Refusal = keyof typeof REFUSALS;

export interface ChargeLimits {
  /** the failure with this number is fatal */
  readonly failuresMax: number;
  /** the loss with this number is fatal */
  readonly lossesMax: number;
}

type Row = Readonly<Record<RangeState, RangeState | Refusal>>;

/** For each action what becomes of each state, before limits are looked at. */
export const TRANSITIONS = {
  send: row('refused', { ready: 'sent', failed: 'sent', corrupted: 'sent' }),
  start: row('stale', {
    sent: 'running',
    running: 'duplicate',
    finished: 'duplicate',
    done: 'duplicate',
    merged: 'duplicate',
  }),
  finish: row('stale', {
    sent: 'finished',
    running: 'finished',
    finished: 'duplicate',
    done: 'duplicate',
    merged: 'duplicate',
  }),
  // After `finished` a failure of the same attempt is an echo: were it answered `stale`, its sender would remove the
  // very files that the table has recorded.
  fail: row('stale', {
    sent: 'failed',
    running: 'failed',
    failed: 'duplicate',
    fatal: 'duplicate',
    finished: 'duplicate',
    done: 'duplicate',
    merged: 'duplicate',
  }),
  release: row('stale', { sent: 'ready', running: 'ready' }),
  expire: row('refused', { sent: 'ready', running: 'ready' }),
  cancel: row('refused', {
    ready: 'cancelled',
    sent: 'cancelled',
    running: 'cancelled',
    failed: 'cancelled',
    corrupted: 'cancelled',
  }),
  retry: row('refused', { failed: 'ready', fatal: 'ready', cancelled: 'ready', discarded: 'ready' }),
  merge: row('refused', { finished: 'merged', done: 'merged' }),
  damage: row('refused', { finished: 'corrupted', done: 'corrupted' }),
  abandon: row('refused', { finished: 'fatal', done: 'fatal' }),
  discard: row('refused', { finished: 'discarded', done: 'discarded' }),
  unmerge: row('refused', { merged: 'corrupted' }),
  quarantine: row('refused', { ready: 'fatal', sent: 'fatal', running: 'fatal', failed: 'fatal', corrupted: 'fatal' }),
} as const satisfies Record<RangeAction, Row>;

/** A row that answers `otherwise` except where told. */
function row(otherwise: Refusal, changes: Partial<Row>): Row {
  const states = Object.keys(RANGE_STATES) as RangeState[];
  return Object.fromEntries(states.map((state) => [state, changes[state] ?? otherwise])) as Row;
}

const STATE_COUNT = 16;

/** {@link TRANSITIONS} flattened to `action * 16 + state`, for the inner loop. */
const FLAT = Int8Array.from({ length: Object.keys(RANGE_ACTIONS).length * STATE_COUNT }, () => REFUSALS.refused);
for (const [action, number] of Object.entries(RANGE_ACTIONS)) {
  for (const [state, outcome] of Object.entries(TRANSITIONS[action as RangeAction])) {
    FLAT[number * STATE_COUNT + RANGE_STATES[state as RangeState]] =
      outcome in REFUSALS ? REFUSALS[outcome as Refusal] : RANGE_STATES[outcome as RangeState];
  }
}

const { ready, sent, failed, fatal, corrupted } = RANGE_STATES;

/**
 * The word after `action`, or a refusal (below zero). Pure; the only rule book.
 *
 * @param attemptNr the attempt an update speaks of; `start`, `finish`, `fail` and `release` of any but the latest
 * attempt are stale. Other actions ignore it.
 */
export function transition(
  word: RangeWord,
  action: RangeActionNumber,
  attemptNr: number,
  limits: ChargeLimits,
): RangeWord | number {
  if (action >= RANGE_ACTIONS.start && action <= RANGE_ACTIONS.release && attemptNr !== attemptOf(word)) {
    return REFUSALS.stale;
  }
  const to = FLAT[action * STATE_COUNT + (word & 15)] as RangeStateNumber | -1 | -2 | -3;
  if (to < 0) return to;
  let state = to as RangeStateNumber;
  let failures = failuresOf(word);
  let losses = lossesOf(word);
  let attempts = attemptOf(word);
  switch (action) {
    case RANGE_ACTIONS.send:
      attempts += 1;
      break;
    case RANGE_ACTIONS.fail:
      failures += 1;
      if (failures >= limits.failuresMax) state = fatal;
      break;
    case RANGE_ACTIONS.expire:
      losses += 1;
      if (losses >= limits.lossesMax) state = fatal;
      break;
    case RANGE_ACTIONS.retry:
      failures = 0;
      losses = 0;
      if (attempts === ATTEMPT_NR_MAX) return REFUSALS.refused;
      break;
  }
  // No room for another attempt: so that whatever is ready can be handed out.
  if (attempts === ATTEMPT_NR_MAX && (state === ready || state === failed || state === corrupted)) state = fatal;
  if (state === sent && attempts > ATTEMPT_NR_MAX) return REFUSALS.refused;
  return makeWord(state, failures, losses, attempts);
}
