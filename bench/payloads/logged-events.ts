/**
 * Payload of `granule bench start` and `kill`: leaves one line in a file for every execution, at its begin, whatever
 * becomes of it; then computes for a while.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import * as z from 'zod';
import { spinUnit } from '../../payloads/builtin/spin.ts';
import { definePayload } from '../../payloads/payload.ts';
import { boardTimeMs } from '../../runtime/execution-board.ts';

const schema = z.strictObject({
  /** where the lines go */
  log: z.string(),
  /** units of CPU work per event, see `spinUnit` */
  units: z.number().int().min(0),
});

let log = -1;

export default definePayload<z.output<typeof schema>>({
  name: 'logged-events',
  version: '1',
  outputs: { SUM: { format: 'ndjson' } },
  options: schema,
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
