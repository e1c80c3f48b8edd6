/**
 * One node: a run from its options to its summary. Reads top to bottom as a run goes: folders, payload, inputs, event
 * table, recovery, flow, merge, report. The parts of the flow are wired in `flow.ts`.
 *
 * A run ends *complete*, or early: drained (SIGTERM, wall time, a source that is gone, `-n`, the halt rule), or with an
 * error. Whichever it is, what was finished is durable and the same command goes on.
 */
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import { systemClock } from '../core/clock.ts';
import { GranuleError } from '../core/errors.ts';
import {
  DRAIN_RESERVE_FRACTION,
  DRAIN_RESERVE_MS,
  LEASE_MS_DEFAULT,
  PREPARE_TIMEOUT_MS,
  PROGRESS_MS,
} from '../core/limits.ts';
import { createLoggerFactory, type LoggerFactory } from '../core/log.ts';
import { Dispatcher } from '../dispatcher/dispatcher.ts';
import { openTableReader } from '../dispatcher/table-reader.ts';
import { writePoolFileCatalogue } from './catalogue/pool-file-catalogue.ts';
import { byteCostHints } from './cost-hints.ts';
import { writeFileDurably } from './durable-file.ts';
import { Flow } from './flow.ts';
import { EventIndex } from './indexing/event-index.ts';
import { InputReading } from './input-reading.ts';
import { admitLateInputs } from './late-inputs.ts';
import type { PartialOutput } from './merge/stretch-runner.ts';
import type { ResolvedRunOptions } from './options.ts';
import type { LoadedPayload } from './payload-loading/describe-payload.ts';
import { loadPayload } from './payload-loading/load-payload.ts';
import { preparePayload, reportPayload } from './payload-loading/payload-hooks.ts';
import { readSourceOptions, type SourceOptions } from './remote/source-options.ts';
import { type DrainReason, NodeEvents } from './run-events.ts';
import { createRunFolders, type RunFolders, removeRun, runFolders } from './run-folders.ts';
import type { RunHandle, RunSurroundings } from './run-handle.ts';
import { RunMeter } from './run-meter.ts';
import { recoverTask } from './run-recovery.ts';
import { countEvents, reportRun } from './run-report.ts';
import type { RunEnding, RunSummary } from './run-summary.ts';
import { openTask, type RunTask } from './run-task.ts';
import { TokenExtractor } from './token-extractor.ts';
import { WorkerPool } from './worker-pool.ts';

/** Starts a run. The handle is there at once; everything that can go wrong is told by `done`. */
export function startRun(options: ResolvedRunOptions, surroundings: RunSurroundings): RunHandle {
  const run = new Run(options, surroundings);
  return {
    events: run.events,
    done: run.execute(),
    drain: (reason) => run.drain(reason),
    force: () => run.force(),
  };
}

class Run {
  readonly events: NodeEvents;
  readonly #options: ResolvedRunOptions;
  readonly #surroundings: RunSurroundings;
  readonly #folders: RunFolders;
  readonly #meter: RunMeter;
  /** aborted when the run is forced to stop, or breaks */
  readonly #abort = new AbortController();
  #loggers!: LoggerFactory & { flush(): void };
  #reading: InputReading | undefined;
  #flow: Flow | undefined;
  #drainReason: DrainReason | undefined;
  #reason: string | undefined;
  #fatal: { readonly error: unknown } | undefined;
  #stopWaiting: () => void = () => undefined;

