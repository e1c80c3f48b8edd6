import { describe, expect, it } from 'vitest';
import { EXIT } from '../../../core/errors.ts';
import { untilSignal } from '../../../runtime/cli/stop-signals.ts';

/** Waits for the signal, as what is given up does. */
function working(signal: 'SIGINT' | 'SIGUSR1'): Promise<number> {
  return untilSignal('nothing was done', ({ drain }) => {
    const work = new Promise<never>((_, reject) => {
      drain.addEventListener('abort', () => reject(drain.reason), { once: true });
    });
    process.emit(signal);
    return work;
  });
}

describe('work that a signal ends', () => {
  it('exits with 130 after Ctrl-C, and with 75 after any other signal', async () => {
    expect(await working('SIGINT')).toBe(EXIT.interrupted);
    const stoppedEarly = { code: 'STOPPED_EARLY', message: 'told to stop: nothing was done' };
    await expect(working('SIGUSR1')).rejects.toMatchObject(stoppedEarly);
  });

  it('fails as it would have without one, and leaves no listener behind', async () => {
    const before = process.listenerCount('SIGUSR1');
    await expect(untilSignal('', () => Promise.reject(new Error('of its own')))).rejects.toThrow('of its own');
    expect(await untilSignal('', () => Promise.resolve(EXIT.someFailed))).toBe(EXIT.someFailed);
    expect(process.listenerCount('SIGUSR1')).toBe(before);
  });
});
