/**
 * Payload of `granule bench start` and `kill`: leaves one line in a file for every execution, at its begin, whatever
 * becomes of it; then computes for a while.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { spinUnit } from '../../payloads/builtin/spin.ts';
import { definePayload } from '../../payloads/payload.ts';
import { boardTimeMs } from '../../runtime/board/board-clock.ts';
import type { LoggedEventsOptions } from './logged-events-options.ts';

let log = -1;

export default definePayload<LoggedEventsOptions>({
  name: 'logged-events',
  version: '1',
  outputs: { SUM: { format: 'ndjson' } },
  options: async () => (await import('./logged-events-options.ts')).schema,
  initialize(context) {
    log = openSync(context.options.log, 'a');
  },
  execute(event, context) {
    writeSync(log, `${event.position} ${context.workerIndex} ${boardTimeMs()}\n`);
    let sum = 0;
    for (let done = 0; done < context.options.units; done += 1) sum = (sum + spinUnit(context.seed + done)) >>> 0;
    context.output('SUM').write({ position: event.position, sum });
  },
  finalize: () => closeSync(log),
});
