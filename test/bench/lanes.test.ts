import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { laneFigures, readLanes } from '../../bench/lanes.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-lanes-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const READY = 1000;

/** Two workers; the first three events on the first, the fourth on the second, which is idle before and after. */
function writeRecords(): string {
  const path = join(folder, 'lanes.ndjson');
  const records = [
    [0, 1000, 1010, 10, READY],
    [0, 1010, 1040, 15, READY],
    [0, 1040, 1060, 20, READY],
    [1, 1010, 1030, 20, READY],
  ];
  writeFileSync(path, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  return path;
}

describe('figures of lanes', () => {
  it('count from the moment all workers were ready to the last durable finish', () => {
    const lanes = readLanes([writeRecords()], 2, 1);
    const figures = laneFigures(lanes, { order: [0, 1, 2, 3], finishedMs: 1064, waiting: false });
    expect(figures).toMatchObject({
      makespanMs: 64,
      boundMs: 40,
      // 10 and 30 begin; 20 follows the 10, and 20 more the first that is free.
      idealMs: 50,
      ratioToBound: 1.6,
      busyFraction: 65 / 128,
      idleCoreMs: 48,
    });
    expect(figures.busyFractionPerWorker).toEqual([45 / 64, 20 / 64]);
    // The last unit begins at 40: by then 10 + 15 on one worker and 20 on the other.
    expect(figures.busyFractionUntilEmpty).toBeCloseTo(45 / 80);
  });

  it('take the time of events that wait as busy', () => {
    const lanes = readLanes([writeRecords()], 2, 1);
    const figures = laneFigures(lanes, { order: [0, 1, 2, 3], finishedMs: 1064, waiting: true });
    expect(figures.busyFraction).toBeCloseTo(80 / 128);
  });

  it('join consecutive events to units, of which a kill loses what is begun', () => {
    const path = writeRecords();
    const events = laneFigures(readLanes([path], 2, 1), { order: [0, 1, 2, 3], finishedMs: 1064, waiting: false });
    const files = readLanes([path], 2, 3);
    expect(files.units.map(({ start, end }) => [start, end])).toEqual([
      [0, 60],
      [10, 30],
    ]);
    const whole = laneFigures(files, { order: [0, 1], finishedMs: 1064, waiting: false });
    expect(whole.lostOnKill.expected).toBeGreaterThan(events.lostOnKill.expected);
    expect(whole.lostOnKill.worst).toBeGreaterThan(events.lostOnKill.worst);
  });
});
