/** What a flow is made of, and what its workers are told of that. */
import type { GranuleError } from '../core/errors.ts';
import type { LoggerFactory } from '../core/log.ts';
import type { Dispatcher } from '../dispatcher/dispatcher.ts';
import type { TokenExtractor } from './extraction/token-extractor.ts';
import type { ResolvedRunOptions } from './options/options.ts';
import type { LoadedPayload } from './payload-loading/describe-payload.ts';
import type { SessionTemplate, WorkerPool } from './pool/worker-pool.ts';
import type { NodeEvents } from './run/run-events.ts';
import type { RunFolders } from './run/run-folders.ts';
import type { RunSurroundings } from './run/run-handle.ts';
import type { RunMeter } from './run/run-meter.ts';
import type { RunTask } from './run/run-task.ts';

export interface FlowInput {
  readonly options: ResolvedRunOptions;
  readonly folders: RunFolders;
  readonly surroundings: RunSurroundings;
  readonly dispatcher: Dispatcher;
  readonly task: RunTask;
  readonly payload: LoadedPayload;
  /** its threads have been starting since the command began */
  readonly pool: WorkerPool;
  /** as its thread has */
  readonly extractor: TokenExtractor;
  /** the program died before this start: what is in execution must be known should it die again */
  readonly recordExecutions: boolean;
  readonly events: NodeEvents;
  readonly meter: RunMeter;
  readonly loggers: LoggerFactory;
  /** something broke that the run cannot go on without */
  readonly onFatal: (error: unknown) => void;
  /** remote data cannot be reached any more */
  readonly onSourceGone: (error: GranuleError) => void;
  /** a batch of reports was answered */
  readonly onAnswered: () => void;
}

export function sessionTemplate(
  { options, folders, payload, task }: FlowInput,
  session: Pick<SessionTemplate, 'jobID' | 'channelAddress' | 'shared' | 'recentOutputs'>,
): SessionTemplate {
  return {
    ...session,
    payloadUrl: payload.moduleUrl,
    payloadOptions: payload.options,
    outputs: payload.outputs,
    taskID: task.taskID,
    taskSeed: options.seed,
    aggregationFolder: folders.aggregation,
    sequence: options.sequence,
    outputBytesMax: options.outputBytesMax,
    logLevel: options.logLevel,
    recycleEvents: options.recycleAfterEvents ?? 0,
    recycleMemoryBytes: (options.recycleAboveMB ?? 0) * 1024 * 1024,
    processingTag: payload.version === undefined ? payload.name : `${payload.name}-${payload.version}`,
  };
}
