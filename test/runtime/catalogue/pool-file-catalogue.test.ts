/** The POOL file catalogue: real documents, round trips, and errors that name the place. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isGranuleError } from '../../../core/errors.ts';
import type { FileRecord } from '../../../core/file-index.ts';
import { parseGuid } from '../../../core/ids.ts';
import { writePoolFileCatalogue } from '../../../runtime/catalogue/catalogue-writer.ts';
import { type CatalogueFile, readPoolFileCatalogue } from '../../../runtime/catalogue/pool-file-catalogue.ts';
import { writeRunCatalogue } from '../../../runtime/catalogue/run-catalogue.ts';
import type { UsableInput } from '../../../runtime/inputs/input-set.ts';

const GUID = '5A1C0C2E-90C8-D743-8B5D-0B0C9B2A9C11';

function catalogue(body: string): string {
  return `<?xml version="1.0" encoding="UTF-8" standalone="no" ?>
<!-- Edited By POOL -->
<!DOCTYPE POOLFILECATALOG SYSTEM "InMemory">
<POOLFILECATALOG>
${body}
</POOLFILECATALOG>
`;
}

function failureOf(text: string): { code: string; message: string; line: unknown; column: unknown } {
  try {
    readPoolFileCatalogue(text, 'pfc.xml');
  } catch (error) {
    if (isGranuleError(error)) {
      return { code: error.code, message: error.message, line: error.details['line'], column: error.details['column'] };
    }
    throw error;
  }
  throw new Error('the catalogue was read');
}

describe('readPoolFileCatalogue', () => {
  it('reads several files with several physical places, logical names and metadata, in order', () => {
    const files = readPoolFileCatalogue(
      catalogue(`  <META name="Content" type="string"/>
  <File ID="${GUID.toLowerCase()}">
    <physical>
      <pfn filetype="ROOT_All" name="root://eos.example:1094//a/b.root"/>
      <pfn filetype="" se="T2" name="/data/b &amp; c.root"/>
    </physical>
    <logical><lfn name="b.root"/><lfn name="lfn:b"/></logical>
    <metadata att_name="md5" att_value="x"/>
    <metadata att_name="md5" att_value="y"/>
  </File>
  <File ID="00000000-0000-8000-8000-000000000001"><physical><pfn name="c"/></physical><logical/></File>`),
    );
    expect(files).toEqual([
      {
        guid: GUID,
        physical: [
          { name: 'root://eos.example:1094//a/b.root', filetype: 'ROOT_All' },
          { name: '/data/b & c.root', filetype: '', se: 'T2' },
        ],
        logical: ['b.root', 'lfn:b'],
        metadata: [
          { name: 'md5', value: 'x' },
          { name: 'md5', value: 'y' },
        ],
      },
      { guid: '00000000-0000-8000-8000-000000000001', physical: [{ name: 'c' }], logical: [], metadata: [] },
    ]);
  });

  it('skips the document type with its internal subset', () => {
    const text = catalogue('').replace('SYSTEM "InMemory"', '[<!ELEMENT POOLFILECATALOG (META*,File*)>]');
    expect(readPoolFileCatalogue(text)).toEqual([]);
  });

  it.each([
    ['text that is not XML', 'hello', 1],
    ['an empty text', '', 1],
    ['a document cut short', catalogue('  <File ID="').slice(0, 150), 5],
    ['another document', '<html></html>', 1],
    ['an unknown element', catalogue('<Fil/>'), 5],
    ['a PFN outside its place', catalogue('<pfn name="a"/>'), 5],
    ['a File without ID', catalogue('\n<File><physical/><logical/></File>'), 6],
    ['an ID that is no GUID', catalogue('<File ID="12"></File>'), 5],
    ['a GUID given twice', catalogue(`<File ID="${GUID}"></File>\n<File ID="${GUID.toLowerCase()}"></File>`), 6],
    ['a PFN without name', catalogue(`<File ID="${GUID}"><physical>\n<pfn/></physical></File>`), 6],
    [
      'a PFN given twice',
      catalogue(`<File ID="${GUID}"><physical>\n<pfn name="a"/>\n<pfn name="a"/></physical></File>`),
      7,
    ],
    ['an undefined entity', catalogue(`<File ID="${GUID}"><physical>\n<pfn name="&a;"/></physical></File>`), 6],
  ])('names file, line and column of %s', (_what, text, line) => {
    const failure = failureOf(text);
    expect(failure).toMatchObject({ code: 'CONFIG_INVALID', line });
    expect(failure.message).toContain(`pfc.xml:${line}:${String(failure.column)}: `);
  });
});

describe('writePoolFileCatalogue', () => {
  it('refuses a name that XML cannot hold', () => {
    const file = { guid: parseGuid(GUID), physical: [{ name: 'a\u0001' }], logical: [], metadata: [] };
    expect(() => writePoolFileCatalogue([file])).toThrow(/cannot hold/);
  });

  it('leaves out an input of a run whose name XML cannot hold, and says so', () => {
    const folder = mkdtempSync(join(tmpdir(), 'granule-catalogue-'));
    const input = (lfn: string, last: number): UsableInput => {
      const guid = parseGuid(`00000000-0000-8000-8000-00000000000${last}`);
      const facts = { format: 'ndjson', compression: 'none', sizeBytes: 1, sha256: '', eventCount: 1, runSegments: [] };
      return { place: `/in/${lfn}`, replicas: [], rank: last, record: { ...facts, guid, lfn } as FileRecord };
    };
    const path = join(folder, 'PoolFileCatalog.xml');
    const paths = { catalogue: path, places: join(folder, 'places.json') };
    writeRunCatalogue(paths, [input('a.ndjson', 1), input('esc\u001b.ndjson', 2), input('c\n"<.ndjson', 3)]);
    const text = readFileSync(path, 'utf8');
    rmSync(folder, { recursive: true });
    expect(text).toContain('<!-- left out: 00000000-0000-8000-8000-000000000002');
    expect(readPoolFileCatalogue(text).map(({ logical }) => logical[0])).toEqual(['a.ndjson', 'c\n"<.ndjson']);
  });

  it('gives back what it was given', () => {
    const text = fc
      .string({ unit: 'binary' })
      .filter((value) => !/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u.test(value));
    const physical = fc.record({ name: text, filetype: text, se: text }, { requiredKeys: ['name'] });
    const metadata = fc.array(fc.record({ name: text, value: text }));
    const record = fc.record({
      guid: fc.uuid().map(parseGuid),
      physical: fc.array(physical),
      logical: fc.array(text),
      metadata,
    });
    const unique = (names: string[]): boolean => new Set(names).size === names.length;
    const files = fc
      .array(record, { maxLength: 6 })
      .filter((list) => unique(list.map((file) => file.guid)))
      .filter((list) => unique(list.flatMap((file) => file.physical.map(({ name }) => name))))
      .filter((list) => unique(list.flatMap((file) => file.logical)));
    fc.assert(
      fc.property(files, (list: CatalogueFile[]) => {
        expect(readPoolFileCatalogue(writePoolFileCatalogue(list))).toEqual(list);
      }),
    );
  });
});
