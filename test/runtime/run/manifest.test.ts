import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { TaskFile } from '../../../core/dispatcher-api.ts';
import { parseGuid } from '../../../core/ids.ts';
import { MANIFEST_FAILED_EVENTS_MAX, MANIFEST_INTERVALS_MAX } from '../../../core/limits.ts';
import {
  buildManifest,
  EventListBuilder,
  type ManifestFacts,
  type ManifestFailedEvent,
  writeManifest,
} from '../../../runtime/run/manifest.ts';

const file = (fileIndex: number): TaskFile => ({
  fileIndex,
  guid: parseGuid(`0000000${fileIndex}-0000-8000-8000-000000000000`),
  lfn: `file${fileIndex}.hepmc`,
  format: 'hepmc3',
  eventCount: 1000,
});

const facts: ManifestFacts = {
  granuleVersion: '1.2.3',
  command: ['granule', 'run'],
  payloads: [],
  options: { effort: 2 },
  seed: 7,
  mergeMode: 'fast',
  eventsPerRange: 1,
  inputs: [],
  refusedInputs: [],
  outputs: [],
  events: { total: 3, finished: 2, failed: 1 },
  failedEvents: [],
};

function* failedEvents(count: number): IterableIterator<ManifestFailedEvent> {
  const { lfn, guid } = file(0);
  for (let position = 1; position <= count; position += 1) {
    yield { lfn, guid, position, cause: 'payload-error', message: 'no such particle', attempts: 3 };
  }
}

describe('the manifest', () => {
  it('names its schema and the versions that made it', () => {
    expect(buildManifest(facts)).toMatchObject({
      schema: 1,
      versions: { granule: '1.2.3', node: process.versions.node },
      seed: 7,
      options: { effort: 2 },
      failedEvents: [],
      failedEventsComplete: true,
    });
  });

  it('lists failed events up to a bound, and says when there are more', () => {
    const atBound = buildManifest({ ...facts, failedEvents: failedEvents(MANIFEST_FAILED_EVENTS_MAX) });
    expect(atBound.failedEvents).toHaveLength(MANIFEST_FAILED_EVENTS_MAX);
    expect(atBound.failedEventsComplete).toBe(true);
    const beyond = buildManifest({ ...facts, failedEvents: failedEvents(MANIFEST_FAILED_EVENTS_MAX + 1) });
    expect(beyond.failedEvents).toHaveLength(MANIFEST_FAILED_EVENTS_MAX);
    expect(beyond.failedEventsComplete).toBe(false);
  });

  it('is written in place of the one before, leaving nothing else', () => {
    const folder = mkdtempSync(join(tmpdir(), 'granule-manifest-'));
    try {
      writeManifest(folder, buildManifest(facts));
      const manifest = buildManifest({ ...facts, seed: 8, failedEvents: failedEvents(2) });
      writeManifest(folder, manifest);
      expect(JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'))).toEqual(manifest);
      expect(readdirSync(folder)).toEqual(['manifest.json']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('that cannot be written says where', () => {
    expect(() => writeManifest('/nonexistent/folder', buildManifest(facts))).toThrow(
      expect.objectContaining({
        code: 'OUTPUT_FAILED',
        message: expect.stringContaining('/nonexistent/folder/manifest.json'),
      }),
    );
  });
});

describe('a list of events', () => {
  it('joins neighbours of one file', () => {
    const list = new EventListBuilder();
    list.add(file(0), 3, 3);
    list.add(file(0), 4, 6);
    list.add(file(0), 9, 9);
    list.add(file(1), 10, 10);
    const built = list.build();
    expect(built.eventCount).toBe(6);
    expect(built.complete).toBe(true);
    expect(built.intervals.map(({ lfn, firstEvent, lastEvent }) => `${lfn} ${firstEvent}-${lastEvent}`)).toEqual([
      'file0.hepmc 3-6',
      'file0.hepmc 9-9',
      'file1.hepmc 10-10',
    ]);
  });

  it('counts what it does not list', () => {
    const list = new EventListBuilder();
    for (let index = 0; index < MANIFEST_INTERVALS_MAX + 5; index += 1) list.add(file(0), 2 * index + 1, 2 * index + 1);
    const built = list.build();
    expect(built.intervals).toHaveLength(MANIFEST_INTERVALS_MAX);
    expect(built).toMatchObject({ eventCount: MANIFEST_INTERVALS_MAX + 5, complete: false });
  });
});
