/**
 * Keeps V8's helper threads from the cores. There is a worker on every core, and whatever helpers do in the background
 * they do in turns with one. On the main thread; V8's flags hold for the whole process.
 */
// Not the global one: a payload may remove that.
import process from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { CODE_EXECUTED_BYTES, CODE_EXECUTED_BYTES_LONG_EVENTS, LONG_EVENT_MS } from '../../core/limits.ts';

/** Before other threads are started. Twice is harmless. */
export function collectWithoutHelpers(): void {
  // Young garbage of a thread is collected by that thread alone: a tenth of all CPU time in runs of very short events.
  setFlagsFromString('--no-parallel-scavenge');
  // No full collection merely because a thread has allocated little of late, as all do where events take long.
  setFlagsFromString('--no-memory-reducer');
}

/**
 * When V8 optimizes what runs between events. It does so after some tens of calls of a large function, which soon pays where
 * events are short. Where they are long, the same few hundred functions of each thread would all be optimized in the
 * first minute, for a gain that is worth it after some ten thousand events: they wait until they were called that often.
 *
 * States: *eager* (V8's own rule, and before anything was measured) ⇄ *patient*. From V8 12 on (Node 22) V8 is patient by
 * itself.
 */
export class CodeOptimization {
  #isPatient = false;

  /** @param meanMs mean time in `execute` per range of late; 0 before the first */
  noteExecutions(meanMs: number): void {
    this.#setPatient(meanMs >= LONG_EVENT_MS);
  }

  /** Back to V8's own rule. */
  reset(): void {
    this.#setPatient(false);
  }

  #setPatient(isPatient: boolean): void {
    if (isPatient === this.#isPatient || !HAS_INTERRUPT_BUDGET) return;
    this.#isPatient = isPatient;
    setFlagsFromString(`--interrupt-budget=${isPatient ? CODE_EXECUTED_BYTES_LONG_EVENTS : CODE_EXECUTED_BYTES}`);
  }
}

const HAS_INTERRUPT_BUDGET = Number.parseInt(process.versions.v8, 10) < 12;
