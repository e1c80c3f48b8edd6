/** Entry of the follower thread: hashes, publishes and removes behind the merger (`merge-follower.ts`). */
import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../../core/assert.ts';
import { MergeFollower } from './merge-follower.ts';
import type { FollowerRequest, FollowerThreadData } from './merge-messages.ts';
import { serveRequests } from './merge-thread.ts';

assert(parentPort !== null, 'the follower runs in a thread of its own');
const { folders } = workerData as FollowerThreadData;
const follower = new MergeFollower({ folders });
let isHashing = false;

/** Between two slices, requests are answered. */
function hashOn(): void {
  isHashing = follower.hashAhead();
  if (isHashing) setImmediate(hashOn);
}

serveRequests(parentPort, (request: FollowerRequest) => {
  const reply = follower.handle(request);
  if (request.kind === 'grown' && !isHashing) {
    isHashing = true;
    setImmediate(hashOn);
  }
  return reply;
});
