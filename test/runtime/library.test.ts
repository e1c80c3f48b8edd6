import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { toyEventText, toyFooter, toyHeader } from '../../payloads/generator/toy-generator.ts';
import { run } from '../../runtime/index.ts';
import { makeFolder, removeFolder } from '../dispatcher/fixture.ts';

const PROJECT = new URL('../..', import.meta.url).pathname;

let folder = '';
beforeEach(() => {
  folder = makeFolder();
  const event = toyEventText({ seed: 1, energyGeV: 91, meanPrimaries: 3 }, 1);
  writeFileSync(join(folder, 'one.hepmc3'), toyHeader() + event + toyFooter());
});
afterEach(() => removeFolder(folder));

describe('the library', () => {
  it('runs with the options of a configuration file, from a package that depends on it', async () => {
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(PROJECT, join(folder, 'node_modules/granule'));
    writeFileSync(
      join(folder, 'program.mjs'),
      `import { run } from 'granule';
const handle = run({ input: 'one.hepmc3', payload: 'digest', out: 'out', workers: 1 });
let finished = 0;
handle.events.on('events:finished', ({ eventCount }) => { finished += eventCount; });
const { ending } = await handle.done;
process.stdout.write(JSON.stringify({ ending, finished }), () => process.exit(0));
`,
    );
    const { stdout } = await promisify(execFile)(process.execPath, ['program.mjs'], { cwd: folder });
    expect(JSON.parse(stdout)).toEqual({ ending: 'complete', finished: 1 });
    expect(JSON.parse(readFileSync(join(folder, 'out/report.json'), 'utf8'))).toMatchObject({ ending: 'complete' });
  });

  it('refuses wrong options at once', () => {
    const wrong = { input: 'one.hepmc3', payload: 'digest', out: 'out', workrs: 2 };
    expect(() => run(wrong as never, { currentFolder: folder })).toThrow('option "workrs": there is no such option');
  });
});
