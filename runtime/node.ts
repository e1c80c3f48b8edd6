/**
 * One node: a run from its options to its summary. Reads top to bottom as a run goes: folders; payload, inputs, event
 * table (`run-parts.ts`); recovery, flow, merge; report (`run-conclusion.ts`). The parts of the flow are wired in `flow.ts`.
 *
 * A run ends *complete*, or early: drained (SIGTERM, wall time, a source that is gone, `-n`, the halt rule), or with an
 * error. Whichever it is, what was finished is durable and the same command goes on.
 */
import { GranuleError } from '../core/errors.ts';
import { DRAIN_RESERVE_FRACTION, DRAIN_RESERVE_MS, PROGRESS_MS } from '../core/limits.ts';
import { createLoggerFactory, type LoggerFactory } from '../core/log.ts';
import type { Dispatcher } from '../dispatcher/dispatcher.ts';
import { writeRunCatalogue } from './catalogue/run-catalogue.ts';
import type { Flow } from './flow.ts';
import type { InputReading } from './inputs/input-reading.ts';
import { admitLateInputs } from './inputs/late-inputs.ts';
import type { PartialOutput } from './merge/stretch-runner.ts';
import type { ResolvedRunOptions } from './options/options.ts';
import { preparePayload } from './payload-loading/payload-hooks.ts';
import { setCostHints } from './run/cost-hints.ts';
import type { ConcludedRun } from './run/run-conclusion.ts';
import { type DrainReason, NodeEvents } from './run/run-events.ts';
import { createRunFolders, type RunFolders, runFolders } from './run/run-folders.ts';
import type { RunHandle, RunSurroundings } from './run/run-handle.ts';
import { RunMeter } from './run/run-meter.ts';
import { type RunParts, removeOldRun, startParts } from './run/run-parts.ts';
import { progressOf } from './run/run-progress.ts';
import { recoverRun, removeRemains } from './run/run-recovery.ts';
import type { RunSummary } from './run/run-summary.ts';
import { openTask, type RunTask } from './run/run-task.ts';
import { writeStartRecord } from './run/start-record.ts';

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

/** Loaded while threads start: nothing before the first hand-out needs it. */
const loadFlow = () => import('./flow.ts');

class Run {
  readonly events: NodeEvents;
  readonly #options: ResolvedRunOptions;
  readonly #surroundings: RunSurroundings;
  readonly #folders: RunFolders;
  readonly #meter: RunMeter;
  /** aborted when the run is forced to stop, or breaks */
  readonly #abort = new AbortController();
  #loggers!: LoggerFactory;
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
    const parts = await this.#begin();
    const { dispatcher, payload, reading } = parts;
    this.#reading = reading;
    let task: RunTask | undefined;
    let partial: readonly PartialOutput[] = [];
    let recoveredEvents = 0;
    let processingMs = 0;
    try {
      task = await openTask(dispatcher, this.#options, payload, reading);
      writeRunCatalogue(this.#folders, task.inputs);
      writeStartRecord(this.#folders, this.#options, this.#surroundings.currentFolder);
      recoveredEvents = await recoverRun(dispatcher, task, {
        folders: this.#folders,
        options: this.#options,
        events: this.events,
      });
      if (isUnfinished(dispatcher, task.taskID)) {
        const startedMs = performance.now();
        partial = await this.#process(parts, task);
        processingMs = performance.now() - startedMs;
      }
      if (!isUnfinished(dispatcher, task.taskID)) await this.#removeRemains(dispatcher, task);
    } finally {
      await parts.close();
    }
    return this.#conclude({ task, payload, reading, partial, recoveredEvents, processingMs });
  }

  async #begin(): Promise<RunParts> {
    if (this.#options.fresh) await removeOldRun(this.#folders);
    createRunFolders(this.#folders);
    this.#loggers = createLoggerFactory({ level: this.#options.logLevel, file: this.#folders.log });
    const [parts] = await Promise.all([
      startParts({
        options: this.#options,
        folders: this.#folders,
        surroundings: this.#surroundings,
        events: this.events,
        loggers: this.#loggers,
        signal: this.#abort.signal,
        onFatal: (error) => this.#noteFatal(error),
      }),
      loadFlow(),
    ]);
    return parts;
  }

  /** Hands out, executes and merges until nothing is left, or the run is stopped. */
  async #process(parts: RunParts, task: RunTask): Promise<readonly PartialOutput[]> {
    const { dispatcher, payload, pool, extractor, reading } = parts;
    const { signal } = this.#abort;
    signal.throwIfAborted();
    const log = this.#loggers.forComponent('cli');
    await using _hints = await setCostHints(dispatcher, task, this.#options, this.#folders.index);
    const { Flow } = await loadFlow();
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
    const filled = this.#admitLateInputs(parts, task, flow);
    try {
      // The first events are being fetched meanwhile.
      flow.startWorkers(
        await preparePayload(payload, this.#options.seed, { timeoutMs: this.#options.hookTimeoutMs, signal, log }),
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
      if (!isUnfinished(dispatcher, task.taskID)) {
        const { callReport } = await import('./run/run-conclusion.ts');
        const bounds = { timeoutMs: this.#options.hookTimeoutMs, signal, log };
        await callReport(dispatcher, task.taskID, payload, { folder: this.#folders.out, ...bounds });
      }
      return partial;
    } finally {
      clearInterval(progress);
      await reading.close();
      await filled;
      await flow.close();
    }
  }

  /** Never rejects: what goes wrong ends the run. */
  async #admitLateInputs(parts: RunParts, task: RunTask, flow: Flow): Promise<void> {
    const { dispatcher, reading, extractor } = parts;
    try {
      const onPlaces = (places: readonly string[]): void => extractor.expect(places);
      await admitLateInputs({ dispatcher, task, reading, options: this.#options, events: this.events, onPlaces });
      flow.endOfFiles();
    } catch (error) {
      if (!reading.isClosed) this.#noteFatal(error);
    }
  }

  async #conclude(
    facts: Pick<ConcludedRun, 'task' | 'payload' | 'reading' | 'partial' | 'recoveredEvents' | 'processingMs'>,
  ): Promise<RunSummary> {
    const { concludeRun } = await import('./run/run-conclusion.ts');
    const summary = concludeRun({
      ...facts,
      options: this.#options,
      folders: this.#folders,
      surroundings: this.#surroundings,
      meter: this.#meter,
      copyCount: this.#flow?.copyCount ?? 0,
      drainReason: this.#drainReason,
      reason: this.#reason,
    });
    this.events.emit('run:ended', summary);
    return summary;
  }

  /** Never throws: what cannot be removed is in nobody's way. */
  async #removeRemains(dispatcher: Dispatcher, task: RunTask): Promise<void> {
    try {
      await removeRemains(dispatcher, task, this.#folders);
    } catch (error) {
      this.#loggers.forComponent('cli').warn({ error: String(error) }, 'remains of the run could not be removed');
    }
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
    const elapsedMs = Date.now() - this.#surroundings.startedAtMs;
    const status = dispatcher.getTask(task.taskID);
    const { workerCount } = this.#options;
    this.events.emit(
      'progress',
      progressOf({ status, flow, meter: this.#meter, awaitedCount, workerCount, elapsedMs }),
    );
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
