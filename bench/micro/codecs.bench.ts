/** Codecs: finding and decoding events of the input formats, writing and taking apart single-event files. */
import { ndjsonInput } from '../../payloads/formats/ndjson.ts';
import { inputFormat, outputFormat } from '../../payloads/formats/registry.ts';
import { toyEventText, toyFooter, toyHeader } from '../../payloads/generator/toy-generator.ts';
import { type MicroTask, plainSuite } from './micro-suite.ts';

const EVENTS = 200;
const NO_HEADER = new Uint8Array(0);
const SINK = { event: () => undefined, runSegment: () => undefined };

function hepmcFile(): { readonly file: Buffer; readonly events: readonly Buffer[] } {
  const settings = { seed: 1, energyGeV: 91.1876, meanPrimaries: 10 };
  const events = Array.from({ length: EVENTS }, (_, index) => Buffer.from(toyEventText(settings, index + 1)));
  return { file: Buffer.concat([Buffer.from(toyHeader()), ...events, Buffer.from(toyFooter())]), events };
}

export const suite = plainSuite('codecs', () => {
  const { file, events } = hepmcFile();
  const hepmc3 = inputFormat('hepmc3');
  const lines = Buffer.from(Array.from({ length: EVENTS }, (_, event) => `${JSON.stringify({ event })}\n`).join(''));
  const tasks: MicroTask[] = [
    {
      name: 'find events of HepMC3',
      count: EVENTS,
      run: () => {
        const indexer = hepmc3.createIndexer(SINK);
        indexer.push(file);
        indexer.end();
      },
    },
    {
      name: 'decode events of HepMC3',
      count: EVENTS,
      run: () => {
        for (const event of events) hepmc3.decode(event, NO_HEADER);
      },
    },
    {
      name: 'find events of NDJSON',
      count: EVENTS,
      run: () => {
        const indexer = ndjsonInput.createIndexer(SINK);
        indexer.push(lines);
        indexer.end();
      },
    },
    ...(['gev', 'ndjson'] as const).map((name) => outputTask(name)),
  ];
  return tasks;
});

/** A single-event file of about 1 kB, written and taken apart. */
function outputTask(name: 'gev' | 'ndjson'): MicroTask {
  const format = outputFormat(name);
  const value = { hits: Array.from({ length: 200 }, (_, index) => (index * 37) % 997) };
  const info = { eventCount: 1, runNumbers: [1], eventTypes: [], processingTags: ['bench'], intervalsOfValidity: [] };
  return {
    name: `write and split ${name}`,
    count: 1,
    run: () => {
      const place = { position: 1, eventNumber: 1, runNumber: 1 };
      const header = format.begin({ stream: 'OUT', runHeader: NO_HEADER, inputFormat: 'hepmc3' });
      format.split(Buffer.concat([header, format.encode(value, place), format.end(info)]));
    },
  };
}
