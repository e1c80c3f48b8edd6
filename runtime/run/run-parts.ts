/**
 * What a run needs before its first event, started side by side: the payload (its thread bundles and describes it), the
 * inputs (indexing threads, where a file is not known yet), the workers, the token extractor and the event table.
 *
 * A start is mostly the loading of modules. So threads are started first, those that take longest before the others, and
 * what the main thread needs is loaded while they load.
 */
import { join } from 'node:path';
import { systemClock } from '../../core/clock.ts';
import { GranuleError } from '../../core/errors.ts';
import { LEASE_MS_DEFAULT } from '../../core/limits.ts';
import { type LoggerFactory, silentLoggers } from '../../core/log.ts';
import type { Dispatcher } from '../../dispatcher/dispatcher.ts';
import type { TokenExtractor } from '../extraction/token-extractor.ts';
import { InputReading } from '../inputs/input-reading.ts';
import type { ResolvedRunOptions } from '../options/options.ts';
import type { LoadedPayload } from '../payload-loading/describe-payload.ts';
import { loadPayload } from '../payload-loading/load-payload.ts';
import type { WorkerPool } from '../pool/worker-pool.ts';
import { readSourceOptions, type SourceOptions } from '../remote/source-options.ts';
import type { NodeEvents } from './run-events.ts';
import { type RunFolders, removeRun } from './run-folders.ts';
import type { RunSurroundings } from './run-handle.ts';

export interface RunParts {
  readonly payload: LoadedPayload;
  /** of the inputs: some may still be awaited */
  readonly reading: InputReading;
  readonly pool: WorkerPool;
  readonly extractor: TokenExtractor;
  readonly dispatcher: Dispatcher;
  /** Ends what runs. Any number of times. */
  close(): Promise<void>;
}

export interface RunPartsRequest {
  readonly options: ResolvedRunOptions;
  readonly folders: RunFolders;
  readonly surroundings: RunSurroundings;
  readonly events: NodeEvents;
  readonly loggers: LoggerFactory;
  /** aborted when the run is given up */
  readonly signal: AbortSignal;
  /** the event table cannot go on */
  readonly onFatal: (error: unknown) => void;
}

/** @throws what is wrong with the event table, the payload or the inputs, in this order; nothing is left running then */
export async function startParts(request: RunPartsRequest): Promise<RunParts> {
  const { options, folders, surroundings, events, loggers, signal } = request;
  const sources = await readSourceOptions(options, surroundings.environment);
  const payload = loadPayload({
    nameOrPath: options.payload,
    options: options.payloadOptions,
    bundleFolder: folders.bundles,
    log: loggers.forComponent('cli'),
    signal,
  });
  const extractor = startExtractor(request, sources);
  const expectPlaces = (places: readonly string[]): void => {
    extractor.then(
      (started) => started.expect(places),
      () => undefined, // told to whoever waits for it
    );
  };
  const reading = InputReading.begin(options, {
    folders,
    events,
    surroundings,
    sources,
    signal,
    onPlaces: expectPlaces,
  });
  const pool = startPool(request);
  const dispatcher = openDispatcher(folders, loggers, request.onFatal);

  const settled = await Promise.allSettled([dispatcher, payload, reading, pool, extractor]);
  const close = async (): Promise<void> => {
    for (const part of [settled[2], settled[3], settled[4], settled[0]]) {
      if (part.status === 'fulfilled') await part.value.close();
    }
  };
  const failed = settled.find((part) => part.status === 'rejected');
  if (failed !== undefined) {
    await close();
    throw failed.reason;
  }
  return {
    payload: await payload,
    reading: await reading,
    pool: await pool,
    extractor: await extractor,
    dispatcher: await dispatcher,
    close,
  };
}

/**
 * `--fresh`: removes what an earlier run left, when nobody works there.
 *
 * @throws STORE_BUSY
 */
export async function removeOldRun(folders: RunFolders): Promise<void> {
  try {
    const dispatcher = await openDispatcher(folders, silentLoggers, () => undefined);
    await dispatcher.close();
  } catch (error) {
    // A store that cannot be read any more is thrown away all the same; one that is in use is not.
    if (!(error instanceof GranuleError) || error.code === 'STORE_BUSY') throw error;
  }
  await removeRun(folders);
}

async function startPool({ options, folders, loggers }: RunPartsRequest): Promise<WorkerPool> {
  const { WorkerPool } = await import('../pool/worker-pool.ts');
  const { workerCount, isolation, heapMaxMB } = options;
  return new WorkerPool(
    { workerCount, workersFolder: folders.workers, isolation, heapMaxMB },
    loggers.forComponent('worker-pool'),
  );
}

async function startExtractor({ options, folders }: RunPartsRequest, sources: SourceOptions): Promise<TokenExtractor> {
  const { TokenExtractor } = await import('../extraction/token-extractor.ts');
  const { prefetchBytesMax, branches, logLevel } = options;
  return TokenExtractor.start({
    indexPath: folders.index,
    reader: { ...sources, prefetchBytesMax },
    branches,
    log: { file: join(folders.private, 'token-extractor.log'), level: logLevel },
  });
}

async function openDispatcher(
  folders: RunFolders,
  loggers: LoggerFactory,
  onFatal: (error: unknown) => void,
): Promise<Dispatcher> {
  const { Dispatcher } = await import('../../dispatcher/dispatcher.ts');
  return Dispatcher.open({
    path: folders.store,
    clock: systemClock,
    logger: loggers.forComponent('dispatcher'),
    leaseMs: LEASE_MS_DEFAULT,
    force: false,
    onFatal,
  });
}
