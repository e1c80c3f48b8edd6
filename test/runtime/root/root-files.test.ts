/** Real ROOT files, read as runs read them and compared with what jsroot itself says of them. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { FileRecord } from '../../../core/file-index.ts';
import { guidFromSha256 } from '../../../core/ids.ts';
import { inputFormat } from '../../../payloads/formats/registry.ts';
import { EventIndex } from '../../../runtime/indexing/event-index.ts';
import { IndexingPool } from '../../../runtime/indexing/indexing-pool.ts';
import { REMOTE_DEFAULTS } from '../../../runtime/remote/remote-options.ts';
import type { RootFileProxy } from '../../../runtime/root/jsroot.ts';
import { RootEventReader } from '../../../runtime/root/root-event-reader.ts';
import { ROOT_DATA_FILES } from '../../event-data.ts';
import { canReadRoot, jsroot, rootNote } from './jsroot-here.ts';

const sources = { remote: REMOTE_DEFAULTS, cache: undefined };
const never = new AbortController().signal;

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'granule-root-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Entries of a file by jsroot alone, from memory. */
async function readDirectly(
  path: string,
  tree: string,
  entries: readonly number[],
): Promise<Record<string, unknown>[]> {
  if (jsroot === undefined) throw new Error('jsroot is not installed');
  const content = readFileSync(path);
  const view = (offset = 0, length = 0) => new DataView(content.buffer, content.byteOffset + offset, length);
  const proxy: RootFileProxy = {
    openFile: () => Promise.resolve(true),
    getFileName: () => path,
    getFileSize: () => content.length,
    readBuffers: (places) =>
      Promise.resolve(places.flatMap((place, index) => (index % 2 === 0 ? [view(place, places[index + 1])] : []))),
  };
  const file = await jsroot.openFile(Object.assign(new jsroot.FileProxy(), proxy));
  const object = (await file.readObject(tree)) as Parameters<typeof jsroot.treeProcess>[0];
  const found: Record<string, unknown>[] = [];
  for (const entry of entries) {
    const selector = new jsroot.TSelector();
    for (const branch of object.fBranches.arr) selector.addBranch(branch, branch.fName);
    selector.Process = () => {
      found.push(Object.fromEntries(Object.entries(selector.tgtobj).map(([name, value]) => [name, asArray(value)])));
    };
    await jsroot.treeProcess(object, selector, { firstentry: entry, numentries: 1 });
  }
  return found;
}

function asArray(value: unknown): unknown {
  return ArrayBuffer.isView(value) ? [...(value as Float32Array)] : value;
}

async function indexed(place: string, tree?: string | null, branches: readonly string[] = []): Promise<FileRecord> {
  await using pool = new IndexingPool({
    indexPath: join(folder, 'index'),
    threadsMax: 1,
    sources,
    ...(tree === undefined ? {} : { tree, branches }),
  });
  const answer = place.startsWith('http') ? await pool.indexRemote({ places: [place] }) : await pool.index(place);
  return answer.record;
}

/** Events at these entries, one by one. */
async function readEvents(
  record: FileRecord,
  place: string,
  entries: readonly number[],
  branches: readonly string[] = [],
): Promise<unknown[]> {
  const reader = new RootEventReader(sources, branches);
  try {
    reader.addFile({ fileIndex: 0, record, places: [place] });
    const requests = entries.map((entry) => ({ fileIndex: 0, offsetBytes: entry, lengthBytes: 1 }));
    reader.plan(requests);
    const results = await reader.read(requests, never);
    return results.map((result) =>
      'lengths' in result ? inputFormat('root').decode(result.bytes, new Uint8Array(0)) : result,
    );
  } finally {
    await reader.close();
  }
}

