/** The whole flow on real event files made by others: looked up in $GRANULE_TEST_DATA, else ../shared/data. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunSummary } from '../../runtime/run/run-summary.ts';
import { runHere } from './run-here.ts';

const DATA = process.env['GRANULE_TEST_DATA'] ?? join(import.meta.dirname, '../../../shared/data');
const FILES = ['hepmc', 'lhe']
  .map((folder) => join(DATA, folder))
  .filter((folder) => existsSync(folder))
  .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
  .filter((path) => basename(path) !== 'broken.dat');
/** as the data's README lists them */
const EVENTS = /-(\d+)(?:-|\.)/;

interface Digest {
  readonly guid: string;
  readonly lfn: string;
  readonly position: number;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** Cuts a file into events by lines, without any of granule's code. */
function cutIndependently(path: string): Buffer[] {
  const bytes = path.endsWith('.gz') ? gunzipSync(readFileSync(path)) : readFileSync(path);
  const lines = bytes.toString('latin1').split(/(?<=\n)/);
  const isLhe = lines.some((line) => line.startsWith('<LesHouchesEvents'));
  const events: string[] = [];
  let current: string | undefined;
  for (const line of lines) {
    if (isLhe ? /^\s*<event[\s>]/.test(line) : line.startsWith('E ')) {
      if (current !== undefined) events.push(current);
      current = '';
    } else if (!isLhe && line.startsWith('HepMC::')) {
      if (current !== undefined) events.push(current);
      current = undefined;
    }
    if (current !== undefined) current += line;
    if (isLhe && /^\s*<\/event>/.test(line) && current !== undefined) {
      events.push(current);
      current = undefined;
    }
  }
  return events.map((event) => Buffer.from(event, 'latin1'));
}

const folder = mkdtempSync(join(tmpdir(), 'granule-real-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(FILES.length === 0)(`digests of real files (skipped without ${DATA})`, () => {
  let summary: RunSummary;
  beforeAll(async () => {
    summary = await runHere({ input: [...FILES], payload: 'digest', out: join(folder, 'out'), workers: 2 });
  });

  it('end complete', () => {
    expect(summary).toMatchObject({ ending: 'complete', exitCode: 0, events: { failed: 0, left: 0 } });
  });

  it.each(FILES.map((path) => [basename(path), path]))(
    '%s: every event, in order, with the right bytes',
    (lfn, path) => {
      const digests = readFileSync(join(folder, 'out', `${lfn}.DIGEST.ndjson`), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Digest);
      const events = cutIndependently(path);
      const listed = EVENTS.exec(lfn)?.[1];
      if (listed !== undefined) expect(digests.length).toBe(Number(listed));
      expect(digests.map(({ position }) => position)).toEqual(events.map((_, index) => index + 1));
      expect(digests.map(({ sha256 }) => sha256)).toEqual(
        events.map((event) => createHash('sha256').update(event).digest('hex')),
      );
      expect(digests.map(({ sizeBytes }) => sizeBytes)).toEqual(events.map((event) => event.length));
      for (const digest of digests) {
        expect(Object.keys(digest).sort()).toEqual(['guid', 'lfn', 'position', 'sha256', 'sizeBytes']);
        expect(digest.lfn).toBe(lfn);
      }
    },
  );
});
