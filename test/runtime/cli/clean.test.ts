/** `granule clean`: what goes and what stays, and that everything works as before. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { echoing, RunFolder } from '../whole-run.ts';
import { type Ended, granule } from './program.ts';

const folders: RunFolder[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

class CleanedFolder extends RunFolder {
  readonly #run = ['run', '--input', 'events.ndjson', '--payload', './payload.mjs', '--out', 'out', '--json'];

  constructor(body: string) {
    super(echoing(body), 20);
    folders.push(this);
  }

  call(...args: readonly string[]): Promise<Ended> {
    return granule(args, { cwd: this.path });
  }

  async runOnce(...more: readonly string[]) {
    return JSON.parse((await this.call(...this.#run, ...more)).stdout);
  }

  async clean(...more: readonly string[]) {
    return JSON.parse((await this.call('clean', '--out', 'out', '--json', ...more)).stdout);
  }

  private(name: string): string {
    return join(this.outPath, '.granule', name);
  }
}

describe('granule clean', () => {
  it('removes what a finished run has left; looking at it, doing it again and beginning anew work as before', async () => {
    const folder = new CleanedFolder('');
    const first = await folder.runOnce();
    await folder.call('exec', '--out', 'out', 'events.ndjson:3');
    mkdirSync(folder.private('unmerged/0'), { recursive: true });
    writeFileSync(folder.private('unmerged/0/OUT.left'), 'left');
    const merged = readFileSync(join(folder.outPath, 'events.ndjson.OUT.ndjson'), 'utf8');

    const planned = await folder.clean('--dry-run');
    expect(planned).toMatchObject({ schema: 1, dryRun: true, isFinished: true, kept: [] });
    expect(planned.removed.map(({ what }: { what: string }) => what)).toEqual(
      expect.arrayContaining(['outputs of granule exec', 'unmerged outputs', 'logs']),
    );
    expect(existsSync(folder.private('unmerged/0/OUT.left'))).toBe(true);

    expect(await folder.clean()).toEqual({ ...planned, dryRun: false });
    for (const gone of ['unmerged', 'merge', 'workers', 'exec', 'granule.log']) {
      expect([gone, existsSync(folder.private(gone))]).toEqual([gone, false]);
    }
    expect((await folder.call('clean', '--out', 'out')).stdout).toBe('out: nothing to remove\n');

    expect(readFileSync(join(folder.outPath, 'events.ndjson.OUT.ndjson'), 'utf8')).toBe(merged);
    expect((await folder.call('status', '--out', 'out')).stdout).toMatch(/merged +20 +20/);
    expect((await folder.call('events', '--out', 'out')).code).toBe(0);
    expect((await folder.call('show', '--out', 'out', 'events.ndjson:3')).code).toBe(0);
    expect((await folder.call('exec', '--out', 'out', 'events.ndjson:3')).stdout).toContain('the same');
    expect(await folder.runOnce()).toMatchObject({
      ending: 'complete',
      events: { recovered: 20 },
      outputs: first.outputs,
    });
    expect(await folder.runOnce('--fresh')).toMatchObject({ ending: 'complete', outputs: first.outputs });
  }, 60_000);

  it('keeps logs when events failed, unless told otherwise, and bundles of the payload in force', async () => {
    const folder = new CleanedFolder("if (n === 4) throw new Error('four');");
    await folder.runOnce();
    folder.setPayload(echoing("if (n === 4) throw new Error('still four');"));
    await folder.call('retry', '--out', 'out');
    await folder.runOnce('--accept-payload-change');
    expect(readdirSync(folder.private('payloads'))).toHaveLength(4);
    const { kept, removed } = await folder.clean();
    expect(kept).toEqual([expect.stringContaining('--logs')]);
    expect(removed).toContainEqual({ what: 'bundles of earlier payloads', files: 2, sizeBytes: expect.any(Number) });
    expect(existsSync(folder.private('workers/worker_0/worker.log'))).toBe(true);
    await folder.clean('--logs');
    expect(existsSync(folder.private('workers'))).toBe(false);
    expect((await folder.call('show', '--out', 'out', 'events.ndjson:4')).stdout).toContain('still four');
  }, 60_000);

  it('leaves a run that is not finished what it needs to go on', async () => {
    const folder = new CleanedFolder('');
    await folder.runOnce('-n', '7');
    const { stdout } = await folder.call('clean', '--out', 'out');
    expect(stdout).toContain('what the run needs to go on stays: it is not finished');
    expect(await folder.runOnce()).toMatchObject({ ending: 'complete', events: { recovered: 7, finished: 20 } });
    expect(folder.merged()).toHaveLength(20);
  }, 60_000);

  it('refuses while a run is on, and where there is none', async () => {
    const folder = new CleanedFolder(
      "const { existsSync } = await import('node:fs'); while (!existsSync('go')) await new Promise((resolve) => setTimeout(resolve, 10));".replace(
        "'go'",
        JSON.stringify('/nowhere/at/all'),
      ),
    );
    const handle = folder.start({ workers: 1 });
    await new Promise<void>((resolve) => handle.events.on('event:first-executing', () => resolve()));
    const { code, stderr } = await folder.call('clean', '--out', 'out');
    expect([code, stderr]).toEqual([3, expect.stringContaining('granule stop --out out')]);
    handle.force();
    await handle.done;
    expect((await folder.call('clean', '--out', 'none')).code).toBe(2);
  }, 60_000);
});
