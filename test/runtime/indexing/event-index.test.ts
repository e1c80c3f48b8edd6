/** The event index: real stores, shared by threads and processes. */
import { execFileSync } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AssertionFailure } from '../../../core/assert.ts';
import { type Guid, parseGuid } from '../../../core/ids.ts';
import { openStore } from '../../../core/store.ts';
import { EMPTY_INFO } from '../../../payloads/formats/event-stream-info.ts';
import { outputFormat } from '../../../payloads/formats/registry.ts';
import { EventIndex } from '../../../runtime/indexing/event-index.ts';
import { indexFile, indexStream } from '../../../runtime/indexing/index-file.ts';
import { IndexingPool } from '../../../runtime/indexing/indexing-pool.ts';
import { moduleForNode } from '../../module-for-node.ts';
import { indexBytes } from '../../payloads/formats/indexed.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-event-index-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let names = 0;
function freshPath(name: string): string {
  names += 1;
  return join(folder, `${names}-${name}`);
}

/** A listing of events with these numbers, of lengths that differ. */
function listing(eventNumbers: readonly number[]): Buffer {
  const events = eventNumbers.map(
    (n) => `E ${n} 0 1\nU GEV MM\nA 0 note ${'x'.repeat(Math.abs(n) % 97)}\nP 1 0 11 0 0 1 1 0 1\n`,
  );
  const header = 'HepMC::Version 3.02.05\nHepMC::Asciiv3-START_EVENT_LISTING\n';
  return Buffer.from(`${header}${events.join('')}HepMC::Asciiv3-END_EVENT_LISTING\n`);
}

function upTo(count: number, first = 0): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

describe('look-ups', () => {
  const numbers = [...upTo(1000), ...upTo(300, 500), -7];
  const bytes = listing(numbers);
  const { events } = indexBytes(bytes);
  let index: EventIndex;
  let guid: Guid;
  beforeAll(async () => {
    index = await EventIndex.open({ path: freshPath('store'), readOnly: false });
    const file = await indexStream([bytes], 'a.hepmc');
    guid = file.record.guid;
    await index.add(file);
    await index.add(await indexStream([listing(upTo(10, 995))], 'b.hepmc'));
    await index.add(await indexStream([Buffer.from('{"a":1}\n{"a":2}\n')], 'c.ndjson'));
  });
  afterAll(() => index.close());

  it('by span give the places of consecutive events', () => {
    for (const [first, count] of [
      [1, 1],
      [1, events.length],
      [128, 2],
      [129, 128],
      [700, 333],
    ] as const) {
      const span = index.lookupSpan(guid, first, count);
      const wanted = events.slice(first - 1, first - 1 + count);
      expect(Array.from(span.offsets)).toEqual(wanted.map(({ offsetBytes }) => offsetBytes));
      expect(Array.from(span.lengths)).toEqual(wanted.map(({ lengthBytes }) => lengthBytes));
    }
  });

  it('by list give the places in the order asked', () => {
    const positions = [1301, 1, 129, 128, 640, 1];
    const { offsets, lengths } = index.lookupPositions(guid, positions);
    expect(Array.from(offsets)).toEqual(positions.map((position) => events[position - 1]?.offsetBytes));
    expect(Array.from(lengths)).toEqual(positions.map((position) => events[position - 1]?.lengthBytes));
  });

  it('refuse positions and files that are not there', () => {
    const refused = expect.objectContaining({ code: 'EVENT_NOT_FOUND' });
    expect(() => index.lookupSpan(guid, 0, 1)).toThrow(refused);
    expect(() => index.lookupSpan(guid, 1301, 2)).toThrow(refused);
    expect(() => index.lookupPositions(guid, [1, 1302])).toThrow(refused);
    expect(() => index.lookupSpan(parseGuid('00000000-0000-8000-8000-000000000000'), 1, 1)).toThrow(refused);
  });

  it('by run and event number find every match in every file', () => {
    const matches = index.lookupEvents([
      [0, 600],
      [0, 3],
      [1, 3],
      [0, -7],
      [0, 999],
      [0, 5000],
    ]);
    const [, second] = [...index.files()];
    expect(matches).toEqual([
      { request: 0, guid, position: 601 },
      { request: 0, guid, position: 1101 },
      { request: 1, guid, position: 4 },
      { request: 3, guid, position: 1301 },
      { request: 4, guid, position: 1000 },
      { request: 4, guid: second?.guid, position: 5 },
    ]);
  });

  it('know the run numbers that gev files state', async () => {
    const gev = outputFormat('gev');
    const body = [7, 9].flatMap((runNumber) =>
      upTo(3).map((n) => gev.encode({ n }, { position: n + 1, eventNumber: n, runNumber })),
    );
    const begin = gev.begin({ stream: 'S', runHeader: new Uint8Array(0), inputFormat: 'hepmc3' });
    const file = await indexStream([Buffer.concat([begin, ...body, gev.end(EMPTY_INFO)])], 'd.gev');
    await index.add(file);
    expect(
      index.lookupEvents([
        [9, 1],
        [7, 2],
        [8, 1],
      ]),
    ).toEqual([
      { request: 0, guid: file.record.guid, position: 5 },
      { request: 1, guid: file.record.guid, position: 3 },
    ]);
  });

  it('list the files in the order in which they were added', () => {
    expect([...index.files()].map(({ lfn }) => lfn)).toEqual(['a.hepmc', 'b.hepmc', 'c.ndjson', 'd.gev']);
    expect(index.fileRecord(guid)).toMatchObject({ lfn: 'a.hepmc', eventCount: 1301 });
  });
});

