/** The event index: look-ups of places, in bulk and one by one, in a file of 10^5 events. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EventIndex } from '../../runtime/indexing/event-index.ts';
import { indexPath } from '../../runtime/indexing/keep-index.ts';
import type { MicroSuite } from './micro-suite.ts';

const EVENTS = 100_000;
const SINGLE_LOOKUPS = 100;

export const suite: MicroSuite = {
  name: 'event index',
  async open() {
    const folder = mkdtempSync(join(tmpdir(), 'granule-micro-'));
    const path = join(folder, 'events.ndjson');
    writeFileSync(path, Array.from({ length: EVENTS }, (_, event) => `{"event":${event}}\n`).join(''));
    const index = await EventIndex.open({ path: join(folder, 'index'), readOnly: false });
    const { record } = await indexPath(index, path, { acceptChange: false, checkCancelled: () => undefined });
    return {
      tasks: [
        {
          name: 'look up 10^5 events at once',
          count: EVENTS,
          run: () => void index.lookupSpan(record.guid, 1, EVENTS),
        },
        {
          name: 'look up single events',
          count: SINGLE_LOOKUPS,
          run: () => {
            for (let lookup = 0; lookup < SINGLE_LOOKUPS; lookup += 1) {
              index.lookupSpan(record.guid, 1 + ((lookup * 7919) % EVENTS), 1);
            }
          },
        },
      ],
      async close() {
        await index.close();
        rmSync(folder, { recursive: true });
      },
    };
  },
};
