/**
 * How full the heap of this thread is. A thread that reaches its limit ends at once; if it waits for a message then (the
 * collector works while it does), that ends the process. So it must not wait with a heap that is nearly full.
 */
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import { resourceLimits } from 'node:worker_threads';
import { HEAP_FULL_FRACTION } from '../core/limits.ts';

/** Spaces of young objects have limits of their own. */
const YOUNG = new Set(['new_space', 'new_large_object_space', 'read_only_space']);

/** Undefined in the main thread: a process that dies takes nobody along. */
const fullBytes =
  resourceLimits?.maxOldGenerationSizeMb === undefined
    ? undefined
    : resourceLimits.maxOldGenerationSizeMb * 1024 * 1024 * HEAP_FULL_FRACTION;

/** What may be garbage counts: only a full collection would tell. */
export function isHeapNearlyFull(): boolean {
  if (fullBytes === undefined || getHeapStatistics().used_heap_size < fullBytes) return false;
  let oldBytes = 0;
  for (const { space_name, space_used_size } of getHeapSpaceStatistics()) {
    if (!YOUNG.has(space_name)) oldBytes += space_used_size;
  }
  return oldBytes >= fullBytes;
}