describe('a store', () => {
  it('takes at most 40 bytes an event, numbers included', async () => {
    const path = freshPath('size');
    await using index = await EventIndex.open({ path, readOnly: false });
    const scattered = upTo(20_000).map((n) => (n * 7919) % 1_000_003);
    await index.add(await indexStream([listing(scattered)], 'a.hepmc'));
    expect(statSync(join(path, 'data.mdb')).size / 20_000).toBeLessThan(40);
  });

  it('takes at most 40 bytes an event with checksums, too, and gains those with a file that has them', async () => {
    const path = freshPath('sums');
    const bytes = listing(upTo(20_000).map((n) => (n * 7919) % 1_000_003));
    await using index = await EventIndex.open({ path, readOnly: false });
    const bare = await indexStream([bytes], 'a.hepmc');
    const { guid } = bare.record;
    await index.add(bare);
    expect([index.hasChecksums(guid), index.lookupSpan(guid, 1, 1).checksums]).toEqual([false, undefined]);
    const checked = await indexStream([bytes], 'a.hepmc', { checksums: true });
    await index.add(checked);
    await index.add(bare);
    expect(statSync(join(path, 'data.mdb')).size / 20_000).toBeLessThan(40);
    await using again = await EventIndex.open({ path, readOnly: true });
    expect(again.hasChecksums(guid)).toBe(true);
    expect(again.hasSameBlocks(guid, checked)).toBe(true);
    const { offsets, lengths, checksums } = again.lookupSpan(guid, 127, 300);
    const sums = Array.from(offsets, (offset, at) => crc32(bytes.subarray(offset, offset + (lengths[at] ?? 0))));
    expect([...(checksums ?? [])]).toEqual(sums);
  });

  it('is read by another process while it is open here, and shows what is added', async () => {
    const path = freshPath('shared');
    await using index = await EventIndex.open({ path, readOnly: false });
    const file = await indexStream([listing(upTo(200))], 'a.hepmc');
    await index.add(file);
    await using reader = await EventIndex.open({ path, readOnly: true });
    expect(reader.lookupSpan(file.record.guid, 200, 1).count).toBe(1);
    const script = `
      import { EventIndex } from ${JSON.stringify(moduleForNode('runtime/indexing/event-index.ts').href)};
      const index = await EventIndex.open({ path: ${JSON.stringify(path)}, readOnly: true });
      console.log(index.lookupSpan('${file.record.guid}', 150, 1).lengths[0]);
      await index.close();`;
    const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
    expect(Number(output)).toBe(index.lookupSpan(file.record.guid, 150, 1).lengths[0]);
    const second = await indexStream([listing([3])], 'b.hepmc');
    await index.add(second);
    await new Promise((resolve) => setImmediate(resolve));
    expect(reader.fileRecord(second.record.guid)).toEqual(second.record);
  });

  it('is written by threads of a process that has it open to read it', async () => {
    const path = freshPath('beside');
    const begun = await EventIndex.open({ path, readOnly: false });
    const file = await indexStream([listing(upTo(200))], 'a.hepmc');
    await begun.add(file);
    await begun.close();
    await using reader = await EventIndex.openBesideWriters(path);
    expect(reader.lookupSpan(file.record.guid, 200, 1).count).toBe(1);
    const added = join(folder, 'added.hepmc');
    writeFileSync(added, listing([3]));
    await using pool = new IndexingPool({ indexPath: path, threadsMax: 1 });
    const { record } = await pool.index(added);
    expect(reader.fileRecord(record.guid)).toEqual(record);
  });

  it('that is not there cannot be read', async () => {
    await expect(EventIndex.open({ path: freshPath('none'), readOnly: true })).rejects.toMatchObject({
      code: 'STORE_MISSING',
    });
    const begun = freshPath('begun');
    const store = openStore({
      path: begun,
      readOnly: false,
      mapSizeBytes: 1 << 24,
      databasesMax: 8,
      durableCommits: true,
    });
    await store.close();
    await expect(EventIndex.open({ path: begun, readOnly: true })).rejects.toMatchObject({ code: 'STORE_MISSING' });
  });

  it('keeps a file once, however often it is added', async () => {
    const path = freshPath('twice');
    await using index = await EventIndex.open({ path, readOnly: false });
    const file = await indexStream([listing(upTo(5))], 'a.hepmc');
    await Promise.all([index.add(file), index.add(file), index.add(file)]);
    expect([...index.files()]).toHaveLength(1);
    expect(index.lookupEvents([[0, 2]])).toHaveLength(1);
  });
});

