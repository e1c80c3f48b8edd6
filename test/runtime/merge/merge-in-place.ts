/** A merge service whose threads' work is done in place, so that a test can watch, or kill, between its steps. */
import type { MergeApi } from '../../../core/dispatcher-api.ts';
import { MERGE_STRETCH_BYTES_MAX } from '../../../core/limits.ts';
import { silentLogger } from '../../../core/log.ts';
import { outputFormat } from '../../../payloads/formats/registry.ts';
import { type FollowerStep, MergeFollower } from '../../../runtime/merge/merge-follower.ts';
import type { CrossingMergerRequest, MergeFolders, MergeMode } from '../../../runtime/merge/merge-messages.ts';
import { MergeService } from '../../../runtime/merge/merge-service.ts';
import type { RequestHandler } from '../../../runtime/merge/merge-thread.ts';
import { Merger, type MergerStep } from '../../../runtime/merge/merger.ts';
import { unpackItems } from '../../../runtime/merge/packed-items.ts';
import { inputFile, STREAMS } from './event-outputs.ts';

/** So few that outputs have several, of which one is appended before the one in front of it is committed. */
const RANGES_IN_A_STRETCH = 2;

function inPlace<Request, Reply>(handle: (request: Request) => Reply): RequestHandler<Request, Reply> {
  return {
    request: (request) => new Promise((resolve) => resolve(structuredClone(handle(structuredClone(request))))),
    close: () => Promise.resolve(),
  };
}

export function startInPlace(options: {
  readonly api: MergeApi;
  readonly folders: MergeFolders;
  readonly mode?: MergeMode;
  readonly onStep?: (step: MergerStep | FollowerStep) => void;
  readonly onFailure?: (error: unknown) => void;
}): MergeService {
  const { api, folders, mode = 'fast', onStep = () => undefined, onFailure = () => undefined } = options;
  const merger = new Merger({ folders, mode, formatOf: outputFormat, onStep });
  const follower = new MergeFollower({ folders, onStep });
  const threads = {
    merger: inPlace(({ request, items }: CrossingMergerRequest) =>
      merger.handle({ ...request, items: unpackItems(items) }),
    ),
    follower: inPlace(follower.handle.bind(follower)),
  };
  const service = new MergeService(threads, {
    api,
    taskID: 1,
    folders,
    streams: STREAMS,
    naming: { kind: 'input-file' },
    inputFile,
    log: silentLogger,
    onCommit: () => undefined,
    onFailure,
  });
  service.expectOutputs(MERGE_STRETCH_BYTES_MAX / 2 / RANGES_IN_A_STRETCH);
  return service;
}
