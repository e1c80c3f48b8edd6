/** The event index: look-ups in bulk (a range, a list, event numbers) and one by one, in a file of 10^5 events. */
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
    const path = join(folder, 'events.hepmc3');
    writeFileSync(path, hepmc3Text());
    const index = await EventIndex.open({ path: join(folder, 'index'), readOnly: false });
    const { record } = await indexPath(index, path, { acceptChange: false, checkCancelled: () => undefined });
    const positions = Float64Array.from({ length: EVENTS }, (_, lookup) => 1 + scattered(lookup));
    const numbers = Array.from(positions, (position): [number, number] => [0, position]);
    return {
      tasks: [
        {
          name: 'look up a range of 10^5 events',
          count: EVENTS,
          run: () => void index.lookupSpan(record.guid, 1, EVENTS),
        },
        {
          name: 'look up a list of 10^5 positions',
          count: EVENTS,
          run: () => void index.lookupPositions(record.guid, positions),
        },
        {
          name: 'look up 10^5 event numbers',
          count: EVENTS,
          run: () => void index.lookupEvents(numbers),
        },
        {
          name: 'look up single events',
          count: SINGLE_LOOKUPS,
          run: () => {
            for (let lookup = 0; lookup < SINGLE_LOOKUPS; lookup += 1) {
              index.lookupSpan(record.guid, 1 + scattered(lookup), 1);
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

/** 0 to EVENTS - 1 in an order without neighbours. */
function scattered(lookup: number): number {
  return (lookup * 7919) % EVENTS;
}

/** Empty events, numbered from 1. */
function hepmc3Text(): string {
  const events = Array.from({ length: EVENTS }, (_, event) => `E ${event + 1} 0 0\nU GEV MM\n`);
  return [
    'HepMC::Version 3.02.05\nHepMC::Asciiv3-START_EVENT_LISTING\n',
    ...events,
    'HepMC::Asciiv3-END_EVENT_LISTING\n',
  ].join('');
}
