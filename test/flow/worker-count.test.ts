import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { EventStreamInfo } from '../../payloads/formats/event-format.ts';
import { EMPTY_INFO } from '../../payloads/formats/event-stream-info.ts';
import {
  decodeFooter,
  encodeFooter,
  encodeHeader,
  encodeRecord,
  packValue,
  TRAILER_BYTES,
} from '../../payloads/formats/gev-layout.ts';
import { toyEventText, toyFooter, toyHeader } from '../../payloads/generator/toy-generator.ts';
import type { RunOptions } from '../../runtime/options/option-schema.ts';
import { runHere } from './run-here.ts';

const folder = mkdtempSync(join(tmpdir(), 'granule-count-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const settings = { seed: 5, energyGeV: 91.2, meanPrimaries: 6 };
const events = Array.from({ length: 300 }, (_, index) => toyEventText(settings, index + 1));
const input = join(folder, 'toy.hepmc3');
writeFileSync(input, toyHeader() + events.join('') + toyFooter());

/** Hash of every merged file, by name. */
async function merged(name: string, options: Partial<RunOptions>): Promise<Record<string, string>> {
  const out = join(folder, name);
  const summary = await runHere({ input, payload: 'fastsim', out, ...options });
  expect(summary.events).toMatchObject({ total: 300, finished: 300, failed: 0 });
  return Object.fromEntries(
    readdirSync(out)
      .filter((path) => !/^(manifest|report)\.json$|^PoolFileCatalog|^\.granule$/.test(path))
      .map((path) => [
        path,
        createHash('sha256')
          .update(readFileSync(join(out, path)))
          .digest('hex'),
      ]),
  );
}

/** Metadata of the merged gev file in this folder. */
function infoOf(name: string): EventStreamInfo | undefined {
  const file = readdirSync(join(folder, name)).find((path) => path.endsWith('.gev')) ?? '';
  const bytes = readFileSync(join(folder, name, file));
  const footerBytes = bytes.readUInt32LE(bytes.length - TRAILER_BYTES);
  return decodeFooter(bytes.subarray(-footerBytes))?.info;
}

describe('merged files', () => {
  it('are byte-identical for 1, 2 and 8 workers, and however outputs are cut', async () => {
    const one = await merged('one', { workers: 1 });
    expect(Object.keys(one)).toHaveLength(1);
    expect(await merged('two', { workers: 2 })).toEqual(one);
    expect(await merged('eight', { workers: 8 })).toEqual(one);
    expect(await merged('ranges', { workers: 3, eventsPerRange: 7 })).toEqual(one);
    expect(await merged('shared', { workers: 2, sequence: 'events:5' })).toEqual(one);
    expect(await merged('bytes', { workers: 2, sequence: 'bytes:20k' })).toEqual(one);
    expect(await merged('files', { workers: 2, sequence: 'EndInputFile' })).toEqual(one);
    expect(await merged('both', { workers: 2, eventsPerRange: 4, sequence: 'events:10' })).toEqual(one);
  });

  it('are cut every so many events, across input files, in order', async () => {
    const second = join(folder, 'second.hepmc3');
    writeFileSync(second, toyHeader() + events.slice(0, 50).join('') + toyFooter());
    const out = join(folder, 'cut');
    const summary = await runHere({ input: [input, second], payload: 'digest', out, workers: 2, eventsPerOutput: 120 });
    expect(summary.outputs.map(({ path, events: count }) => [path, count])).toEqual([
      ['cut.DIGEST.00001.ndjson', 120],
      ['cut.DIGEST.00002.ndjson', 120],
      ['cut.DIGEST.00003.ndjson', 110],
    ]);
    const lines = summary.outputs.flatMap(({ path }) => readFileSync(join(out, path), 'utf8').trimEnd().split('\n'));
    expect(lines.map((line) => JSON.parse(line).position)).toEqual([
      ...Array.from({ length: 300 }, (_, index) => index + 1),
      ...Array.from({ length: 50 }, (_, index) => index + 1),
    ]);
  });

  it('say what is in them: events, run numbers, event types, and what made them', async () => {
    await merged('described', { workers: 2 });
    expect(infoOf('described')).toMatchObject({
      eventCount: 300,
      eventTypes: ['simulation'],
      processingTags: [expect.stringMatching(/^fastsim/)],
    });
  });

  it('say for which runs what holds, as payloads say it event by event, and which runs were seen', async () => {
    const numbered = join(folder, 'numbered.gev');
    const records = Array.from({ length: 40 }, (_, index) =>
      encodeRecord(packValue({}), { position: index + 1, eventNumber: index + 1, runNumber: 100 + (index % 4) }),
    );
    const header = encodeHeader({ stream: 'RAW', maker: 'test', sourceFormat: 'ndjson' });
    const lengths = records.map(({ length }) => length);
    const footer = encodeFooter({ recordCount: 40, lastIndexOffset: 0, lengths, info: EMPTY_INFO });
    writeFileSync(numbered, Buffer.concat([header, ...records, footer]));
    const payload = join(folder, 'conditions.mjs');
    writeFileSync(
      payload,
      `export default {
        name: 'conditions', outputs: { REC: { format: 'gev' } },
        execute({ runNumber, position }, context) {
          const output = context.output('REC');
          output.write({ position });
          output.addIntervalOfValidity('field', runNumber, runNumber, runNumber < 102 ? 'on' : 'off');
          if (position === 7) output.addIntervalOfValidity('align', 90, 110, 'v3');
        },
      };`,
    );
    const cuts = {
      'runs-each': {},
      'runs-shared': { sequence: 'events:6' },
      'runs-ranges': { eventsPerRange: 5 },
    };
    for (const [name, cut] of Object.entries(cuts)) {
      await runHere({ input: numbered, payload, out: join(folder, name), workers: 2, ...cut });
      expect(infoOf(name)).toMatchObject({
        eventCount: 40,
        runNumbers: [100, 101, 102, 103],
        intervalsOfValidity: [
          { key: 'align', firstRun: 90, lastRun: 110, value: 'v3' },
          { key: 'field', firstRun: 100, lastRun: 101, value: 'on' },
          { key: 'field', firstRun: 102, lastRun: 103, value: 'off' },
        ],
      });
    }
  });
});
