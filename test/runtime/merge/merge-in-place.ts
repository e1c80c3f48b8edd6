/** A merge service whose threads' work is done in place, so that a test can watch, or kill, between its steps. */
import type { MergeApi } from '../../../core/dispatcher-api.ts';
import { silentLogger } from '../../../core/log.ts';
import { outputFormat } from '../../../payloads/formats/registry.ts';
import { type FollowerStep, MergeFollower } from '../../../runtime/merge/merge-follower.ts';
import type { MergeFolders, MergeMode } from '../../../runtime/merge/merge-messages.ts';
import { MergeService } from '../../../runtime/merge/merge-service.ts';
import type { RequestHandler } from '../../../runtime/merge/merge-thread.ts';
import { Merger, type MergerStep } from '../../../runtime/merge/merger.ts';
import { inputFile, STREAMS } from './event-outputs.ts';

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
    merger: inPlace(merger.handle.bind(merger)),
    follower: inPlace(follower.handle.bind(follower)),
  };
  return new MergeService(threads, {
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
}
