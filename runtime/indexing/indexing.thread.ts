/**
 * A thread that indexes files, one request at a time, and writes the event index itself, so that neither reading nor
 * committing ever holds up the main thread. Started by {@link IndexingPool}; ends when it is told `null`.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { assert, assertNever } from '../../core/assert.ts';
import { GranuleError, serialiseError } from '../../core/errors.ts';
import { EventIndex } from './event-index.ts';
import type { IndexingReply, IndexingRequest, IndexingThreadData } from './indexing-messages.ts';
import { indexPath, verifyPath } from './keep-index.ts';

const { indexPath: storePath } = workerData as IndexingThreadData;

async function answer(index: EventIndex, request: IndexingRequest): Promise<IndexingReply> {
  const checkCancelled = () => {
    if (Atomics.load(request.cancelled, 0) !== 0) throw new GranuleError('INTERNAL', 'indexing was given up');
  };
  switch (request.kind) {
    case 'index': {
      const { path, acceptChange } = request;
      return { kind: 'indexed', answer: await indexPath(index, path, { acceptChange, checkCancelled }) };
    }
    case 'verify':
      assert(request.guid !== null, 'a file is verified against a GUID');
      return { kind: 'verified', answer: await verifyPath(index, request.guid, request.path, checkCancelled) };
    default:
      return assertNever(request.kind, 'indexing request');
  }
}

async function main(): Promise<void> {
  const port = parentPort;
  assert(port !== null, 'this file is the entry of a thread');
  const index = await EventIndex.open({ path: storePath, readOnly: false });
  port.on('message', (request: IndexingRequest | null) => {
    if (request === null) {
      void index.close().finally(() => port.close());
      return;
    }
    void answer(index, request)
      .catch((error: unknown): IndexingReply => ({ kind: 'failed', error: serialiseError(error) }))
      .then((reply) => port.postMessage(reply));
  });
  port.postMessage({ kind: 'ready' } satisfies IndexingReply);
}

main().catch((error: unknown) => {
  parentPort?.postMessage({ kind: 'failed', error: serialiseError(error) } satisfies IndexingReply);
});
