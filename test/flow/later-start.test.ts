import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunEventMap } from '../../runtime/run/run-events.ts';
import { echoing, RunFolder } from '../runtime/whole-run.ts';

let folder: RunFolder;
beforeEach(() => {
  folder = new RunFolder(echoing(''), 20);
});
afterEach(() => folder.remove());

const other = (): string => join(folder.path, 'other.ndjson');
const merged = (input = 'events.ndjson'): string => join(folder.outPath, `${input}.OUT.ndjson`);

/** Runs to the end and tells what it recovered. */
async function runAgain(options: Parameters<RunFolder['run']>[0] = {}) {
  const handle = folder.start(options);
  const damaged: string[] = [];
  let recovered: RunEventMap['run:recovered'] | undefined;
  handle.events.on('output:damaged', ({ message }) => damaged.push(message));
  handle.events.on('run:recovered', (event) => {
    recovered = event;
  });
  return { summary: await handle.done, damaged, recovered };
}

describe('a merged file that somebody', () => {
  it('removed is made again, byte for byte, and nothing else', async () => {
    writeFileSync(other(), '{"n":100}\n');
    const input = [folder.inputPath, other()];
    await folder.run({ input });
    const bytes = readFileSync(merged());
    rmSync(merged());
    const { summary, damaged, recovered } = await runAgain({ input });
    expect(damaged).toEqual([`${merged()} is missing`]);
    expect(recovered).toMatchObject({ eventsFinished: 1, outputsDamaged: 1 });
    expect(summary).toMatchObject({ ending: 'complete', events: { total: 21, finished: 21, recovered: 1 } });
    expect(readFileSync(merged()).equals(bytes)).toBe(true);
    expect((await runAgain({ input })).recovered).toMatchObject({ eventsFinished: 21, outputsDamaged: 0 });
  });

  it('cut is made again', async () => {
    await folder.run();
    truncateSync(merged(), 30);
    const { summary, damaged } = await runAgain();
    expect(damaged).toEqual([expect.stringContaining('has 30 bytes, not the')]);
    expect(summary).toMatchObject({ ending: 'complete', events: { finished: 20, recovered: 0 } });
    expect(folder.merged()).toHaveLength(20);
  });

  it('edited without changing its size is made again, one that was only touched is not', async () => {
    await folder.run();
    const bytes = readFileSync(merged());
    const later = new Date(statSync(join(folder.outPath, 'manifest.json')).mtimeMs + 10_000);
    utimesSync(merged(), later, later);
    expect((await runAgain()).damaged).toEqual([]);
    writeFileSync(merged(), Buffer.from(bytes).fill('x', 5, 6));
    utimesSync(merged(), new Date(later.getTime() + 10_000), new Date(later.getTime() + 10_000));
    expect((await runAgain()).damaged).toEqual([expect.stringContaining('was altered')]);
    expect(readFileSync(merged()).equals(bytes)).toBe(true);
  });
});

describe('an input that could not be used when the run began', () => {
  it('joins the run once it is repaired, and stays in it', async () => {
    const input = [other(), folder.inputPath];
    writeFileSync(other(), 'no events');
    expect(await folder.run({ input })).toMatchObject({ ending: 'failed-events', exitCode: 4, events: { total: 20 } });
    writeFileSync(other(), '{"n":100}\n{"n":101}\n');
    const { summary } = await runAgain({ input });
    expect(summary).toMatchObject({ ending: 'complete', events: { total: 22, finished: 22, recovered: 20 } });
    expect(readFileSync(merged('other.ndjson'), 'utf8')).toBe('{"n":100}\n{"n":101}\n');
    expect(folder.manifest.inputs.map(({ lfn }) => lfn)).toEqual(['events.ndjson', 'other.ndjson']);
    expect((await runAgain({ input })).summary).toMatchObject({ ending: 'complete', events: { recovered: 22 } });
  });

  it('joins the run once it is there', async () => {
    const input = [folder.inputPath, 'other.ndjson'];
    const startedIn = process.cwd();
    process.chdir(folder.path);
    try {
      expect(await folder.run({ input })).toMatchObject({ exitCode: 4 });
      writeFileSync(other(), '{"n":100}\n');
      expect(await folder.run({ input })).toMatchObject({ ending: 'complete', events: { finished: 21 } });
    } finally {
      process.chdir(startedIn);
    }
  });

  it('does not join a run whose outputs are cut across files', async () => {
    const options = { input: [folder.inputPath, other()], eventsPerOutput: 15 };
    await folder.run(options);
    writeFileSync(other(), '{"n":100}\n');
    await expect(folder.run(options)).rejects.toMatchObject({
      code: 'RUN_DIFFERS',
      message: expect.stringContaining('with other.ndjson'),
    });
  });
});

