/** Reading files and streams once: identity, places, and every way in which a file can be bad. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { crc32, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { guidFromSha256 } from '../../../core/ids.ts';
import { indexFile, indexStream } from '../../../runtime/indexing/index-file.ts';
import { unpackPlaceBlock } from '../../../runtime/indexing/place-blocks.ts';
import { BROKEN_FILE, EVENT_DATA_FILES, eventDataNote, hasEventData, readEventData } from '../../event-data.ts';
import { indexBytes } from '../../payloads/formats/indexed.ts';

const HEPMC =
  'HepMC::Version 3.02.05\nHepMC::Asciiv3-START_EVENT_LISTING\n' +
  'E 1 0 1\nU GEV MM\nP 1 0 11 0 0 1 1 0 1\nE 2 0 1\nU GEV MM\nP 1 0 11 0 0 1 1 0 1\n' +
  'HepMC::Asciiv3-END_EVENT_LISTING\n';
const LHE = '<LesHouchesEvents version="1.0">\n<init>\n</init>\n<event>\n0 0 1 1 1 1\n</event>\n';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-index-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe.skipIf(!hasEventData)(`real files${eventDataNote}`, () => {
  it.each(EVENT_DATA_FILES.map((file) => [basename(file.path), file] as const))(
    '%s has its count, its content hash and the places its format finds',
    async (name, file) => {
      const { file: indexed, stamp } = await indexFile(file.path);
      const raw = readFileSync(file.path);
      const digest = createHash('sha256').update(raw).digest();
      expect(indexed.record).toMatchObject({
        lfn: name,
        format: file.format,
        compression: name.endsWith('.gz') ? 'gzip' : 'none',
        sizeBytes: raw.length,
        sha256: digest.toString('hex'),
        guid: guidFromSha256(digest),
        eventCount: file.events,
      });
      expect(stamp.sizeBytes).toBe(raw.length);
      const { events, segments } = indexBytes(readEventData(file.path));
      expect(indexed.runSegments).toEqual(segments);
      const places = indexed.placeBlocks.flatMap((block, index) => {
        const { offsets, lengths } = unpackPlaceBlock(block, Math.min(128, file.events - 128 * index));
        return Array.from(offsets, (offsetBytes, at) => ({ offsetBytes, lengthBytes: lengths[at] }));
      });
      expect(places).toEqual(events.map(({ offsetBytes, lengthBytes }) => ({ offsetBytes, lengthBytes })));
    },
  );

  it.each([1, 97, 4096, 1_000_000])(
    'a stream in pieces of %d bytes gives the checksum of each event',
    async (pieceBytes) => {
      const enough = pieceBytes === 1 ? 40_000 : Number.POSITIVE_INFINITY;
      for (const { path, events } of EVENT_DATA_FILES) {
        const content = readEventData(path);
        if (content.length > enough) continue;
        const { placeBlocks } = await indexStream(inPieces(content, pieceBytes), basename(path), { checksums: true });
        const places = placeBlocks.map((block, index) => unpackPlaceBlock(block, Math.min(128, events - 128 * index)));
        for (const { offsets, lengths, checksums } of places) {
          const sums = Array.from(offsets, (offset, at) =>
            crc32(content.subarray(offset, offset + (lengths[at] ?? 0))),
          );
          expect([...(checksums ?? [])]).toEqual(sums);
        }
      }
    },
  );

  it('a stream in pieces of any size gives the same as the file, gzipped or not', async () => {
    for (const { path } of EVENT_DATA_FILES.slice(1, 6)) {
      const { file } = await indexFile(path);
      const raw = readFileSync(path);
      expect(await indexStream(inPieces(raw, 7919), basename(path))).toEqual(file);
    }
  });

  it('refuses the broken file with the place where it ends', async () => {
    await expect(indexFile(BROKEN_FILE)).rejects.toMatchObject({
      code: 'INPUT_TRUNCATED',
      message: expect.stringContaining('broken.dat'),
      details: { offsetBytes: 2046, position: 1, lastCompletePosition: 0 },
    });
  });
});

describe('gzip', () => {
  it('is known by content, several members included', async () => {
    const half = HEPMC.length / 2;
    const members = Buffer.concat([gzipSync(HEPMC.slice(0, half)), gzipSync(HEPMC.slice(half))]);
    const { file } = await indexFile(write('members.dat', members));
    expect(file.record).toMatchObject({ compression: 'gzip', eventCount: 2, sizeBytes: members.length });
    expect(await indexStream(inPieces(members, 1), 'members.dat')).toEqual(file);
  });

  it('is refused when it is cut, when it is damaged, and when what it holds is cut', async () => {
    const whole = gzipSync(HEPMC);
    const cut = whole.subarray(0, whole.length - 12);
    await expect(indexFile(write('cut.gz', cut))).rejects.toMatchObject({
      code: 'INPUT_TRUNCATED',
      details: { offsetBytes: cut.length },
    });
    const damaged = Buffer.from(whole);
    damaged.fill(0xff, 12, 40);
    await expect(indexFile(write('damaged.gz', damaged))).rejects.toMatchObject({ code: 'INPUT_MALFORMED' });
    await expect(indexFile(write('inner.gz', gzipSync(HEPMC.slice(0, -10))))).rejects.toMatchObject({
      code: 'INPUT_TRUNCATED',
    });
  });
});

describe('a bad file', () => {
  it.each([
    ['an empty one', 'empty.hepmc', '', 'INPUT_EMPTY'],
    ['an empty one, gzipped', 'empty.gz', gzipSync(''), 'INPUT_EMPTY'],
    ['one without events', 'none.hepmc', HEPMC.replace(/^[EUP] .*\n/gm, ''), 'INPUT_EMPTY'],
    ['blank lines only', 'blank.ndjson', ' \n\n', 'INPUT_EMPTY'],
    ['binary', 'binary.hepmc', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2, 3]), 'INPUT_UNRECOGNISED'],
    ['text', 'text.lhe', 'just words\n', 'INPUT_UNRECOGNISED'],
    ['an LHE file without its end tag', 'cut.lhe', LHE, 'INPUT_TRUNCATED'],
    ['a cut HepMC file', 'cut.hepmc', HEPMC.slice(0, -40), 'INPUT_TRUNCATED'],
  ])('%s is refused by name', async (_, name, content, code) => {
    const path = write(name, content);
    await expect(indexFile(path)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(path),
      details: expect.objectContaining({ file: path }),
    });
  });

  it('says what was found and which formats are read', async () => {
    await expect(indexFile(write('words', 'just words\n'))).rejects.toMatchObject({
      message: expect.stringContaining('just words'),
      remedy: expect.stringContaining('HepMC3'),
    });
  });

  it.each([
    ['UTF-16', Buffer.from('\ufeff{"a":1}\n', 'utf16le'), 'save it as UTF-8'],
    ['a byte order mark before HepMC', `\ufeff${HEPMC}`, 'remove the byte order mark'],
    ['gzip in gzip', gzipSync(gzipSync(HEPMC)), 'unpack it once'],
    ['bzip2', 'BZh91AY&SY', 'bzip2'],
  ])('says how %s could be read', async (name, content, remedy) => {
    const found = expect.objectContaining({ code: 'INPUT_UNRECOGNISED', remedy: expect.stringContaining(remedy) });
    await expect(indexFile(write(name, content))).rejects.toEqual(found);
  });

  it('that a link leads to no more, or whose name is not UTF-8, is refused with what to do', async () => {
    symlinkSync(join(folder, 'nowhere'), join(folder, 'dangling'));
    symlinkSync(join(folder, 'ring'), join(folder, 'ring'));
    await expect(indexFile(join(folder, 'dangling'))).rejects.toMatchObject({
      code: 'INPUT_NOT_FOUND',
      message: expect.stringContaining('leads to nothing'),
    });
    await expect(indexFile(join(folder, 'ring'))).rejects.toMatchObject({
      code: 'INPUT_UNREADABLE',
      remedy: expect.stringContaining('leads to itself'),
    });
    await expect(indexFile(join(folder, 'ba\ufffdd'))).rejects.toMatchObject({
      code: 'INPUT_NOT_FOUND',
      remedy: expect.stringContaining('not UTF-8'),
    });
  });

  it('that is missing, a folder, or forbidden is refused', async () => {
    await expect(indexFile(join(folder, 'missing'))).rejects.toMatchObject({ code: 'INPUT_NOT_FOUND' });
    mkdirSync(join(folder, 'sub'));
    await expect(indexFile(join(folder, 'sub'))).rejects.toMatchObject({ code: 'INPUT_UNREADABLE' });
    if (process.getuid?.() === 0) return;
    const path = write('secret', HEPMC);
    chmodSync(path, 0o000);
    await expect(indexFile(path)).rejects.toMatchObject({ code: 'INPUT_UNREADABLE' });
  });

  it('that grows while it is read is refused', async () => {
    const path = write('growing.hepmc', HEPMC);
    let checks = 0;
    const grow = () => {
      checks += 1;
      if (checks === 1) writeFileSync(path, HEPMC, { flag: 'a' });
    };
    await expect(indexFile(path, { checkCancelled: grow })).rejects.toMatchObject({ code: 'INPUT_CHANGED' });
  });
});
