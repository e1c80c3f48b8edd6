/** Entry of the follower thread: hashes, publishes and removes behind the merger (`merge-follower.ts`). */
import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../../core/assert.ts';
import { MergeFollower } from './merge-follower.ts';
import type { FollowerRequest, FollowerThreadData } from './merge-messages.ts';
import { serveRequests } from './merge-thread.ts';

assert(parentPort !== null, 'the follower runs in a thread of its own');
const { folders } = workerData as FollowerThreadData;
const follower = new MergeFollower({ folders });
serveRequests(parentPort, (request: FollowerRequest) => follower.handle(request));
