/** `granule show`: where the input of an event lies. What it tells of states and failures: run-views.test.ts. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toyEventText, toyFooter, toyHeader } from '../../../payloads/generator/toy-generator.ts';
import type { EventInput } from '../../../runtime/exec/event-input.ts';
import { ROOT_DATA_FILES } from '../../event-data.ts';
import { FaultServer } from '../remote/fault-server.ts';
import { canReadRoot, rootNote } from '../root/jsroot-here.ts';
import { RunFolder } from '../whole-run.ts';
import { granule } from './program.ts';

const SECRET = 'tHe-t0ken-of-this-test';
const EVENTS = Array.from({ length: 6 }, (_, index) =>
  toyEventText({ seed: 5, energyGeV: 91.2, meanPrimaries: 4 }, index + 1),
);

function listing(eventCount: number): Buffer {
  return Buffer.from(toyHeader() + EVENTS.slice(0, eventCount).join('') + toyFooter());
}

let folder: RunFolder;
let server: FaultServer;

beforeAll(async () => {
  folder = new RunFolder('', 0);
  writeFileSync(join(folder.path, 'near.hepmc3'), listing(4));
  writeFileSync(join(folder.path, 'packed.hepmc3.gz'), gzipSync(listing(5)));
  server = await FaultServer.start({ '/far.hepmc3': listing(6) });
  const far = `${server.origin.replace('://', `://me:${SECRET}@`)}/far.hepmc3?run=7&access_token=${SECRET}`;
  const input = [join(folder.path, 'near.hepmc3'), join(folder.path, 'packed.hepmc3.gz'), far];
  await folder.run({ input, payload: 'digest' });
});

afterAll(async () => {
  await server.kill();
  folder.remove();
});

async function shown(
  event: string,
  out = 'out',
): Promise<{ readonly text: string; readonly input: EventInput | null }> {
  const [text, json] = await Promise.all([
    granule(['show', '--out', out, event], { cwd: folder.path }),
    granule(['show', '--out', out, event, '--json'], { cwd: folder.path }),
  ]);
  expect([text.code, json.code]).toEqual([0, 0]);
  return { text: text.stdout, input: JSON.parse(json.stdout).input };
}

/** What a user finds who looks there. */
function bytesAt(content: Buffer, input: EventInput | null): string {
  if (input?.kind !== 'bytes') throw new Error('no bytes are named');
  return content.toString('utf8', input.offsetBytes, input.offsetBytes + input.lengthBytes);
}

describe('granule show', () => {
  it('tells where the bytes of an event are', async () => {
    const { text, input } = await shown('near.hepmc3:4');
    const place = join(folder.path, 'near.hepmc3');
    expect(bytesAt(readFileSync(place), input)).toBe(EVENTS[3]);
    expect(input).toMatchObject({ kind: 'bytes', place, compression: 'none' });
    const before = toyHeader() + EVENTS.slice(0, 3).join('');
    expect(text).toContain(`\ninput       ${place}, offset ${before.length}, ${EVENTS[3]?.length} bytes\nstate `);
  });

  it('tells where they are in the inflated file', async () => {
    const { text, input } = await shown('packed.hepmc3.gz:2');
    const place = join(folder.path, 'packed.hepmc3.gz');
    expect(bytesAt(gunzipSync(readFileSync(place)), input)).toBe(EVENTS[1]);
    expect(input).toMatchObject({ place, compression: 'gzip' });
    expect(text).toMatch(/^input .*packed\.hepmc3\.gz, offset \d+ of the inflated file, \d+ bytes$/m);
  });

  it('names no secret of an address', async () => {
    const { text, input } = await shown('far.hepmc3:6');
    expect(bytesAt(listing(6), input)).toBe(EVENTS[5]);
    expect(input?.place).toBe(`${server.origin}/far.hepmc3?run=7`);
    expect(text).toContain(`\ninput       ${server.origin}/far.hepmc3?run=7, offset `);
    expect(text).not.toContain(SECRET);
  });

  it.skipIf(!canReadRoot)(`names the entry of a ROOT tree${rootNote}`, async () => {
    const [file] = ROOT_DATA_FILES;
    if (file === undefined) throw new Error('there is no ROOT file');
    await folder.run({ input: file.path, payload: 'noop', out: join(folder.path, 'root'), events: '1-3' });
    const { text, input } = await shown('HZZ-2421.root:3', 'root');
    expect(input).toEqual({ kind: 'entry', place: file.path, tree: 'events', entryIndex: 2 });
    expect(text).toContain(`\ninput       ${file.path}, tree events, entry 2 (counted from 0)\n`);
  });

  it.each(['.granule/index', '.granule/start.json', 'PoolFileCatalog.xml'])(
    'tells all else when %s is gone, or is something else',
    async (name) => {
      const path = join(folder.outPath, name);
      renameSync(path, `${path}.kept`);
      for (const isThere of [false, true]) {
        if (isThere) writeFileSync(path, 'no such thing');
        const { text, input } = await shown('near.hepmc3:4');
        expect(input).toBeNull();
        expect(text).toMatch(/^event .*\nstate +merged\n/);
      }
      rmSync(path);
      renameSync(`${path}.kept`, path);
      expect((await shown('near.hepmc3:4')).input).not.toBeNull();
    },
  );

  it('tells all else when the file is not where it was', async () => {
    const path = join(folder.path, 'near.hepmc3');
    renameSync(path, `${path}.kept`);
    expect((await shown('near.hepmc3:4')).input).toBeNull();
    renameSync(`${path}.kept`, path);
  });
});
