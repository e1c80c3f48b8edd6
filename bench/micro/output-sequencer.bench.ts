/** The output sequencer: from the begin of an event to its file in place, on the file system of temporary files. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WorkerFile } from '../../core/messages.ts';
import { OutputSequencer } from '../../runtime/worker/output-sequencer.ts';
import type { MicroSuite } from './micro-suite.ts';

const NO_HEADER = new Uint8Array(0);
/** Files are written again under the same names, so that the disk does not fill. */
const NAMES = 1024;

const FILE: WorkerFile = {
  fileIndex: 0,
  guid: '00000000-0000-8000-8000-000000000001',
  lfn: 'events.ndjson',
  format: 'ndjson',
  path: null,
  runSegments: [],
  runHeaders: null,
};

export const suite: MicroSuite = {
  name: 'output sequencer',
  async open() {
    const folder = mkdtempSync(join(tmpdir(), 'granule-micro-'));
    const aggregationFolder = join(folder, 'unmerged');
    mkdirSync(aggregationFolder);
    const sequencer = new OutputSequencer({
      outputs: { OUT: { format: 'bytes' } },
      folder,
      session: 'bench',
      aggregationFolder,
      rule: { at: 'EndEvent' },
      taskID: 1,
      jobID: 1,
      outputBytesMax: 1_000_000,
      processingTag: 'bench',
    });
    const record = new Uint8Array(1000);
    let next = 0;
    const run = (): void => {
      next = (next + 1) % NAMES;
      const position = next + 1;
      const token = {
        ...{ rangeIndex: next, attemptNr: 1, fileIndex: 0, startEvent: position, lastEvent: position, failures: 0 },
        ...{ offsetBytes: 0, lengthBytes: 1, cuts: null, frame: -1, failedEvents: null, suspect: false },
      };
      sequencer.beginRange(token, FILE, false);
      sequencer.beginEvent({ position, eventNumber: Number.NaN, runNumber: Number.NaN, runHeader: NO_HEADER });
      sequencer.write('OUT', record);
      sequencer.endEvent();
      sequencer.endRange(0);
      sequencer.takeComplete();
    };
    return {
      tasks: [{ name: 'one event, one file of 1 kB', count: 1, run }],
      close: async () => rmSync(folder, { recursive: true }),
    };
  },
};
