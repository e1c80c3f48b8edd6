/** Entry of the merger thread: appends unmerged outputs to growing files (`merger.ts`). */
import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../../core/assert.ts';
import { outputFormat } from '../../payloads/formats/registry.ts';
import { RecentOutputs } from '../recent-outputs.ts';
import type { CrossingMergerRequest, MergerThreadData } from './merge-messages.ts';
import { serveRequests } from './merge-thread.ts';
import { Merger } from './merger.ts';
import { unpackItems } from './packed-items.ts';

assert(parentPort !== null, 'the merger runs in a thread of its own');
const { folders, mode, streams, recentOutputs } = workerData as MergerThreadData;
const recent = recentOutputs === undefined ? undefined : new RecentOutputs(recentOutputs, streams);
const merger = new Merger({ folders, mode, recent, formatOf: outputFormat });
serveRequests(parentPort, ({ request, items }: CrossingMergerRequest) =>
  merger.handle({ ...request, items: unpackItems(items) }),
);
