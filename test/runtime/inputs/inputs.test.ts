import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseGuid } from '../../../core/ids.ts';
import { expandBraces, expandGlob } from '../../../runtime/inputs/glob.ts';
import { DistinctFiles, type ExpandedInputs, expandInputs, type NamedContent } from '../../../runtime/inputs/inputs.ts';

let root = '';
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'granule-inputs-')));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(...paths: readonly string[]): void {
  for (const path of paths) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), '');
  }
}

async function expand(inputs: readonly string[], stdin = ''): Promise<ExpandedInputs> {
  return expandInputs(
    inputs.map((input) => input.replaceAll('ROOT', root)),
    { stdin: Readable.from([Buffer.from(stdin)]), outFolder: join(root, 'out') },
  );
}

async function placesOf(inputs: readonly string[], stdin = ''): Promise<readonly string[]> {
  const { places, refused } = await expand(inputs, stdin.replaceAll('ROOT', root));
  expect(refused).toEqual([]);
  return places.map(({ place }) => place.replace(`${root}/`, ''));
}

describe('inputs', () => {
  it('keep the order given, and sort what a glob or folder stands for', async () => {
    write('b/2.lhe', 'b/10.lhe', 'a.hepmc', 'c/z.lhe', 'c/y/x.lhe');
    expect(await placesOf(['ROOT/c', 'ROOT/b/*.lhe', 'ROOT/a.hepmc'])).toEqual([
      'c/y/x.lhe',
      'c/z.lhe',
      'b/10.lhe',
      'b/2.lhe',
      'a.hepmc',
    ]);
  });

  it('leave out hidden names, the output folder and what a run wrote beside its merged files', async () => {
    write('in/.git/x', 'in/.hidden', 'in/a.lhe', 'out/merged.lhe', 'old/.granule/store', 'old/m.ndjson');
    write('old/manifest.json', 'old/report.json', 'keep/manifest.json');
    expect(await placesOf(['ROOT'])).toEqual(['in/a.lhe', 'keep/manifest.json', 'old/m.ndjson']);
  });

  it('follow links, end rings of them, and keep those that lead nowhere to be refused by name', async () => {
    write('data/a.lhe', 'in/b.lhe');
    symlinkSync(join(root, 'data'), join(root, 'in/linked'));
    symlinkSync(join(root, 'in'), join(root, 'in/ring'));
    symlinkSync(join(root, 'nowhere'), join(root, 'in/dangling'));
    expect(await placesOf(['ROOT/in'])).toEqual(['in/b.lhe', 'in/dangling', 'in/linked/a.lhe']);
  });

  it('that a glob matches are refused one by one, and the others are kept', async () => {
    write('in/a.lhe', 'in/c.lhe');
    symlinkSync(join(root, 'nowhere'), join(root, 'in/b.lhe'));
    symlinkSync(join(root, 'in/ring.lhe'), join(root, 'in/ring.lhe'));
    expect(await placesOf(['ROOT/in/*.lhe'])).toEqual(['in/a.lhe', 'in/b.lhe', 'in/c.lhe', 'in/ring.lhe']);
  });

  it('say of a link what is wrong with it', async () => {
    symlinkSync(join(root, 'nowhere'), join(root, 'dangling'));
    symlinkSync(join(root, 'ring'), join(root, 'ring'));
    const { refused } = await expand(['ROOT/dangling', 'ROOT/ring', '@ROOT/dangling']);
    expect(refused.map(({ code, message, remedy }) => [code, message.replace(root, ''), remedy])).toEqual([
      [
        'INPUT_NOT_FOUND',
        '/dangling: the symbolic link leads to nothing',
        'bring back what it leads to, or leave it out',
      ],
      ['INPUT_UNREADABLE', expect.stringContaining('ELOOP'), 'remove the symbolic link: it leads to itself'],
      [
        'INPUT_NOT_FOUND',
        'list /dangling: the symbolic link leads to nothing',
        'bring back what it leads to, or leave it out',
      ],
    ]);
  });

  it.skipIf(process.getuid?.() === 0)(
    'in a folder that may not be read are refused with it, and no others',
    async () => {
      write('in/a.lhe', 'in/secret/b.lhe', 'in/z/c.lhe');
      chmodSync(join(root, 'in/secret'), 0);
      const { places, refused } = await expand(['ROOT/in', 'ROOT/in/*']);
      chmodSync(join(root, 'in/secret'), 0o700);
      const kept = ['in/a.lhe', 'in/z/c.lhe'];
      expect(places.map(({ place }) => place.replace(`${root}/`, ''))).toEqual([...kept, ...kept]);
      expect(refused).toHaveLength(2);
      expect(refused[0]).toMatchObject({ code: 'INPUT_UNREADABLE', message: expect.stringContaining('in/secret') });
    },
  );

  it('come from lists in files and on stdin', async () => {
    write('a.lhe', 'b.lhe', 'c.lhe');
    writeFileSync(join(root, 'list.txt'), `# two files\n${root}/b.lhe\r\n\n  ${root}/[a].lhe  \n`);
    expect(await placesOf(['@ROOT/list.txt', '-'], 'ROOT/c.lhe')).toEqual(['b.lhe', 'a.lhe', 'c.lhe']);
  });

  it('may be URLs, and file URLs are paths', async () => {
    write('a b.lhe');
    const { places } = await expand(['https://host/x.hepmc', pathToFileURL(join(root, 'a b.lhe')).href]);
    expect(places).toEqual([
      { kind: 'url', place: 'https://host/x.hepmc' },
      { kind: 'file', place: join(root, 'a b.lhe') },
    ]);
  });

  it('take a file whose name looks like a pattern by its name', async () => {
    write('run[1].lhe', 'run1.lhe');
    expect(await placesOf(['ROOT/run[1].lhe'])).toEqual(['run[1].lhe']);
  });

  it.each([
    [
      'ROOT/data/evnets.lhe',
      'INPUT_NOT_FOUND',
      'there is no such file or folder',
      'did you mean ROOT/data/events.lhe?',
    ],
    ['ROOT/dta/events.lhe', 'INPUT_NOT_FOUND', 'there is no folder ROOT/dta', undefined],
    ['ROOT/data/*.root', 'INPUT_NOT_FOUND', 'ROOT/data/*.root: no file matches', 'ls ROOT/data'],
    ['ROOT/empty', 'INPUT_NOT_FOUND', 'ROOT/empty: the folder holds no files', undefined],
    ['@ROOT/none.txt', 'INPUT_NOT_FOUND', 'list ROOT/none.txt: there is no such file', undefined],
    ['@ROOT/blank.txt', 'INPUT_NOT_FOUND', 'it names no file', 'one file, glob, folder or URL a line'],
    ['-', 'INPUT_NOT_FOUND', 'a list cannot name another list ("@x")', undefined],
    ['/dev/null', 'INPUT_UNREADABLE', '/dev/null: not a regular file', 'write the data to a file'],
  ])('refuse %s with %s, and keep the others', async (input, code, message, remedy) => {
    write('data/events.lhe', 'blank.txt');
    mkdirSync(join(root, 'empty'));
    const { places, refused } = await expand([input, 'ROOT/data/events.lhe'], 'a.lhe\n@x');
    expect(places).toHaveLength(1);
    expect(refused).toHaveLength(1);
    expect(refused[0]?.code).toBe(code);
    expect(refused[0]?.message.replaceAll(root, 'ROOT')).toContain(message);
    if (remedy !== undefined) expect(refused[0]?.remedy?.replaceAll(root, 'ROOT')).toContain(remedy);
  });
});

