/**
 * A thread that indexes files and writes the event index itself, so that neither reading nor committing ever holds up the
 * main thread. Started by `IndexingPool`, which asks for many files at once: local
 * ones are read one at a time, and committed together; remote ones are all looked at, and some at a time read.
 */
import { setMaxListeners } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import { assert, assertNever } from '../../core/assert.ts';
import { systemClock } from '../../core/clock.ts';
import { GranuleError, serialiseError } from '../../core/errors.ts';
import { REMOTE_FILES_READ_MAX } from '../../core/limits.ts';
import { silentLogger } from '../../core/log.ts';
import { indexRemote, verifyRemote } from '../remote/index-remote.ts';
import { isRemotePlace } from '../remote/place.ts';
import { REMOTE_DEFAULTS } from '../remote/remote-options.ts';
import { SourceFactory } from '../remote/source-factory.ts';
import { RootThread } from '../root/root-thread.ts';
import { Slots } from '../slots.ts';
import { EventIndex } from './event-index.ts';
import type { DescribeRoot } from './index-file.ts';
import type { IndexingReply, IndexingRequest, IndexingThreadData, ToIndexingThread } from './indexing-messages.ts';
import { indexPath, verifyPath } from './keep-index.ts';

const { indexPath: storePath, sources } = workerData as IndexingThreadData;
/** Starts a thread of its own with the first ROOT file. */
const rootThread = new RootThread(sources ?? { remote: REMOTE_DEFAULTS, cache: undefined });
const describeRoot: DescribeRoot = (record, places) => rootThread.describe({ record, places });

const readSlots = new Slots(REMOTE_FILES_READ_MAX);
/** Local files are read one after the other, in the order in which they were asked for. */
const diskSlots = new Slots(1);

/** Made with the first remote file. */
let factory: Promise<SourceFactory> | undefined;

function openFactory(): Promise<SourceFactory> {
  assert(sources !== null, 'remote files are indexed by pools that were told how');
  factory ??= SourceFactory.open(sources, silentLogger, systemClock);
  return factory;
}

async function answer(index: EventIndex, request: IndexingRequest, signal: AbortSignal): Promise<IndexingReply> {
  const { id, task, cancelled } = request;
  const checkCancelled = () => {
    if (Atomics.load(cancelled, 0) !== 0) throw new GranuleError('INTERNAL', 'indexing was given up');
  };
  switch (task.kind) {
    case 'index': {
      const { path, acceptChange } = task;
      return {
        kind: 'indexed',
        id,
        answer: await indexPath(index, path, { acceptChange, checkCancelled, describeRoot, readSlots: diskSlots }),
      };
    }
    case 'index-remote': {
      const { file, acceptChange } = task;
      return {
        kind: 'indexed',
        id,
        answer: await indexRemote(index, await openFactory(), file, { acceptChange, signal, describeRoot, readSlots }),
      };
    }
    case 'check-branches': {
      const { record, places, branches } = task;
      const tree = record.trees?.chosen;
      assert(typeof tree === 'string', 'a tree is chosen before its branches are');
      await rootThread.openTree({ record, places }, { tree, branches });
      return { kind: 'branches-checked', id };
    }
    case 'verify': {
      const { place, guid } = task;
      return {
        kind: 'verified',
        id,
        answer: isRemotePlace(place)
          ? await verifyRemote(index, await openFactory(), { guid, place }, { signal, describeRoot, readSlots })
          : await verifyPath(index, guid, place, { checkCancelled, describeRoot }),
      };
    }
    default:
      return assertNever(task, 'indexing task');
  }
}

async function main(): Promise<void> {
  const port = parentPort;
  assert(port !== null, 'this file is the entry of a thread');
  const index = await EventIndex.open({ path: storePath, readOnly: false });
  const aborts = new Map<number, AbortController>();
  const serve = async (request: IndexingRequest): Promise<void> => {
    const { id } = request;
    const abort = new AbortController();
    setMaxListeners(0, abort.signal);
    aborts.set(id, abort);
    const reply = await answer(index, request, abort.signal).catch(
      (error: unknown): IndexingReply => ({ kind: 'failed', id, error: serialiseError(error) }),
    );
    aborts.delete(id);
    port.postMessage(reply);
  };
  const end = async () => {
    await rootThread.close();
    await index.close();
    if (factory !== undefined) await (await factory).close();
    port.close();
  };
  port.on('message', (message: ToIndexingThread) => {
    switch (message.kind) {
      case 'request':
        void serve(message);
        break;
      case 'cancel':
        aborts.get(message.id)?.abort(new GranuleError('INTERNAL', 'indexing was given up'));
        break;
      case 'end':
        void end();
        break;
      default:
        assertNever(message, 'message to an indexing thread');
    }
  });
  port.postMessage({ kind: 'ready' } satisfies IndexingReply);
}

main().catch((error: unknown) => {
  parentPort?.postMessage({ kind: 'broken', error: serialiseError(error) } satisfies IndexingReply);
});
