import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { afterEach, describe, expect, it } from 'vitest';
import { LONG_EVENT_MS } from '../../../core/limits.ts';
import { CodeOptimization } from '../../../runtime/pool/helper-threads.ts';

const CALLS = 3000;
/** Of V8's answer to `%GetOptimizationStatus`. */
const OPTIMIZED_BIT = 1 << 4;
const isPatientByItself = Number.parseInt(process.versions.v8, 10) >= 12;

describe.skipIf(isPatientByItself)('code between events', () => {
  const optimization = new CodeOptimization();
  afterEach(() => optimization.reset());

  it('is optimized at once where events are short, and later where they are long', async () => {
    setFlagsFromString('--allow-natives-syntax');
    const isOptimized = new Function('call', `return (%GetOptimizationStatus(call) & ${OPTIMIZED_BIT}) !== 0`) as (
      call: () => unknown,
    ) => boolean;
    setFlagsFromString('--no-allow-natives-syntax');

    optimization.noteExecutions(LONG_EVENT_MS);
    const patient = workBetweenEvents();
    for (let call = 0; call < CALLS; call += 1) patient();
    expect(isOptimized(patient)).toBe(false);

    optimization.noteExecutions(LONG_EVENT_MS / 2);
    const eager = workBetweenEvents();
    for (let call = 0; call < 1000 * CALLS && !isOptimized(eager); call += 1) {
      eager();
      // Optimized on another thread meanwhile.
      if (call % CALLS === 0) await setImmediate();
    }
    expect(isOptimized(eager)).toBe(true);
  });
});

/** A function of its own each time, of some hundred bytes of bytecode. */
function workBetweenEvents(): () => string {
  return new Function(`return () => { let text = ''; ${'text = (text + 1).slice(-8);'.repeat(20)} return text; }`)();
}
