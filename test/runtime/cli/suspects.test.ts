/** Events that kill the whole program: started again and again, it finds them and goes on without them. */
import { afterEach, describe, expect, it } from 'vitest';
import { echoing, RunFolder } from '../whole-run.ts';
import { type Ended, granule } from './program.ts';

const folders: RunFolder[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

function run(folder: RunFolder, ...options: string[]): Promise<Ended> {
  const { inputPath, payloadPath, outPath } = folder;
  const args = ['--input', inputPath, '--payload', payloadPath, '--out', outPath, '--workers', '2', '--quiet'];
  return granule(['run', ...args, ...options]);
}

/** Starts the run until it ends by itself. Returns how often it was killed. */
async function runToItsEnd(folder: RunFolder, startsMax: number, ...options: string[]): Promise<number> {
  for (let kills = 0; kills < startsMax; kills += 1) {
    const ended = await run(folder, ...options);
    if (ended.signal !== 'SIGKILL') {
      expect(ended).toMatchObject({ code: 4, signal: null });
      return kills;
    }
  }
  throw new Error(`killed ${startsMax} times`);
}

describe('an event that kills the whole program', () => {
  it('is found after three deaths, charged, and left out; all others are merged once', async () => {
    const folder = new RunFolder(echoing(`if (n === 17) process.kill(process.pid, 'SIGKILL');`), 40);
    folders.push(folder);
    expect(await runToItsEnd(folder, 6)).toBe(3);
    expect(folder.manifest.failedEvents).toMatchObject([
      { position: 17, cause: 'killed-program', message: expect.stringContaining('SIGKILL') },
    ]);
    expect(folder.merged()).toEqual(
      Array.from({ length: 40 }, (_, index) => ({ n: index + 1 })).filter(({ n }) => n !== 17),
    );
  });

  it('takes nobody along from its range', async () => {
    const folder = new RunFolder(echoing(`if (n === 17) process.kill(process.pid, 'SIGKILL');`), 40);
    folders.push(folder);
    await runToItsEnd(folder, 6, '--events-per-range', '8');
    expect(folder.failed).toEqual([[17, 'killed-program']]);
    expect(folder.merged()).toHaveLength(39);
  });

  it('does not make suspects of those that only ran beside it', async () => {
    const folder = new RunFolder(
      echoing(`if (n === 17) process.kill(process.pid, 'SIGKILL'); await new Promise((r) => setTimeout(r, 5));`),
      40,
    );
    folders.push(folder);
    await runToItsEnd(folder, 6, '--workers', '3');
    expect(folder.failed).toEqual([[17, 'killed-program']]);
    expect(folder.merged()).toHaveLength(39);
  });
});
