import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { decodeFooter, TRAILER_BYTES } from '../../payloads/formats/gev-layout.ts';
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

describe('merged files', () => {
  it('are byte-identical for 1, 2 and 8 workers, and however outputs are cut', async () => {
    const one = await merged('one', { workers: 1 });
    expect(Object.keys(one)).toHaveLength(1);
    expect(await merged('two', { workers: 2 })).toEqual(one);
    expect(await merged('eight', { workers: 8 })).toEqual(one);
    expect(await merged('ranges', { workers: 3, eventsPerRange: 7 })).toEqual(one);
    expect(await merged('shared', { workers: 2, sequence: 'events:5' })).toEqual(one);
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
    const file = readdirSync(join(folder, 'described')).find((name) => name.endsWith('.gev')) ?? '';
    const bytes = readFileSync(join(folder, 'described', file));
    const footerBytes = bytes.readUInt32LE(bytes.length - TRAILER_BYTES);
    expect(decodeFooter(bytes.subarray(-footerBytes))?.info).toMatchObject({
      eventCount: 300,
      eventTypes: ['simulation'],
      processingTags: [expect.stringMatching(/^fastsim/)],
    });
  });
});