describe('an indexing pool', () => {
  it('reads a file once, again when it is touched, and says when its content changed', async () => {
    const path = freshPath('events.hepmc');
    writeFileSync(path, listing(upTo(10)));
    await using pool = new IndexingPool({ indexPath: freshPath('store'), threadsMax: 2 });
    const first = await pool.index(path);
    expect(first).toMatchObject({ outcome: 'read', previousGuid: null, record: { eventCount: 10 } });
    expect(await pool.index(path)).toEqual({ ...first, outcome: 'kept' });
    utimesSync(path, 1_000_000, 1_000_000);
    expect(await pool.index(path)).toMatchObject({ outcome: 'read', record: { guid: first.record.guid } });
    expect(await pool.index(path)).toMatchObject({ outcome: 'kept' });

    writeFileSync(path, listing(upTo(11)));
    const changed = await pool.index(path);
    expect(changed).toMatchObject({ outcome: 'changed', previousGuid: first.record.guid, record: { eventCount: 11 } });
    expect(await pool.index(path)).toEqual(changed);
    expect(await pool.index(path, { acceptChange: true })).toMatchObject({ outcome: 'changed' });
    expect(await pool.index(path)).toMatchObject({ outcome: 'kept', record: { guid: changed.record.guid } });
  });

  it('indexes many files at once, keeps the index across restarts, and names bad files', async () => {
    const store = freshPath('store');
    const paths = upTo(12).map((n) => {
      const path = freshPath('events.hepmc');
      writeFileSync(path, listing(upTo(n + 1)));
      return path;
    });
    const bad = freshPath('bad.hepmc');
    writeFileSync(bad, 'HepMC::Version 3\n');
    const answers = await (async () => {
      await using pool = new IndexingPool({ indexPath: store, threadsMax: 2 });
      const refused = expect(pool.index(bad)).rejects.toMatchObject({
        code: 'INPUT_TRUNCATED',
        message: expect.stringContaining(bad),
      });
      const indexed = await Promise.all(paths.map((path) => pool.index(path)));
      await refused;
      return indexed;
    })();
    expect(answers.map(({ record }) => record.eventCount)).toEqual(upTo(12, 1));
    await using again = new IndexingPool({ indexPath: store, threadsMax: 1 });
    expect((await Promise.all(paths.map((path) => again.index(path)))).map(({ outcome }) => outcome)).toEqual(
      paths.map(() => 'kept'),
    );
  });

  it('verifies files against what the index keeps', async () => {
    const path = freshPath('events.hepmc');
    const other = freshPath('other.hepmc');
    writeFileSync(path, listing(upTo(300)));
    writeFileSync(other, listing([5]));
    await using pool = new IndexingPool({ indexPath: freshPath('store'), threadsMax: 1 });
    const { record } = await pool.index(path);
    expect(await pool.verify(record.guid, path)).toEqual({ kind: 'same' });
    const found = (await indexFile(other)).file.record.guid;
    expect(await pool.verify(record.guid, other)).toEqual({ kind: 'other-content', found });
    expect(await pool.verify(found, other)).toEqual({ kind: 'unknown' });
  });

  it('gives up when asked to, queued or running, and goes on with the rest', async () => {
    const path = freshPath('events.hepmc');
    writeFileSync(path, listing(upTo(2000)));
    await using pool = new IndexingPool({ indexPath: freshPath('store'), threadsMax: 1 });
    const controllers = upTo(4).map(() => new AbortController());
    const answers = controllers.map(({ signal }) => pool.index(path, { signal }));
    for (const controller of controllers.slice(0, 3)) controller.abort(new Error('not wanted'));
    for (const answer of answers.slice(0, 3)) await expect(answer).rejects.toThrow('not wanted');
    expect(await answers[3]).toMatchObject({ record: { eventCount: 2000 } });
    await expect(pool.index(path, { signal: AbortSignal.abort(new Error('never')) })).rejects.toThrow('never');
  });

  it('finishes what was asked for when it is closed, and is told of one signal by one listener', async () => {
    const paths = upTo(40).map((index) => {
      const path = freshPath('closing.ndjson');
      writeFileSync(path, `{"event":${index}}\n`);
      return path;
    });
    const { signal } = new AbortController();
    const pool = new IndexingPool({ indexPath: freshPath('store'), threadsMax: 2, tree: null });
    const answers = paths.map((path) => pool.index(path, { signal }));
    expect(getEventListeners(signal, 'abort').length).toBe(1);
    const closed = pool.close();
    expect((await Promise.all(answers)).map(({ outcome }) => outcome)).toEqual(paths.map(() => 'read'));
    await closed;
    await expect(pool.index(paths[0] ?? '')).rejects.toThrow(AssertionFailure);
  });

  it('tells everybody who waits when the store cannot be opened', async () => {
    const store = freshPath('file');
    writeFileSync(store, 'not a folder');
    await using pool = new IndexingPool({ indexPath: store, threadsMax: 2 });
    const both = [pool.index(store), pool.index(store)];
    for (const answer of both) await expect(answer).rejects.toMatchObject({ code: 'OUTPUT_UNWRITABLE' });
    expect(readFileSync(store, 'utf8')).toBe('not a folder');
  });
});
