import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RANGE_STATE_NAMES, RANGE_STATES, type RangeState } from '../../core/states.ts';
import {
  ATTEMPT_NR_MAX,
  attemptOf,
  FAILURES_MAX,
  failuresOf,
  isHeld,
  isMissing,
  isOpen,
  isTerminal,
  LOSSES_MAX,
  lossesOf,
  makeWord,
  stateNameOf,
  stateOf,
} from '../../dispatcher/range-word.ts';
import { RANGE_ACTIONS, type RangeAction, REFUSALS, TRANSITIONS, transition } from '../../dispatcher/transitions.ts';

const LIMITS = { failuresMax: 3, lossesMax: 10 };
const ACTIONS = Object.keys(RANGE_ACTIONS) as RangeAction[];

const states = fc.constantFrom(...RANGE_STATE_NAMES);
const words = fc.record({
  state: states,
  failures: fc.nat(FAILURES_MAX),
  losses: fc.nat(LOSSES_MAX),
  attempt: fc.nat(ATTEMPT_NR_MAX),
});

describe('a range word', () => {
  it('gives back each of its parts, and is a small integer', () => {
    fc.assert(
      fc.property(words, ({ state, failures, losses, attempt }) => {
        const word = makeWord(RANGE_STATES[state], failures, losses, attempt);
        expect([stateNameOf(word), failuresOf(word), lossesOf(word), attemptOf(word)]).toEqual([
          state,
          failures,
          losses,
          attempt,
        ]);
        expect(word).toBe(word | 0);
        expect(word).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('is open, held or terminal, and one of them only', () => {
    for (const state of RANGE_STATE_NAMES) {
      const word = makeWord(RANGE_STATES[state], 0, 0, 1);
      expect([isOpen(word), isHeld(word), isTerminal(word)].filter(Boolean)).toHaveLength(1);
      if (isMissing(word)) expect(isTerminal(word)).toBe(true);
    }
  });
});

describe('the rule book', () => {
  it('answers every action in every state', () => {
    for (const action of ACTIONS) {
      for (const state of RANGE_STATE_NAMES) {
        const outcome = TRANSITIONS[action][state];
        const after = transition(makeWord(RANGE_STATES[state], 0, 0, 1), RANGE_ACTIONS[action], 1, LIMITS);
        if (outcome in REFUSALS) expect(after).toBe(REFUSALS[outcome as keyof typeof REFUSALS]);
        else expect(stateNameOf(after)).toBe(outcome as RangeState);
      }
    }
  });

  it('raises the attempt at a hand-out and nowhere else, and never lowers it', () => {
    fc.assert(
      fc.property(words, fc.constantFrom(...ACTIONS), ({ state, failures, losses, attempt }, action) => {
        const word = makeWord(RANGE_STATES[state], failures, losses, attempt);
        const after = transition(word, RANGE_ACTIONS[action], attempt, LIMITS);
        if (after >= 0) expect(attemptOf(after)).toBe(attempt + (action === 'send' ? 1 : 0));
      }),
    );
  });

  it('refuses as stale whatever speaks of another attempt', () => {
    fc.assert(
      fc.property(
        words,
        fc.constantFrom('start', 'finish', 'fail', 'release'),
        fc.nat(ATTEMPT_NR_MAX),
        ({ state, failures, losses, attempt }, action, spoken) => {
          fc.pre(spoken !== attempt);
          const word = makeWord(RANGE_STATES[state], failures, losses, attempt);
          expect(transition(word, RANGE_ACTIONS[action], spoken, LIMITS)).toBe(REFUSALS.stale);
        },
      ),
    );
  });

  it('charges failures and losses apart, and nothing for a release', () => {
    const sent = makeWord(RANGE_STATES.sent, 1, 2, 4);
    const outcome = (action: RangeAction): string => {
      const word = transition(sent, RANGE_ACTIONS[action], 4, LIMITS);
      return `${stateNameOf(word)} ${failuresOf(word)} ${lossesOf(word)}`;
    };
    expect(outcome('fail')).toBe('failed 2 2');
    expect(outcome('expire')).toBe('ready 1 3');
    expect(outcome('release')).toBe('ready 1 2');
  });

  it('makes the failure, or the loss, at the limit fatal, and a retry forgets both', () => {
    const fail = transition(makeWord(RANGE_STATES.running, 2, 0, 3), RANGE_ACTIONS.fail, 3, LIMITS);
    expect(stateOf(fail)).toBe(RANGE_STATES.fatal);
    const lost = transition(makeWord(RANGE_STATES.sent, 0, 9, 3), RANGE_ACTIONS.expire, 0, LIMITS);
    expect(stateOf(lost)).toBe(RANGE_STATES.fatal);
    const again = transition(lost, RANGE_ACTIONS.retry, 0, LIMITS);
    expect([stateNameOf(again), failuresOf(again), lossesOf(again), attemptOf(again)]).toEqual(['ready', 0, 0, 3]);
  });

  it('leaves nothing open that could not be handed out for want of attempt numbers', () => {
    fc.assert(
      fc.property(words, fc.constantFrom(...ACTIONS), ({ state, failures, losses }, action) => {
        fc.pre(!['ready', 'failed', 'corrupted'].includes(state));
        const word = makeWord(RANGE_STATES[state], failures, losses, ATTEMPT_NR_MAX);
        const after = transition(word, RANGE_ACTIONS[action], ATTEMPT_NR_MAX, LIMITS);
        if (after >= 0) expect(isOpen(after)).toBe(false);
      }),
    );
  });
});
