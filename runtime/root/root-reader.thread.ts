/**
 * The thread that reads ROOT files, one task at a time, and alone loads jsroot. It may die of an error inside jsroot:
 * {@link RootThread} then starts another. Its console, which jsroot writes to, leads nowhere.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { assert, assertNever } from '../../core/assert.ts';
import { systemClock } from '../../core/clock.ts';
import { serialiseError } from '../../core/errors.ts';
import { ROOT_FILES_OPEN_MAX } from '../../core/limits.ts';
import { silentLogger } from '../../core/log.ts';
import { SourceFactory } from '../remote/source-factory.ts';
import type { SourceOptions } from '../remote/source-options.ts';
import { type Jsroot, loadJsroot } from './jsroot.ts';
import type { FromRootThread, RootAnswer, RootFile, RootTask } from './root-messages.ts';
import { RootTreeReader } from './root-tree-reader.ts';

const sources = workerData as SourceOptions;
const port = parentPort;
assert(port !== null, 'this file is the entry of a thread');

function send(message: FromRootThread): void {
  const transfer =
    message.kind === 'entries'
      ? [message.bytes.buffer, message.ends.buffer]
      : message.kind === 'groups'
        ? [message.starts.buffer]
        : [];
  port?.postMessage(message, transfer);
}

const silent = (): void => undefined;
for (const method of ['log', 'warn', 'error', 'info', 'debug'] as const) console[method] = silent;

let jsroot: Promise<Jsroot> | undefined;
let factory: Promise<SourceFactory> | undefined;
/** least recently used first */
const readers = new Map<string, Promise<RootTreeReader>>();

async function openReader({ record, places }: RootFile): Promise<RootTreeReader> {
  jsroot ??= loadJsroot();
  const loaded = await jsroot;
  factory ??= SourceFactory.open(sources, silentLogger, systemClock);
  const source = (await factory).events({ ...record, compression: 'none' }, places);
  return RootTreeReader.open({
    jsroot: loaded,
    source,
    lfn: record.lfn,
    onRead: () => send({ kind: 'progress' }),
  });
}

async function readerOf(file: RootFile): Promise<RootTreeReader> {
  const key = `${file.record.sha256} ${file.places.join(' ')}`;
  const known = readers.get(key) ?? openReader(file);
  readers.delete(key);
  readers.set(key, known);
  known.catch(() => readers.delete(key));
  const [oldest] = readers;
  if (readers.size > ROOT_FILES_OPEN_MAX && oldest !== undefined) {
    readers.delete(oldest[0]);
    await (await oldest[1]).close();
  }
  return known;
}

async function perform(task: RootTask): Promise<RootAnswer> {
  const reader = await readerOf(task.file);
  switch (task.kind) {
    case 'list-trees':
      return { kind: 'trees', trees: await reader.listTrees() };
    case 'read-numbers':
      return { kind: 'numbers', numbers: await reader.readNumbers(task.trees) };
    case 'open-tree':
      return { kind: 'groups', starts: await reader.groups(task.selection) };
    case 'read-entries':
      return { kind: 'entries', ...(await reader.read(task.selection, task.firstEntry, task.endEntry)) };
    default:
      return assertNever(task, 'task of the ROOT thread');
  }
}

port.on('message', (task: RootTask | null) => {
  if (task === null) {
    void end();
    return;
  }
  perform(task).then(send, (error: unknown) => send({ kind: 'failed', error: serialiseError(error) }));
});

async function end(): Promise<void> {
  for (const reader of readers.values()) await (await reader).close();
  if (factory !== undefined) await (await factory).close();
  port?.close();
}