describe('globs', () => {
  it.each([
    ['*.lhe', ['a.lhe', 'b1.lhe', 'b2.lhe']],
    ['b?.lhe', ['b1.lhe', 'b2.lhe']],
    ['b[2-9].lhe', ['b2.lhe']],
    ['b[!2].lhe', ['b1.lhe']],
    ['{a,b{1,2}}.lhe', ['a.lhe', 'b1.lhe', 'b2.lhe']],
    ['**/*.hepmc', ['d/e/x.hepmc', 'd/y.hepmc']],
    ['d/**', ['d/e', 'd/e/x.hepmc', 'd/y.hepmc']],
    ['*/e/*', ['d/e/x.hepmc']],
    ['.h*', ['.hidden.lhe']],
    ['\\*.lhe', []],
    ['*.{lhe', []],
    ['none/*', []],
  ])('%s matches %j', async (pattern, expected) => {
    write('a.lhe', 'b1.lhe', 'b2.lhe', 'd/y.hepmc', 'd/e/x.hepmc', '.hidden.lhe');
    const found = (await expandGlob(join(root, pattern))).map((path) => path.replace(`${root}/`, ''));
    expect(found).toEqual(expected);
  });

  it('treat every other character of a name literally', async () => {
    write('a+b(1)$^.lhe', 'aab1.lhe');
    expect(await expandGlob(`${root}/a+b(1)$^.*`)).toEqual([join(root, 'a+b(1)$^.lhe')]);
  });

  it('expand braces that have a partner and a comma', () => {
    expect(expandBraces('x{a,b}y{1,2}')).toEqual(['xay1', 'xay2', 'xby1', 'xby2']);
    expect(expandBraces('x{a}y')).toEqual(['x\\{a}y']);
    expect(expandBraces('x\\{a,b}')).toEqual(['x\\{a,b}']);
    expect(expandBraces('{,x}')).toEqual(['', 'x']);
  });
});

function addAll(files: readonly NamedContent[]): void {
  const distinct = new DistinctFiles();
  for (const file of files) distinct.add(file);
}

describe('indexed files', () => {
  const one = parseGuid('00000000-0000-8000-8000-000000000001');
  const two = parseGuid('00000000-0000-8000-8000-000000000002');

  it('may not have the same content twice', () => {
    const files = [
      { place: 'x/a.lhe', lfn: 'a.lhe', guid: one },
      { place: 'y/b.lhe', lfn: 'b.lhe', guid: one },
    ];
    expect(() => addAll(files)).toThrow(/the same content is given twice: x\/a\.lhe and y\/b\.lhe/);
  });

  it('may not share a name', () => {
    const files = [
      { place: 'x/a.lhe', lfn: 'a.lhe', guid: one },
      { place: 'y/a.lhe', lfn: 'a.lhe', guid: two },
    ];
    expect(() => addAll(files)).toThrow(/two files are called a\.lhe.*x\/a\.lhe and y\/a\.lhe/);
    expect(() => addAll(files.slice(0, 1))).not.toThrow();
  });
});
