/** Starts that find everything executed, and not everything merged. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { echoing, RunFolder } from '../whole-run.ts';

const EVENTS = 60;
const ALL = Array.from({ length: EVENTS }, (_, index) => ({ n: index + 1 }));

let folder: RunFolder;
beforeEach(() => {
  folder = new RunFolder(echoing(''), EVENTS);
});
afterEach(() => folder.remove());

/** Executes all events; the merged file cannot be put in its place. */
async function runWithoutLastMerge(options: Parameters<RunFolder['run']>[0]): Promise<void> {
  const inTheWay = join(folder.outPath, 'events.ndjson.OUT.ndjson');
  mkdirSync(join(inTheWay, 'a folder with content'), { recursive: true });
  await expect(folder.run(options)).rejects.toMatchObject({ code: 'OUTPUT_FAILED' });
  rmSync(inTheWay, { recursive: true });
}

describe('a start that finds all events executed and not all merged', () => {
  it.each([
    ['fast', {}],
    ['slow', { mergeMode: 'slow' }],
    ['of files of several events', { sequence: 'events:7' }],
    ['of processes', { isolation: 'process' }],
  ] as const)('merges them: %s', async (_, options) => {
    await runWithoutLastMerge(options);
    const executed: number[] = [];
    const handle = folder.start(options);
    handle.events.on('range:leased', ({ rangeCount }) => executed.push(rangeCount));
    expect(await handle.done).toMatchObject({ ending: 'complete', events: { finished: EVENTS } });
    expect([executed, folder.merged()]).toEqual([[], ALL]);
  });

  it('makes those again whose outputs have gone meanwhile', async () => {
    await runWithoutLastMerge({});
    const unmerged = join(folder.outPath, '.granule', 'unmerged', '0');
    const [first = ''] = readdirSync(unmerged);
    rmSync(join(unmerged, first));
    expect(await folder.run()).toMatchObject({ ending: 'complete', events: { finished: EVENTS } });
    expect(folder.merged()).toEqual(ALL);
  });
});
