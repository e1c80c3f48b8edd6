/** Every scenario runs with tiny counts and says what scripts may rely on. Times are not looked at. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TITLES } from '../../bench/overhead-results.ts';
import { PEERS } from '../../bench/peer-programs.ts';
import type { ScenarioRecord } from '../../bench/result-file.ts';
import { runScenario } from '../../bench/run-scenario.ts';

/** Ten runs and more, each a process of its own. */
const RUNS_TIMEOUT_MS = 240_000;

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-scenario-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function tiny(name: string, options: Record<string, string>, quick = true): Promise<ScenarioRecord> {
  const record = await runScenario(name, {
    quick,
    repeats: 1,
    options,
    folders: { memory: null, disk: folder },
    signal: new AbortController().signal,
    progress: () => undefined,
  });
  expect(readdirSync(folder)).toEqual([]);
  expect(record.measures.length).toBeGreaterThan(0);
  for (const { values } of record.measures) for (const value of values) expect(value).toBeGreaterThanOrEqual(0);
  expect(record.pictures.length).toBeGreaterThan(0);
  for (const { svg } of record.pictures) expect(svg).not.toContain('NaN');
  return record;
}

const LANE_FIGURES = {
  makespanMs: expect.any(Number),
  boundMs: expect.any(Number),
  idealMs: expect.any(Number),
  ratioToBound: expect.any(Number),
  ratioToIdeal: expect.any(Number),
  busyFraction: expect.any(Number),
  busyFractionUntilEmpty: expect.any(Number),
  idleCoreMs: expect.any(Number),
  lostOnKill: { expected: expect.any(Number), worst: expect.any(Number) },
};

function laneFiguresOf(workerCount: number): object {
  return { ...LANE_FIGURES, busyFractionPerWorker: Array.from({ length: workerCount }, () => expect.any(Number)) };
}

describe('cores-idle', () => {
  it(
    'runs the same events with every granularity, computing and waiting',
    async () => {
      const { values } = await tiny('cores-idle', {
        workers: '2',
        waiting: '3',
        events: '6',
        mean: '2',
        max: '10',
      });
      const granularities = (figures: object) => ({
        file: figures,
        chunk: figures,
        event: figures,
        longestFirst: figures,
      });
      expect(values).toMatchObject({
        granularities: granularities(laneFiguresOf(2)),
        waiting: { workers: 3, granularities: granularities(laneFiguresOf(3)) },
      });
    },
    RUNS_TIMEOUT_MS,
  );

  it(
    'measures hints of correlation 0.7 as well, unless the run is to be quick',
    async () => {
      const options = { workers: '2', waiting: '0', events: '4', mean: '2', max: '10' };
      const { values, tables } = await tiny('cores-idle', options, false);
      expect(values).toMatchObject({ granularities: { longestFirstGuessed: laneFiguresOf(2) }, waiting: null });
      expect(tables[0]?.rows.map(([unit]) => unit)).toContain('longest first, hints of correlation 0.7');
    },
    RUNS_TIMEOUT_MS,
  );
});

describe('wan', () => {
  it(
    'runs the same events near and far, and makes the same outputs',
    async () => {
      const { values } = await tiny('wan', { near: '5', far: '10', events: '30', event: '2', bytes: '2000' });
      expect(values).toMatchObject({
        throughputToLocal: { near: expect.any(Number), far: expect.any(Number) },
        withoutPrefetchToIdeal: expect.any(Number),
        clusteredShareOfFile: expect.any(Number),
        cpuMsPerMB: expect.any(Number),
        outputsIdentical: true,
      });
      expect(values['fetchedToNeeded']).toBeLessThanOrEqual(1.05);
    },
    RUNS_TIMEOUT_MS,
  );
});

describe('http', () => {
  it('asks the event server, and nginx where there is one, for ranges of all sizes', async () => {
    const { values } = await tiny('http', { megabytes: '8', file: '6', connections: '2' });
    expect(values['MBPerSecond']).toEqual({
      '50kB': expect.any(Number),
      '1MB': expect.any(Number),
      '4MB': expect.any(Number),
    });
  });
});

describe('overhead', () => {
  it(
    'measures the whole path, the bare loop and piscina on the same files, and says what is absent',
    async () => {
      const { values, tables, notes } = await tiny('overhead', {
        events: '300',
        peerEvents: '40',
        profile: 'yes',
        workers: '2',
      });
      const rate = { perSecond: expect.any(Number), ratio: expect.any(Number) };
      expect(values).toMatchObject({
        fileSystem: 'disk',
        eventsPerSecond: expect.any(Number),
        bareLoopPerSecond: expect.any(Number),
        ratioToBareLoop: expect.any(Number),
        withMerge: { ratioToBareLoop: expect.any(Number) },
        mainThreadMicrosPerEvent: expect.any(Number),
        peers: { piscina: rate },
      });
      const peers = values['peers'] as Record<string, unknown>;
      for (const peer of PEERS) {
        const isAbsent = notes.includes(`${TITLES[peer]} is not installed: absent.`);
        expect(peers[peer]).toEqual(isAbsent ? null : rate);
      }
      const stages = tables.at(-1)?.rows.map(([thread, stage]) => `${thread}: ${stage}`);
      // A profile of so few events sees each stage by chance only.
      expect(stages?.length).toBeGreaterThan(0);
    },
    RUNS_TIMEOUT_MS,
  );
});

describe('start', () => {
  it('tells when the first event begins, cold, indexed and on a half-done task', async () => {
    const { values } = await tiny('start', { events: '300', bytes: '100' });
    const times = { indexed: expect.any(Number), cold: expect.any(Number), again: expect.any(Number) };
    expect(values).toMatchObject({ firstEventMs: times, nodeStartMs: expect.any(Number) });
  });
});

describe('kill', () => {
  it('loses nothing and redoes no more than was in execution', async () => {
    const { values } = await tiny('kill', { events: '120', mean: '2', kills: '1', workers: '2' });
    expect(values).toMatchObject({ kills: 1, outputsLost: 0, backToFullRateMs: expect.any(Number) });
    expect(values['eventsRedone']).toBeLessThanOrEqual(values['inExecution'] as number);
  });
});