  constructor(options: ResolvedRunOptions, surroundings: RunSurroundings) {
    this.#options = options;
    this.#surroundings = surroundings;
    this.#folders = runFolders(options.outFolder, options.indexFolder);
    this.#meter = new RunMeter(options.failuresMax);
    // Every input that is being indexed listens, and more.
    setMaxListeners(0, this.#abort.signal);
    // The log file exists only once the folders do: what a listener throws before that has nowhere to go.
    this.events = new NodeEvents({
      debug: () => undefined,
      info: () => undefined,
      warn: () => undefined,
      error: (fields, message) => this.#loggers?.forComponent('cli').error(fields, message),
    });
  }

  drain(reason: DrainReason): void {
    if (this.#drainReason !== undefined) return;
    this.#drainReason = reason;
    this.events.emit('run:draining', { reason, eventsInExecution: this.#flow?.busyCount ?? 0 });
    const flow = this.#flow;
    if (flow === undefined) {
      this.#abort.abort(stoppedBeforeWork(this.#reason ?? reason));
      return;
    }
    this.#reading?.close().catch((error: unknown) => this.#noteFatal(error));
    const { graceMs } = this.#options;
    const timeLeftMs = graceMs - Math.min(DRAIN_RESERVE_MS, graceMs * DRAIN_RESERVE_FRACTION);
    flow.drain(timeLeftMs).catch((error: unknown) => this.#noteFatal(error));
    setTimeout(() => this.force(), timeLeftMs).unref();
  }

  force(): void {
    this.#drainReason ??= 'interrupted';
    this.#abort.abort(stoppedBeforeWork(this.#reason ?? this.#drainReason));
    this.#stopWaiting();
  }

  async execute(): Promise<RunSummary> {
    const walltime = this.#scheduleWalltime();
    try {
      return await this.#execute();
    } finally {
      clearTimeout(walltime);
    }
  }

  async #execute(): Promise<RunSummary> {
    const { folders, payload, pool, extractor, reading, dispatcher } = await this.#begin();
    let task: RunTask | undefined;
    let partial: readonly PartialOutput[] = [];
    let recoveredEvents = 0;
    let processingMs = 0;
    try {
      task = await openTask(dispatcher, this.#options, payload, reading);
      this.#writeCatalogue(task);
      recoveredEvents = await this.#recover(dispatcher, task);
      if (isUnfinished(dispatcher, task.taskID)) {
        const startedMs = performance.now();
        partial = await this.#process({ dispatcher, task, payload, pool, extractor, reading });
        processingMs = performance.now() - startedMs;
      }
    } finally {
      await reading.close();
      await pool.close();
      await extractor.close();
      await dispatcher.close();
    }
    return this.#report({ folders, task, payload, reading, partial, recoveredEvents, processingMs });
  }

  /** Everything that must be there before the first event; what can go on side by side does. */
  async #begin() {
    const options = this.#options;
    const folders = this.#folders;
    if (options.fresh) await this.#removeOld();
    createRunFolders(folders);
    this.#loggers = createLoggerFactory({ level: options.logLevel, file: folders.log });
    const pool = new WorkerPool(
      {
        workerCount: options.workerCount,
        workersFolder: folders.workers,
        isolation: options.isolation,
        heapMaxMB: options.heapMaxMB,
      },
      this.#loggers.forComponent('worker-pool'),
    );
    let extractor: TokenExtractor | undefined;
    let dispatcher: Dispatcher | undefined;
    try {
      const sources = await readSourceOptions(options, this.#surroundings.environment);
      const starting = await this.#startExtractor(sources);
      extractor = starting;
      const log = this.#loggers.forComponent('cli');
      const { signal } = this.#abort;
      const [opened, payload, reading] = await Promise.allSettled([
        this.#openDispatcher(),
        loadPayload({
          nameOrPath: options.payload,
          options: options.payloadOptions,
          bundleFolder: folders.bundles,
          log,
          signal,
        }),
        InputReading.begin(options, {
          folders,
          events: this.events,
          surroundings: this.#surroundings,
          sources,
          signal,
          onPlaces: (places) => starting.expect(places),
        }),
      ]);
      if (opened.status === 'fulfilled') dispatcher = opened.value;
      if (reading.status === 'fulfilled') this.#reading = reading.value;
      return { folders, pool, extractor, dispatcher: take(opened), payload: take(payload), reading: take(reading) };
    } catch (error) {
      await this.#reading?.close();
      await pool.close();
      await extractor?.close();
      await dispatcher?.close();
      throw error;
    }
  }

  #startExtractor(sources: SourceOptions): Promise<TokenExtractor> {
    const { prefetchBytesMax, branches, logLevel } = this.#options;
    return TokenExtractor.start({
      indexPath: this.#folders.index,
      reader: { ...sources, prefetchBytesMax },
      branches,
      log: { file: join(this.#folders.private, 'token-extractor.log'), level: logLevel },
    });
  }

  #openDispatcher(): Promise<Dispatcher> {
    return Dispatcher.open({
      path: this.#folders.store,
      clock: systemClock,
      logger: this.#loggers.forComponent('dispatcher'),
      leaseMs: LEASE_MS_DEFAULT,
      force: false,
      onFatal: (error) => this.#noteFatal(error),
    });
  }

  /** `--fresh`: only when nobody works there. */
  async #removeOld(): Promise<void> {
    this.#loggers = createLoggerFactory({ level: 'silent', file: 2 });
    try {
      const dispatcher = await this.#openDispatcher();
      await dispatcher.close();
    } catch (error) {
      // A store that cannot be read any more is thrown away all the same; one that is in use is not.
      if (!(error instanceof GranuleError) || error.code === 'STORE_BUSY') throw error;
    }
    await removeRun(this.#folders);
  }

  /** @returns events that need not be made any more */
  async #recover(dispatcher: Dispatcher, task: RunTask): Promise<number> {
    const startedMs = performance.now();
    const { fileCount, eventCount, rangeCount } = dispatcher.getTask(task.taskID);
    const { taskID, resumed } = task;
    this.events.emit('task:submitted', { taskID, fileCount, eventCount, rangeCount, resumed });
    const { returnedCount, adoptedCount, damaged } = await recoverTask(dispatcher, task, this.#folders, this.#options);
    const eventsFinished = countEvents(dispatcher.getTask(taskID).events).finished;
    if (!resumed) return eventsFinished;
    for (const { path, problem } of damaged) this.events.emit('output:damaged', { path, message: problem });
    this.events.emit('run:recovered', {
      eventsFinished,
      rangesReturned: returnedCount,
      filesAdopted: adoptedCount,
      outputsDamaged: damaged.length,
      wallMs: performance.now() - startedMs,
    });
    return eventsFinished;
  }

  /** Hands out, executes and merges until nothing is left, or the run is stopped. */
  async #process(parts: {
    readonly dispatcher: Dispatcher;
    readonly task: RunTask;
    readonly payload: LoadedPayload;
    readonly pool: WorkerPool;
    readonly extractor: TokenExtractor;
    readonly reading: InputReading;
  }): Promise<readonly PartialOutput[]> {
    const { dispatcher, task, payload, pool, extractor, reading } = parts;
    const { signal } = this.#abort;
    signal.throwIfAborted();
    const log = this.#loggers.forComponent('cli');
    await using _index = await this.#hintCosts(dispatcher, task);
    const flow = await Flow.start({
      options: this.#options,
      folders: this.#folders,
      surroundings: this.#surroundings,
      dispatcher,
      task,
      payload,
      pool,
      extractor,
      recordExecutions: dispatcher.recovery.afterDeath,
      events: this.events,
      meter: this.#meter,
      loggers: this.#loggers,
      onFatal: (error) => this.#noteFatal(error),
      onSourceGone: (error) => {
        this.#reason = error.message;
        this.drain('source-gone');
      },
      onAnswered: () => this.#checkHalt(),
    });
    let progress: NodeJS.Timeout | undefined;
    const filled = this.#admitLateInputs({ dispatcher, task, reading, extractor, flow });
    try {
      // The first events are being fetched meanwhile.
      flow.startWorkers(
        await preparePayload(payload, this.#options.seed, { timeoutMs: PREPARE_TIMEOUT_MS, signal, log }),
      );
      this.#flow = flow;
      progress = setInterval(() => this.#emitProgress(dispatcher, task, flow, reading), PROGRESS_MS);
      const stopped = new Promise<void>((resolve) => {
        this.#stopWaiting = resolve;
      });
      if (this.#fatal === undefined && !signal.aborted) await Promise.race([flow.over(), stopped]);
      this.#throwIfFatal();
      if (!signal.aborted) await flow.endWorkers(signal);
      await flow.finishMerging();
      this.#throwIfFatal();
      const partial = this.#options.mergePartial ? await flow.merge.writePartialOutputs() : [];
      this.#emitProgress(dispatcher, task, flow, reading);
      await flow.close();
      await this.#reportPayload(dispatcher, task, payload);
      return partial;
    } finally {
      clearInterval(progress);
      await reading.close();
      await filled;
      await flow.close();
    }
  }

  /** Never rejects: what goes wrong ends the run. */
  async #admitLateInputs(parts: {
    readonly dispatcher: Dispatcher;
    readonly task: RunTask;
    readonly reading: InputReading;
    readonly extractor: TokenExtractor;
    readonly flow: Flow;
  }): Promise<void> {
    const { flow, extractor, ...rest } = parts;
    try {
      const onPlaces = (places: readonly string[]): void => extractor.expect(places);
      await admitLateInputs({ ...rest, options: this.#options, events: this.events, onPlaces });
      flow.endOfFiles();
    } catch (error) {
      if (!parts.reading.isClosed) this.#noteFatal(error);
    }
  }

  /** For longest first: the event index answers while it is open, that is as long as events are handed out. */
  async #hintCosts(dispatcher: Dispatcher, task: RunTask): Promise<EventIndex | undefined> {
    if (this.#options.order !== 'longest-first') return undefined;
    const index = await EventIndex.open({ path: this.#folders.index, readOnly: true });
    dispatcher.setCostHints(task.taskID, byteCostHints(index, task.files));
    return index;
  }

  /** The payload's own last word, once everything is merged. */
  async #reportPayload(dispatcher: Dispatcher, task: RunTask, payload: LoadedPayload): Promise<void> {
    if (isUnfinished(dispatcher, task.taskID)) return;
    const outputs: Record<string, string[]> = {};
    for (const { stream, path } of dispatcher.completedFiles(task.taskID)) {
      outputs[stream] = [...(outputs[stream] ?? []), join(this.#options.outFolder, path)].sort();
    }
    await reportPayload(
      payload,
      {
        folder: this.#options.outFolder,
        eventCount: countEvents(dispatcher.getTask(task.taskID).events),
        outputs,
      },
      { timeoutMs: PREPARE_TIMEOUT_MS, signal: this.#abort.signal, log: this.#loggers.forComponent('cli') },
    );
  }

  #report(parts: {
    readonly folders: RunFolders;
    readonly task: RunTask;
    readonly payload: LoadedPayload;
    readonly reading: InputReading;
    readonly partial: readonly PartialOutput[];
    readonly recoveredEvents: number;
    readonly processingMs: number;
  }): RunSummary {
    const { refused, gone } = parts.reading;
    this.#writeCatalogue(parts.task);
    const reader = openTableReader(parts.folders.store);
    try {
      const status = reader.tasks().find(({ record }) => record.taskID === parts.task.taskID);
      const counts = countEvents(status?.events ?? ({} as never));
      const summary = reportRun(reader, {
        options: this.#options,
        task: parts.task,
        payload: parts.payload,
        refused,
        partial: parts.partial,
        command: this.#surroundings.command,
        meter: this.#meter,
        recoveredEvents: parts.recoveredEvents,
        copyCount: this.#flow?.copyCount ?? 0,
        ending: this.#ending({ ...counts, refused: refused.length }, parts.reading),
        reason: this.#reason ?? gone?.message,
        wallMs: Date.now() - this.#surroundings.startedAtMs,
        processingMs: parts.processingMs,
      });
      writeFileDurably(parts.folders.report, [JSON.stringify(summary, null, 2), '\n']);
      this.events.emit('run:ended', summary);
      return summary;
    } finally {
      void reader.close();
      this.#loggers.flush();
    }
  }

  #ending(
    counts: {
      readonly total: number;
      readonly finished: number;
      readonly failed: number;
      readonly refused: number;
    },
    { isComplete, gone }: InputReading,
  ): RunEnding {
    const { total, finished, failed, refused } = counts;
    if (total > finished + failed || !isComplete || gone !== undefined) {
      switch (this.#drainReason ?? (gone === undefined ? undefined : 'source-gone')) {
        case undefined:
        case 'limit-reached':
          return 'limited';
        case 'halted':
          return 'halted';
        case 'interrupted':
          return 'interrupted';
        default:
          return 'drained';
      }
    }
    return failed + refused > 0 ? 'failed-events' : 'complete';
  }

  #writeCatalogue({ inputs }: RunTask): void {
    const text = writePoolFileCatalogue(
      inputs.map(({ place, replicas, record }) => ({
        guid: record.guid,
        physical: [place, ...replicas].map((name) => ({ name, filetype: record.format })),
        logical: [record.lfn],
        metadata: [],
      })),
    );
    writeFileDurably(this.#folders.catalogue, [text]);
  }

  #checkHalt(): void {
    const reason = this.#meter.haltReason(this.#options.halt);
    if (reason === undefined || this.#drainReason !== undefined) return;
    this.#reason = `${reason}: the payload seems to be broken`;
    this.drain('halted');
  }

  /** Drains early enough that what is in execution fits. */
  #scheduleWalltime(): NodeJS.Timeout | undefined {
    const { walltimeMs, graceMs } = this.#options;
    if (walltimeMs === null) return undefined;
    const elapsedMs = Date.now() - this.#surroundings.startedAtMs;
    return setTimeout(() => this.drain('walltime'), Math.max(0, walltimeMs - graceMs - elapsedMs));
  }

  #emitProgress(dispatcher: Dispatcher, task: RunTask, flow: Flow, { awaitedCount }: InputReading): void {
    const { events, unmergedFileCount } = dispatcher.getTask(task.taskID);
    const { total, finished, failed } = countEvents(events);
    const isAllProcessed = finished + failed === total && awaitedCount === 0;
    this.events.emit('progress', {
      phase: flow.isDraining ? 'draining' : isAllProcessed ? 'merging' : 'processing',
      inputsAwaited: awaitedCount,
      eventsTotal: total,
      eventsFinished: finished,
      eventsFailed: failed,
      eventsFinishedNow: this.#meter.finishedEvents,
      eventsRetried: this.#meter.retriedEvents,
      workersBusy: flow.busyCount,
      workerCount: this.#options.workerCount,
      unmergedFiles: unmergedFileCount,
      elapsedMs: Date.now() - this.#surroundings.startedAtMs,
    });
  }

  #noteFatal(error: unknown): void {
    this.#fatal ??= { error };
    this.#stopWaiting();
  }

  #throwIfFatal(): void {
    if (this.#fatal !== undefined) throw this.#fatal.error;
  }
}

function isUnfinished(dispatcher: Dispatcher, taskID: number): boolean {
  const { sealed, ranges, outputCount } = dispatcher.getTask(taskID);
  const open = ranges.ready + ranges.sent + ranges.running + ranges.failed + ranges.corrupted + ranges.finished;
  return !sealed || open > 0 || [...dispatcher.completedFiles(taskID)].length < outputCount;
}

function stoppedBeforeWork(reason: string): GranuleError {
  return new GranuleError('STOPPED_EARLY', `stopped before work began (${reason})`, {
    remedy: 'run the same command again to go on',
  });
}

function take<Value>(result: PromiseSettledResult<Value>): Value {
  if (result.status === 'rejected') throw result.reason;
  return result.value;
}