describe('a later start', () => {
  it('does not mind the order of its inputs, where each has outputs of its own', async () => {
    writeFileSync(other(), '{"n":100}\n');
    await folder.run({ input: [folder.inputPath, other()], limit: 5 });
    const summary = await folder.run({ input: [other(), folder.inputPath] });
    expect(summary).toMatchObject({ ending: 'complete', events: { finished: 21, recovered: 5 } });
  });

  it('is refused with a file more, and with one less that cannot be used any more, naming it', async () => {
    writeFileSync(other(), '{"n":100}\n');
    const input = [folder.inputPath, other()];
    await folder.run({ input });
    await expect(folder.run()).rejects.toMatchObject({ code: 'RUN_DIFFERS', message: /input: without other\.ndjson/ });
    rmSync(other());
    await expect(folder.run({ input })).rejects.toMatchObject({
      code: 'INPUT_NOT_FOUND',
      message: expect.stringContaining(other()),
      remedy: expect.stringContaining('restore the file'),
    });
    writeFileSync(other(), '{"n":100}\n');
    const third = join(folder.path, 'third.ndjson');
    writeFileSync(third, '{"n":200}\n');
    await expect(folder.run({ input: [...input, third] })).rejects.toMatchObject({
      code: 'RUN_DIFFERS',
      message: expect.stringContaining('input: with third.ndjson'),
    });
  });
});

describe('a run that is complete', () => {
  const below = (...names: string[]): string => join(folder.outPath, '.granule', ...names);

  it('leaves no file whose ranges were merged by more than one start', async () => {
    // Events 1, 2, 4 and 5 may share a file. The first start merges two of them, the second one the others.
    const repaired = join(folder.path, 'repaired');
    folder.setPayload(
      echoing(`const { existsSync } = await import('node:fs');
      if (n === 3 && !existsSync(${JSON.stringify(repaired)})) {
        if (globalThis.failed) await new Promise((resolve) => setTimeout(resolve, 10_000));
        globalThis.failed = true;
        throw new Error('not yet');
      }`),
    );
    const options = { workers: 1, sequence: 'events:4', speculate: false };
    const first = folder.start({ ...options, limit: 5 });
    let finished = 0;
    first.events.on('events:finished', ({ eventCount }) => {
      finished += eventCount;
      if (finished === 4) first.force();
    });
    expect(await first.done).toMatchObject({ ending: 'interrupted', events: { finished: 4 } });
    expect(folder.leftIn('unmerged')).not.toEqual([]);
    writeFileSync(repaired, '');
    expect(await folder.run(options)).toMatchObject({ ending: 'complete', events: { finished: 20 } });
    expect(folder.merged()).toHaveLength(20);
    expect(folder.leftIn('unmerged')).toEqual([]);
  });

  it('is rid of what earlier starts left there, also when nothing was left to do', async () => {
    await folder.run();
    mkdirSync(below('unmerged', '6'), { recursive: true });
    writeFileSync(below('unmerged', '6', 'OUT.1-1-1-7000-1'), 'merged long ago');
    writeFileSync(below('workers', 'worker_1', 'board'), new Float64Array(10));
    const { pid } = spawnSync(process.execPath, ['--version']);
    writeFileSync(below('payloads', `0123.mjs.${pid}.tmp`), 'half');
    writeFileSync(below('payloads', `0123.mjs.${process.ppid}.tmp`), 'being written');
    expect(await folder.run()).toMatchObject({ ending: 'complete' });
    expect(folder.leftIn('unmerged')).toEqual([]);
    expect(folder.leftIn('workers')).not.toContain('board');
    expect(folder.leftIn('payloads').filter((name) => name.endsWith('.tmp'))).toEqual([`0123.mjs.${process.ppid}.tmp`]);
  });
});
