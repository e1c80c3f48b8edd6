/** What a payload's hooks are told, and in which order: with one worker, in a whole run. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { EventContext, PayloadDefinition, PayloadEvent, WorkerContext } from '../../../payloads/payload.ts';
import { IncidentNotifier } from '../../../runtime/worker/incidents.ts';
import { RunFolder } from '../whole-run.ts';

const PAYLOAD = `let told = [];
const tell = (line) => { told.push(line); };
export default {
  name: 'listening', outputs: { OUT: { format: 'ndjson' } },
  initialize() { tell('initialize'); },
  beginInputFile({ lfn }) { tell('BeginInputFile ' + lfn); },
  endInputFile({ lfn }) { tell('EndInputFile ' + lfn); },
  nextEventRange(eventRangeID) { tell('NextEventRange ' + eventRangeID.split('-').slice(2, 4).join('-')); },
  beginEvent(event) { tell('BeginEvent ' + event.position); },
  endEvent(event) { tell('EndEvent ' + event.position); },
  execute(event, context) { tell('execute ' + event.position); context.output('OUT').write({}); },
  async finalize({ folder }) {
    tell('finalize');
    (await import('node:fs')).writeFileSync(folder + '/told.json', JSON.stringify(told));
  },
};`;

describe('the hooks of a payload', () => {
  let folder: RunFolder | undefined;
  afterEach(() => folder?.remove());

  it('are told of files, ranges and events in the order in which they come', async () => {
    folder = new RunFolder(PAYLOAD, 0);
    const other = join(folder.path, 'more.ndjson');
    writeFileSync(folder.inputPath, '{"n":1}\n{"n":2}\n{"n":3}\n');
    writeFileSync(other, '{"n":4}\n');
    const summary = await folder.run({ input: [folder.inputPath, other], workers: 1, eventsPerRange: 2 });
    expect(summary).toMatchObject({ ending: 'complete', events: { finished: 4 } });
    const told = JSON.parse(readFileSync(join(folder.outPath, '.granule/workers/worker_0/told.json'), 'utf8'));
    const event = (position: number): string[] =>
      ['BeginEvent', 'execute', 'EndEvent'].map((what) => `${what} ${position}`);
    expect(told).toEqual([
      'initialize',
      'BeginInputFile events.ndjson',
      'NextEventRange 1-1',
      ...event(1),
      ...event(2),
      'NextEventRange 1-3',
      ...event(3),
      'EndInputFile events.ndjson',
      'BeginInputFile more.ndjson',
      'NextEventRange 2-1',
      ...event(1),
      'EndInputFile more.ndjson',
      'finalize',
    ]);
  });

  it('are told of runs where the number changes, and not by events without one', () => {
    const told: string[] = [];
    const payload = {
      name: 'listening',
      outputs: {},
      execute: () => undefined,
      beginRun: (runNumber: number) => told.push(`BeginRun ${runNumber}`),
      endRun: (runNumber: number) => told.push(`EndRun ${runNumber}`),
    } as unknown as PayloadDefinition;
    const incidents = new IncidentNotifier(payload, {} as WorkerContext<unknown, unknown>);
    const context = {} as EventContext<unknown, unknown>;
    for (const runNumber of [1, 1, Number.NaN, 1, 2, 3]) {
      const event = { runNumber } as PayloadEvent;
      incidents.beginEvent(event, context);
      incidents.endEvent(event, context);
    }
    incidents.end();
    expect(told).toEqual(['BeginRun 1', 'EndRun 1', 'BeginRun 2', 'EndRun 2', 'BeginRun 3', 'EndRun 3']);
  });
});
