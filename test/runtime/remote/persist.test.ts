/** Single requests tried again: which failures, how often, how long. */
import { describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../../core/clock.ts';
import { GranuleError } from '../../../core/errors.ts';
import { persist } from '../../../runtime/remote/persist.ts';
import { never } from './remote-fixtures.ts';

const TIMING = { patienceMs: 60_000, backoffBaseMs: 0.01, backoffMaxMs: 0.1 };

function unreachable(permanent = false): GranuleError {
  return new GranuleError('SOURCE_UNREACHABLE', 'not now', { details: { permanent } });
}

/** Fails so often, then succeeds. */
function failing(times: number, error: unknown): { readonly action: () => Promise<string>; calls: number } {
  const tried = {
    calls: 0,
    action: async (): Promise<string> => {
      tried.calls += 1;
      if (tried.calls <= times) throw error;
      return 'done';
    },
  };
  return tried;
}

describe('persist', () => {
  it('tries again while a server cannot be reached', async () => {
    const tried = failing(20, unreachable());
    expect(await persist(tried.action, TIMING, systemClock, never)).toBe('done');
    expect(tried.calls).toBe(21);
  });

  it.each([
    ['for good', unreachable(true)],
    ['with an answer', new GranuleError('SOURCE_REFUSED', 'no')],
    ['by a mistake of ours', new TypeError('x')],
  ])('gives up at once what fails %s', async (_, error) => {
    const tried = failing(1, error);
    await expect(persist(tried.action, TIMING, systemClock, never)).rejects.toBe(error);
    expect(tried.calls).toBe(1);
  });

  it('gives up when its patience ends, with the last reason', async () => {
    let nowMs = 0;
    const clock: Clock = { nowMs: () => nowMs, monotonicMs: () => nowMs };
    const error = unreachable();
    const tried = failing(Number.POSITIVE_INFINITY, error);
    const action = (): Promise<string> => {
      nowMs += 10_000;
      return tried.action();
    };
    await expect(persist(action, TIMING, clock, never)).rejects.toBe(error);
    expect(tried.calls).toBeGreaterThan(3);
    expect(tried.calls).toBeLessThan(10);
  });

  it('stops when it is told to', async () => {
    const abort = new AbortController();
    const tried = failing(Number.POSITIVE_INFINITY, unreachable());
    const action = (): Promise<string> => {
      if (tried.calls === 2) abort.abort(new Error('enough'));
      return tried.action();
    };
    await expect(persist(action, TIMING, systemClock, abort.signal)).rejects.toThrow('enough');
  });
});
