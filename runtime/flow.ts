/**
 * The flow of one node, wired: dispatcher → pilot → token extractor → token scatterer → workers → stager → dispatcher,
 * with the merge beside it. The one place that builds the parts; it reads top to bottom like the flow.
 *
 * Parts are started from the sink to the source and closed from the source to the sink.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Job, UpdateOutcome } from '../core/dispatcher-api.ts';
import { GranuleError } from '../core/errors.ts';
import { QUEUED_FRAMES_BYTES_MAX } from '../core/limits.ts';
import type { LoggerFactory } from '../core/log.ts';
import type { FromWorker, RangeReport, ToWorker } from '../core/messages.ts';
import type { Dispatcher } from '../dispatcher/dispatcher.ts';
import { LocalAddresses, ServerChannel } from './channel.ts';
import { failureOf } from './failures.ts';
import { MergeService } from './merge/merge-service.ts';
import type { ResolvedRunOptions } from './options.ts';
import type { LoadedPayload } from './payload-loading/describe-payload.ts';
import { Pilot } from './pilot.ts';
import { REMOTE_DEFAULTS, remoteOptionsFromEnvironment } from './remote/remote-options.ts';
import type { NodeEvents } from './run-events.ts';
import type { RunFolders } from './run-folders.ts';
import type { RunSurroundings } from './run-handle.ts';
import { RunMeter } from './run-meter.ts';
import type { RunTask } from './run-task.ts';
import { Stager } from './stager.ts';
import { Supervisor } from './supervisor.ts';
import { TokenExtractor } from './token-extractor.ts';
import { TokenScatterer } from './token-scatterer.ts';
import { WorkerPool } from './worker-pool.ts';

export interface FlowInput {
  readonly options: ResolvedRunOptions;
  readonly folders: RunFolders;
  readonly surroundings: RunSurroundings;
  readonly dispatcher: Dispatcher;
  readonly task: RunTask;
  readonly payload: LoadedPayload;
  /** what `prepare` returned */
  readonly shared: unknown;
  readonly events: NodeEvents;
  readonly meter: RunMeter;
  readonly loggers: LoggerFactory & { readonly file: string };
  /** something broke that the run cannot go on without */
  readonly onFatal: (error: unknown) => void;
  /** the source of remote data is gone: the run stops early */
  readonly onSourceGone: (error: GranuleError) => void;
}

export class Flow {
  readonly #input: FlowInput;
  readonly #addresses: LocalAddresses;
  readonly #channel: ServerChannel<FromWorker, ToWorker>;
  readonly #served: Promise<void>;
  readonly merge: MergeService;
  readonly #stager: Stager;
  readonly #pool: WorkerPool;
  readonly #scatterer: TokenScatterer;
  readonly #supervisor: Supervisor;
  readonly #extractor: TokenExtractor;
  readonly #pilot: Pilot;
  readonly #stopListening: () => void;

  /** Builds and starts every part; the first range is leased before this resolves. */
  static async start(input: FlowInput): Promise<Flow> {
    const job = await input.dispatcher.getJob({
      consumer: { consumerID: randomUUID(), host: hostname(), pid: process.pid },
      taskID: input.task.taskID,
    });
    if (job === undefined) {
      throw new GranuleError('INTERNAL', `task ${input.task.taskID} has no job although events are left`);
    }
    const addresses = await LocalAddresses.create();
    const channel = await ServerChannel.bind<FromWorker, ToWorker>(addresses.address('workers'));
    return new Flow(input, { job, addresses, channel });
  }
}