/** A server of one file that knows ranges. */
async function serve(path: string): Promise<{ readonly url: string; readonly server: Server }> {
  const content = readFileSync(path);
  const server = createServer((request, response) => {
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const [first, last] = range === null ? [0, content.length - 1] : [Number(range[1]), Number(range[2])];
    const headers = { ETag: '"1"', 'Accept-Ranges': 'bytes', 'Content-Length': last - first + 1 };
    if (range === null) response.writeHead(200, headers);
    else response.writeHead(206, { ...headers, 'Content-Range': `bytes ${first}-${last}/${content.length}` });
    response.end(request.method === 'HEAD' ? undefined : content.subarray(first, last + 1));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/${basename(path)}`, server };
}

describe.skipIf(!canReadRoot)(`ROOT files${rootNote}`, () => {
  it.each(ROOT_DATA_FILES)('$path: entries are its events', async ({ path, events, tree }) => {
    const record = await indexed(path);
    const digest = createHash('sha256').update(readFileSync(path)).digest();
    expect(record).toMatchObject({
      format: 'root',
      guid: guidFromSha256(digest),
      lfn: basename(path),
      eventCount: events,
      runSegments: [],
      trees: { chosen: tree, all: [{ name: tree, entryCount: events }] },
    });
    const entries = [0, 1, Math.floor(events / 2), events - 1];
    expect(await readEvents(record, path, entries)).toEqual(await readDirectly(path, tree, entries));
  });

  it.each([
    ['Zmumu', 'Run', 'Event'],
    ['nanoAOD', 'run', 'event'],
  ])('%s is found by %s and %s of its entries', async (name, runBranch, eventBranch) => {
    const file = ROOT_DATA_FILES.find(({ path }) => basename(path).startsWith(name));
    const record = await indexed(file?.path ?? '');
    expect(record.trees?.numbered).toBe(file?.tree);
    const entries = [0, 57, (file?.events ?? 0) - 1];
    const values = await readDirectly(file?.path ?? '', file?.tree ?? '', entries);
    await using index = await EventIndex.open({ path: join(folder, 'index'), readOnly: true });
    const wanted = values.map((entry): [number, number] => [Number(entry[runBranch]), Number(entry[eventBranch])]);
    const matches = index.lookupEvents(wanted);
    for (const [request, entry] of entries.entries()) {
      expect(matches).toContainEqual({ request, guid: record.guid, position: entry + 1 });
    }
    expect(index.lookupEvents([[-5, 1]])).toEqual([]);
  });

  it('without such branches are found by no number', async () => {
    const [file] = ROOT_DATA_FILES;
    expect((await indexed(file?.path ?? '')).trees?.numbered).toBe(undefined);
  });

  it('are refused before anything is read of them when they lack a branch that is asked for', async () => {
    const [file] = ROOT_DATA_FILES;
    const path = file?.path ?? '';
    expect((await indexed(path, null, ['NMuon', 'Muon_P*', '!Muon_Px'])).eventCount).toBe(file?.events);
    await expect(indexed(path, null, ['NMuon', 'Muon_Pxx'])).rejects.toMatchObject({
      code: 'INPUT_TREE_UNKNOWN',
      message: `${basename(path)}, tree ${file?.tree}: there is no branch Muon_Pxx`,
      remedy: expect.stringContaining('Muon_Px'),
    });
  });

  it('are read over HTTP as they are from disk', async () => {
    const [file] = ROOT_DATA_FILES;
    const { url, server } = await serve(file?.path ?? '');
    try {
      const record = await indexed(url);
      expect(record).toEqual(await indexed(file?.path ?? ''));
      const branches = ['NMuon', 'Muon_P*'];
      const events = await readEvents(record, url, [3, 2000], branches);
      expect(events).toEqual(await readEvents(record, file?.path ?? '', [3, 2000], branches));
      expect(Object.keys(events[0] as object)).toEqual(['NMuon', 'Muon_Px', 'Muon_Py', 'Muon_Pz']);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('give ranges of several entries in one piece, and single ones out of order', async () => {
    const [, file] = ROOT_DATA_FILES;
    const path = file?.path ?? '';
    const reader = new RootEventReader(sources, ['Event']);
    reader.addFile({ fileIndex: 5, record: await indexed(path), places: [path] });
    const request = (offsetBytes: number, lengthBytes: number) => ({ fileIndex: 5, offsetBytes, lengthBytes });
    const [several, late, early] = await reader.read([request(10, 3), request(2000, 1), request(1, 1)], never);
    await reader.close();
    const found: unknown[] = [];
    for (const run of [several, late, early]) {
      if (run === undefined || !('lengths' in run)) throw new Error('an error came');
      let at = 0;
      for (const length of run.lengths) {
        found.push(inputFormat('root').identify(run.bytes.subarray(at, at + length)).eventNumber);
        at += length;
      }
      expect(at).toBe(run.bytes.length);
    }
    const direct = await readDirectly(path, 'events', [10, 11, 12, 2000, 1]);
    expect(found).toEqual(direct.map((event) => event['Event']));
  });

  it('name trees and branches that are not there', async () => {
    const [file] = ROOT_DATA_FILES;
    const path = file?.path ?? '';
    await expect(indexed(path, 'event')).rejects.toMatchObject({
      code: 'INPUT_TREE_UNKNOWN',
      remedy: 'did you mean "events"?',
    });
    const [error] = await readEvents(await indexed(path), path, [0], ['NMoun']);
    expect(error).toMatchObject({ code: 'INPUT_TREE_UNKNOWN', remedy: expect.stringContaining('"NMuon"') });
  });

  it('that make jsroot throw outside its promises fail alone: the thread is replaced', async () => {
    const [damaged, whole] = ROOT_DATA_FILES;
    const content = readFileSync(damaged?.path ?? '');
    content[97_631] = (content[97_631] ?? 0) ^ 0xff; // within a basket of Muon data: a length that leads beyond its end
    const path = join(folder, 'damaged.root');
    writeFileSync(path, content);
    const reader = new RootEventReader(sources, []);
    reader.addFile({ fileIndex: 0, record: await indexed(path), places: [path] });
    reader.addFile({ fileIndex: 1, record: await indexed(whole?.path ?? ''), places: [whole?.path ?? ''] });
    const request = (fileIndex: number) => ({ fileIndex, offsetBytes: 0, lengthBytes: 1 });
    const [first, other, again] = await reader.read([request(0), request(1), request(0)], never);
    await reader.close();
    expect(first).toMatchObject({
      code: 'INPUT_ROOT_FAILED',
      message: expect.stringMatching(/^damaged\.root: entries 0 to 2420 of tree events cannot be read: jsroot fails: /),
    });
    expect(other).toMatchObject({ lengths: [expect.any(Number)] });
    expect(again).toBe(first);
  });

  it('that are cut are refused', async () => {
    const [file] = ROOT_DATA_FILES;
    const path = join(folder, 'cut.root');
    writeFileSync(path, readFileSync(file?.path ?? '').subarray(0, 100_000));
    await expect(indexed(path)).rejects.toMatchObject({
      code: 'INPUT_ROOT_FAILED',
      message: expect.stringContaining('cut.root'),
    });
  });
});

describe('ROOT files that are not read', () => {
  it('are those compressed once more, by a reason, however long they are', async () => {
    const path = join(folder, 'twice.root.gz');
    writeFileSync(path, gzipSync(Buffer.concat([Buffer.from('root'), randomBytes(500_000)])));
    await expect(indexed(path)).rejects.toMatchObject({
      code: 'INPUT_UNRECOGNISED',
      remedy: expect.stringContaining('unpack the file'),
    });
  });

  const isBeside = existsSync(new URL('../../../node_modules/jsroot', import.meta.url));
  it.skipIf(isBeside)('are all without jsroot: one line says what to install', async () => {
    vi.stubEnv('NODE_PATH', '');
    onTestFinished(() => void vi.unstubAllEnvs());
    const path = join(folder, 'a.root');
    writeFileSync(path, Buffer.from('root\0\0\0\0'));
    await expect(indexed(path)).rejects.toMatchObject({
      code: 'INPUT_READER_MISSING',
      message: expect.stringContaining('a.root: to read ROOT files, the optional package jsroot must be installed'),
      remedy: expect.stringContaining('npm install --ignore-scripts jsroot'),
    });
  });
});
