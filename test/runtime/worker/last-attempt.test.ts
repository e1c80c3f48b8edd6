/** Ranges of several events: the last permitted attempt leaves out what fails, and nothing else. */
import { afterEach, describe, expect, it } from 'vitest';
import { openTableReader } from '../../../dispatcher/table-reader.ts';
import { echoing, RunFolder } from '../whole-run.ts';

const folders: RunFolder[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

function folderOf(payload: string, eventCount: number): RunFolder {
  const folder = new RunFolder(payload, eventCount);
  folders.push(folder);
  return folder;
}

function numbersBut(eventCount: number, missing: readonly number[]): unknown[] {
  return Array.from({ length: eventCount }, (_, index) => index + 1)
    .filter((n) => !missing.includes(n))
    .map((n) => ({ n }));
}

const BAD = `if (n === 3) throw new Error('three');
  if (n === 6) process.exit(1);
  if (n === 7) { setTimeout(() => { throw new Error('late'); }, 1); await new Promise(() => {}); }
  if (n === 8) for (;;);
  if (n >= 11 && n <= 15) throw new Error('all of it');`;

describe('a range of several events, some of which fail', () => {
  it.each(['EndEvent', 'NextEventRange', 'events:4'])('loses those only, with outputs cut at %s', async (sequence) => {
    const folder = folderOf(echoing(BAD), 23);
    const summary = await folder.run({ eventsPerRange: 5, sequence, timeout: '300ms', workers: 2 });
    const bad = [3, 6, 7, 8, 11, 12, 13, 14, 15];
    expect(summary).toMatchObject({
      ending: 'failed-events',
      exitCode: 4,
      events: { total: 23, finished: 14, failed: 9, left: 0 },
    });
    expect(folder.merged()).toEqual(numbersBut(23, bad));
    expect(folder.failed).toEqual([
      [3, 'payload-error'],
      [6, 'payload-exit'],
      [7, 'payload-late-error'],
      [8, 'timeout'],
      ...[11, 12, 13, 14, 15].map((position) => [position, 'payload-error']),
    ]);
    expect(folder.manifest.events).toEqual({ total: 23, finished: 14, failed: 9 });
    expect(folder.manifest.outputs[0]).toMatchObject({
      eventCount: 14,
      missing: {
        eventCount: 9,
        intervals: [
          { firstEvent: 3, lastEvent: 3 },
          { firstEvent: 6, lastEvent: 8 },
          { firstEvent: 11, lastEvent: 15 },
        ],
      },
    });
    expect(folder.manifest.payloads).toEqual([
      expect.objectContaining({
        identity: expect.stringMatching(/^[0-9a-f]{64}$/),
        made: expect.objectContaining({ eventCount: 14 }),
      }),
    ]);
    expect(folder.leftIn('unmerged')).toEqual([]);
  });

  it('is told of event by event', async () => {
    const folder = folderOf(echoing(BAD), 10);
    const handle = folder.start({ eventsPerRange: 5, timeout: '300ms' });
    const fatal: number[] = [];
    handle.events.on('event:failed', (event) => {
      if (event.fatal) fatal.push(event.position);
    });
    await handle.done;
    expect(fatal.sort((a, b) => a - b)).toEqual([3, 6, 7, 8]);
    const table = openTableReader(`${folder.outPath}/.granule/store`);
    try {
      expect(table.show(1, 0, 3)).toMatchObject({
        state: 'fatal',
        failure: { cause: 'payload-error', message: 'three' },
      });
      expect(table.show(1, 0, 4).failure).toBeUndefined();
      const { ranges } = table.events({ taskID: 1, states: ['fatal'], limit: 10 });
      expect(ranges.map(({ failedEvents }) => failedEvents?.map(({ position }) => position))).toEqual([[3], [6, 7, 8]]);
      expect(table.tasks()[0]?.events).toMatchObject({ fatal: 4, merged: 6 });
    } finally {
      await table.close();
    }
  });

  it('fails as a whole before its last attempt, which costs nothing', async () => {
    const folder = folderOf(
      echoing(`const fs = await import('node:fs');
        const file = context.folder + '/../tried';
        if (n === 2 && !fs.existsSync(file)) { fs.writeFileSync(file, ''); throw new Error('once'); }`),
      6,
    );
    expect(await folder.run({ eventsPerRange: 3 })).toMatchObject({ ending: 'complete', events: { retried: 3 } });
    expect(folder.merged()).toEqual(numbersBut(6, []));
  });
});
