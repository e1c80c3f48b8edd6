/**
 * A thread that indexes files, one request at a time, and writes the event index itself, so that neither reading nor
 * committing ever holds up the main thread. Started by `IndexingPool`.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { assert, assertNever } from '../../core/assert.ts';
import { systemClock } from '../../core/clock.ts';
import { GranuleError, serialiseError } from '../../core/errors.ts';
import { silentLogger } from '../../core/log.ts';
import { indexRemote } from '../remote/index-remote.ts';
import { REMOTE_DEFAULTS } from '../remote/remote-options.ts';
import { SourceFactory } from '../remote/source-factory.ts';
import { RootThread } from '../root/root-thread.ts';
import { EventIndex } from './event-index.ts';
import type { ListTrees } from './index-file.ts';
import type { IndexingReply, IndexingRequest, IndexingThreadData, ToIndexingThread } from './indexing-messages.ts';
import { indexPath, verifyPath } from './keep-index.ts';

const { indexPath: storePath, sources } = workerData as IndexingThreadData;
/** Starts a thread of its own with the first ROOT file. */
const rootThread = new RootThread(sources ?? { remote: REMOTE_DEFAULTS, cache: undefined });
const listTrees: ListTrees = (record, places) => rootThread.listTrees({ record, places });

/** Made with the first remote file. */
let factory: Promise<SourceFactory> | undefined;

function openFactory(): Promise<SourceFactory> {
  assert(sources !== null, 'remote files are indexed by pools that were told how');
  factory ??= SourceFactory.open(sources, silentLogger, systemClock);
  return factory;
}

async function answer(index: EventIndex, request: IndexingRequest, signal: AbortSignal): Promise<IndexingReply> {
  const { task, cancelled } = request;
  const checkCancelled = () => {
    if (Atomics.load(cancelled, 0) !== 0) throw new GranuleError('INTERNAL', 'indexing was given up');
  };
  switch (task.kind) {
    case 'index': {
      const { path, acceptChange } = task;
      return { kind: 'indexed', answer: await indexPath(index, path, { acceptChange, checkCancelled, listTrees }) };
    }
    case 'index-remote': {
      const { file, acceptChange } = task;
      return {
        kind: 'indexed',
        answer: await indexRemote(index, await openFactory(), file, { acceptChange, signal, listTrees }),
      };
    }
    case 'verify':
      return { kind: 'verified', answer: await verifyPath(index, task.guid, task.path, { checkCancelled, listTrees }) };
    default:
      return assertNever(task, 'indexing task');
  }
}

async function main(): Promise<void> {
  const port = parentPort;
  assert(port !== null, 'this file is the entry of a thread');
  const index = await EventIndex.open({ path: storePath, readOnly: false });
  let current = new AbortController();
  const end = async () => {
    await rootThread.close();
    await index.close();
    if (factory !== undefined) await (await factory).close();
    port.close();
  };
  port.on('message', (message: ToIndexingThread) => {
    switch (message.kind) {
      case 'request':
        current = new AbortController();
        void answer(index, message, current.signal)
          .catch((error: unknown): IndexingReply => ({ kind: 'failed', error: serialiseError(error) }))
          .then((reply) => port.postMessage(reply));
        break;
      case 'cancel':
        current.abort(new GranuleError('INTERNAL', 'indexing was given up'));
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
  parentPort?.postMessage({ kind: 'failed', error: serialiseError(error) } satisfies IndexingReply);
});
