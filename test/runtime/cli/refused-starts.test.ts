/** What a run refuses before its first event, and what it says of it. */
import { readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { toyEventText, toyFooter, toyHeader } from '../../../payloads/generator/toy-generator.ts';
import { makeFolder, removeFolder } from '../../dispatcher/fixture.ts';
import { type Ended, granule } from './program.ts';

let folder = '';

beforeEach(() => {
  folder = makeFolder();
  const settings = { seed: 3, energyGeV: 91.2, meanPrimaries: 4 };
  const events = Array.from({ length: 6 }, (_, index) => toyEventText(settings, index + 1));
  write('good.hepmc3', toyHeader() + events.join('') + toyFooter());
  write('wrong.ndjson', '\ufeff{"n":1}\n{"n":2}\n');
});
afterEach(() => removeFolder(folder));

function write(path: string, content: string): void {
  writeFileSync(join(folder, path), content);
}

function run(...args: readonly string[]): Promise<Ended> {
  return granule(['run', '--workers', '1', '--out', 'out', ...args], { cwd: folder });
}

describe('a payload that names its input formats', () => {
  it('refuses a file of another format before anything runs, with a remedy', async () => {
    const { code, stdout, stderr } = await run('wrong.ndjson', '--payload', 'hepmc-filter');
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(
      'no input can be used: wrong.ndjson is ndjson, and payload hepmc-filter processes hepmc3, hepmc2 only\n' +
        '  leave the file out, or choose another payload\n',
    );
  });

  it('processes the files that it can, and reports the others as refused', async () => {
    const { code, stdout } = await run('wrong.ndjson', 'good.hepmc3', '--payload', 'fastsim', '--json');
    expect(code).toBe(4);
    expect(JSON.parse(stdout)).toMatchObject({
      ending: 'failed-events',
      events: { total: 6, finished: 6, failed: 0 },
      refusedInputs: [{ place: join(folder, 'wrong.ndjson'), code: 'PAYLOAD_INPUT_MISMATCH' }],
    });
    const again = await run('wrong.ndjson', 'good.hepmc3', '--payload', 'fastsim', '--json');
    expect(JSON.parse(again.stdout)).toMatchObject({ exitCode: 4, events: { recovered: 6 } });
  });

  it('says so in a plan, too', async () => {
    const args = ['plan', 'wrong.ndjson', 'good.hepmc3', '--payload', 'fastsim', '--out', 'out', '--json'];
    const { stdout } = await granule(args, { cwd: folder });
    expect(JSON.parse(stdout)).toMatchObject({ events: 6, refusedInputs: [{ code: 'PAYLOAD_INPUT_MISMATCH' }] });
  });
});

describe('a payload that cannot begin', () => {
  it.each([
    ['prepare', "prepare() { throw new Error('no table'); }"],
    ['initialize', "initialize() { throw new Error('no table'); }"],
  ])('in %s ends the run with exit code 2: nothing was done', async (_, hook) => {
    write('p.mjs', `export default { name: 'p', outputs: {}, ${hook}, execute() {} };`);
    const { code, stderr } = await run('wrong.ndjson', '--payload', './p.mjs');
    expect([code, stderr]).toEqual([2, expect.stringContaining('no table')]);
    expect(stderr).toContain('PAYLOAD_INIT_FAILED');
  });
});

describe('a text with a byte order mark', () => {
  it('is read without it', async () => {
    write(
      'p.mjs',
      "export default { name: 'p', outputs: { OUT: { format: 'ndjson' } }, execute(event, context) { context.output('OUT').write(event.decode()); } };",
    );
    expect((await run('wrong.ndjson', '--payload', './p.mjs')).code).toBe(0);
    expect(readFileSync(join(folder, 'out/wrong.ndjson.OUT.ndjson'), 'utf8')).toBe('{"n":1}\n{"n":2}\n');
  });
});

describe('--verify-outputs', () => {
  it('finds a merged file that was altered and kept its size and time', async () => {
    await run('good.hepmc3', '--payload', 'digest');
    const path = join(folder, 'out/good.hepmc3.DIGEST.ndjson');
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace('"position":1', '"position":9'));
    utimesSync(path, 1e9, 1e9);
    expect((await run('good.hepmc3', '--payload', 'digest', '--json')).code).toBe(0);
    expect(readFileSync(path, 'utf8')).not.toBe(text);
    const { stderr } = await run('good.hepmc3', '--payload', 'digest', '--verify-outputs');
    expect(stderr).toContain('was altered: its SHA-256 is not the recorded one');
    expect(readFileSync(path, 'utf8')).toBe(text);
  });
});

describe('--log-level', () => {
  it('chooses what the logs of workers and of the run hold; a failure keeps its last lines whatever it is', async () => {
    write(
      'p.mjs',
      `export default {
        name: 'p', outputs: {},
        prepare({ log }) { log.info('prepares'); log.warn('doubts'); },
        execute(event, { log }) { log.debug('fine'); log.warn('odd'); throw new Error('no'); },
      };`,
    );
    const logs = async (level: string): Promise<string[]> => {
      await run('wrong.ndjson', '--payload', './p.mjs', '--fresh', '--log-level', level);
      const texts = ['workers/worker_0/worker.log', 'granule.log'].map((name) =>
        readFileSync(join(folder, 'out/.granule', name), 'utf8'),
      );
      return ['fine', 'odd', 'prepares', 'doubts'].filter((word) => texts.some((text) => text.includes(word)));
    };
    expect(await logs('debug')).toEqual(['fine', 'odd', 'prepares', 'doubts']);
    expect(await logs('warn')).toEqual(['odd', 'doubts']);
    expect(await logs('silent')).toEqual([]);
    const { stdout } = await granule(['show', '--out', 'out', 'wrong.ndjson:1'], { cwd: folder });
    expect(stdout).toContain('debug: fine\nwarn: odd\n');
    const { code, stderr } = await run('wrong.ndjson', '--payload', './p.mjs', '--log-level', 'loud');
    expect([code, stderr]).toEqual([2, expect.stringContaining('is not one of trace, debug, info')]);
  }, 60_000);
});
