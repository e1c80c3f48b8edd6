/**
 * The flow of one node, wired: dispatcher → pilot → token extractor → token scatterer → workers → stager → dispatcher,
 * with the merge beside it. `run-parts.ts` has begun what takes long to load; here all parts are put together. `start` reads
 * top to bottom like the flow, and `close` ends them from the source to the sink.
 *
 * States: *feeding* (ranges are leased and their bytes fetched, workers are to come) → *running* → *draining* (nothing new;
 * what is in execution ends) → *closed*.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { assert } from '../core/assert.ts';
import type { Job, UpdateOutcome } from '../core/dispatcher-api.ts';
import { GranuleError } from '../core/errors.ts';
import type { FromWorker, RangeReport, ToWorker } from '../core/messages.ts';
import { ServerChannel } from './channel/channel.ts';
import { LocalAddresses } from './channel/local-addresses.ts';
import type { FlowInput } from './flow-input.ts';
import { FlowWorkers } from './flow-workers.ts';
import { MergeService } from './merge/merge-service.ts';
import { Pilot } from './pilot.ts';
import { Supervisor } from './pool/supervisor.ts';
import { RecentOutputs } from './recent-outputs.ts';
import { tellAnswered } from './run/answered-reports.ts';
import { TokenScatterer } from './scattering/token-scatterer.ts';
import { Stager } from './stager.ts';
import { unreadableRange } from './worker/failures.ts';

export class Flow {
  readonly #input: FlowInput;
  readonly #consumerID = randomUUID();
  readonly #recentOutputs: SharedArrayBuffer | undefined;
  #job!: Job;
  readonly #unlisten: (() => void)[] = [];
  #addresses!: LocalAddresses;
  #channel!: ServerChannel<FromWorker, ToWorker>;
  #served!: Promise<void>;
  #merge!: MergeService;
  #stager!: Stager;
  #scatterer!: TokenScatterer;
  #workers!: FlowWorkers;
  #supervisor!: Supervisor;
  #pilot!: Pilot;
  #closed: Promise<void> | undefined;
  #noMoreFiles = false;

  private constructor(input: FlowInput) {
    this.#input = input;
    // Only threads share memory.
    this.#recentOutputs = input.options.isolation === 'thread' ? RecentOutputs.createMemory() : undefined;
  }

  /** Builds and starts every part but the workers, the sink first. */
  static async start(input: FlowInput): Promise<Flow> {
    const flow = new Flow(input);
    flow.#job = await flow.#getJob();
    flow.#addresses = await LocalAddresses.create();
    flow.#merge = flow.#buildMerge();
    flow.#stager = flow.#buildStager();
    flow.#channel = await ServerChannel.bind<FromWorker, ToWorker>(flow.#addresses.address('workers'));
    flow.#scatterer = flow.#buildScatterer();
    flow.#workers = new FlowWorkers(input, flow.#job.jobID);
    flow.#supervisor = new Supervisor(flow.#scatterer, input.pool, input.options);
    flow.#listenToExtractor();
    flow.#pilot = flow.#buildPilot();
    flow.#served = flow.#scatterer.serve();
    flow.#served.catch(input.onFatal);
    flow.#supervisor.start();
    flow.#unlisten.push(input.dispatcher.onChange(({ kind }) => flow.#noteChange(kind)));
    flow.#merge.poke();
    flow.#pilot.start();
    return flow;
  }

  /** Once. @param shared what the payload's `prepare` returned */
  startWorkers(shared: unknown): void {
    this.#workers.start({
      scatterer: this.#scatterer,
      supervisor: this.#supervisor,
      channelAddress: this.#addresses.address('workers'),
      shared,
      recentOutputs: this.#recentOutputs,
      onDeath: () => this.#pilot.poke(),
    });
  }

  /** No file will join the task in this start, be it sealed or not. */
  endOfFiles(): void {
    this.#noMoreFiles = true;
    this.#pilot.poke();
  }

  /** Resolves when nothing leased is unanswered and nothing more is to be had. */
  over(): Promise<void> {
    return this.#pilot.over();
  }

  /**
   * Takes nothing new and returns what no worker has begun. Executions under way end, unless the lengths measured so far
   * say that they will not be over in time: those are returned as well.
   *
   * @param timeLeftMs what executions have
   */
  async drain(timeLeftMs: number): Promise<void> {
    this.#input.pool.replaceNoMore();
    this.#supervisor.endBy(timeLeftMs);
    await this.#pilot.drain();
  }

  get isDraining(): boolean {
    return this.#pilot.isDraining;
  }

  /** Workers that execute something. */
  get busyCount(): number {
    return this.#scatterer.busyCount;
  }

  /** Second copies of long events that were started. */
  get copyCount(): number {
    return this.#supervisor.copyCount;
  }

  /** Completes outputs whose ranges are all terminal. */
  async finishMerging(): Promise<void> {
    await this.#merge.flush();
  }

  get merge(): MergeService {
    return this.#merge;
  }

  /**
   * Ends every part. Executions under way are given up (their ranges are returned without cost); what was reported is
   * recorded first. Any number of times.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const { pool } = this.#input;
    for (const unlisten of this.#unlisten) unlisten();
    this.#supervisor.stop();
    this.#scatterer.takeBackAll();
    this.#scatterer.end();
    this.#scatterer.giveUpAll();
    await this.#workers.givenUp();
    await this.#stager.drained();
    await this.#pilot.close();
    await this.#input.extractor.close();
    await this.#channel.close();
    await this.#served;
    await this.#merge.close();
    await pool.close();
    await this.#addresses[Symbol.asyncDispose]();
  }

  /** Lets workers that have nothing more to do finalize their payload, and waits for them: not for ever. */
  async endWorkers(signal: AbortSignal): Promise<void> {
    this.#scatterer.end();
    await this.#workers.finalized(signal);
    await this.#stager.drained();
  }

  // --- the parts, in the order of the flow -----------------------------------------------------------------------------

  async #getJob(): Promise<Job> {
    const { dispatcher, task } = this.#input;
    const consumer = { consumerID: this.#consumerID, host: hostname(), pid: process.pid };
    // Also when all is executed: a start whose predecessor died before the end of its merge.
    const job = await dispatcher.getJob({ consumer, taskID: task.taskID, orIdle: true });
    if (job === undefined) throw new GranuleError('TASK_UNKNOWN', 'the task was cancelled');
    return job;
  }

  #buildPilot(): Pilot {
    const { dispatcher, options, events } = this.#input;
    return new Pilot(
      {
        dispatcher,
        scatterer: this.#scatterer,
        extractor: this.#input.extractor,
        stager: this.#stager,
        source: {
          announceFile: (fileIndex) => this.#announceFile(fileIndex),
          isExhausted: () => this.#isExhausted(),
          mergeRest: () => this.#merge.flush(),
        },
      },
      {
        consumerID: this.#consumerID,
        job: this.#job,
        workerCount: options.workerCount,
        rangeLimit:
          options.limitEvents === null
            ? Number.POSITIVE_INFINITY
            : Math.ceil(options.limitEvents / options.eventsPerRange),
      },
      {
        onLeased: (ranges) => events.emit('range:leased', { rangeCount: ranges.length }),
        onReturned: (rangeCount) => events.emit('range:returned', { rangeCount }),
        onTail: (atTail) => this.#supervisor.setAtTail(atTail),
        onStopped: () => this.#input.onFatal(new GranuleError('TASK_UNKNOWN', 'the task was cancelled')),
        onFatal: this.#input.onFatal,
      },
    );
  }

  async #announceFile(fileIndex: number): Promise<void> {
    const input = this.#input.task.inputs[fileIndex];
    assert(input !== undefined, 'a range names a file of its task');
    await this.#input.extractor.addFile({ fileIndex, record: input.record, places: [input.place, ...input.replicas] });
  }

  #listenToExtractor(): void {
    this.#input.extractor.listen({
      onTokens: (files, tokens, frames) => {
        for (const file of files) this.#scatterer.addFile(file);
        if (tokens.some((token) => token.suspect)) this.#input.pool.startApart();
        this.#scatterer.add(tokens, frames);
        this.#pilot.poke();
      },
      onRefused: (ranges, error) => this.#refuse(ranges, error),
      onFatal: this.#input.onFatal,
    });
  }

  /**
   * Ranges whose bytes were not fetched: given back in a drain, and when a source is gone, which ends the run; anything
   * else fails the events.
   */
  #refuse(ranges: readonly { readonly rangeIndex: number; readonly attemptNr: number }[], error: GranuleError): void {
    const { dispatcher, onFatal, onSourceGone } = this.#input;
    if (error.code === 'SOURCE_UNREACHABLE' || error.code === 'STOPPED_EARLY') {
      const { jobID } = this.#job;
      dispatcher.release({ consumerID: this.#consumerID, jobID, ranges }).then(() => this.#pilot.poke(), onFatal);
      if (error.code === 'SOURCE_UNREACHABLE') onSourceGone(error);
      return;
    }
    this.#stager.add(ranges.map((range) => unreadableRange(range, error)));
  }

  #buildScatterer(): TokenScatterer {
    const { events, loggers, pool, onFatal } = this.#input;
    let isFirst = true;
    return new TokenScatterer(
      this.#channel,
      {
        onReports: (reports) => {
          this.#supervisor.noteReports(reports);
          this.#workers.noteExecutions(this.#scatterer.meanExecutionMs);
          this.#stager.add(reports);
        },
        onTokensGiven: () => {
          if (!isFirst) return;
          isFirst = false;
          events.emit('event:first-executing', { sinceStartMs: Date.now() - this.#input.surroundings.startedAtMs });
        },
        onWorkerReady: (workerIndex, readyAfterMs) => this.#workers.noteReady(workerIndex, readyAfterMs),
        onInitFailed: (workerIndex, error) => pool.noteInitFailed(workerIndex, error),
        onLeave: (workerIndex, reason, error) => {
          this.#workers.noteLeave(workerIndex, reason, error);
          this.#pilot.poke();
        },
        onHungry: () => this.#pilot.poke(),
        onFatal,
      },
      { failuresMax: this.#input.options.failuresMax, log: loggers.forComponent('token-scatterer') },
    );
  }

  #buildStager(): Stager {
    const { dispatcher, folders, onFatal } = this.#input;
    return new Stager(
      dispatcher,
      { consumerID: this.#consumerID, jobID: this.#job.jobID, aggregationFolder: folders.aggregation },
      {
        isLast: () => this.#scatterer.heldCount + this.#scatterer.queuedCount === 0,
        onAnswered: (reports, outcomes) => this.#noteAnswered(reports, outcomes),
        onFatal,
      },
    );
  }

  #buildMerge(): MergeService {
    const { dispatcher, folders, task, options, loggers, onFatal } = this.#input;
    return MergeService.start({
      api: dispatcher,
      taskID: task.taskID,
      folders: { out: folders.out, growing: folders.growing, aggregation: folders.aggregation },
      streams: task.streams,
      naming: task.naming,
      mode: options.mergeMode,
      recentOutputs: this.#recentOutputs,
      inputFile: (fileIndex) => {
        const file = task.files[fileIndex];
        assert(file !== undefined, 'an output names files of its task');
        return file;
      },
      log: loggers.forComponent('merger'),
      onCommit: () => this.#pilot.poke(),
      onFailure: onFatal,
    });
  }

  #noteChange(kind: 'work' | 'merge' | 'stopped'): void {
    if (kind === 'merge') this.#merge.poke();
    else if (kind === 'work') this.#pilot.poke();
  }

  /** Nothing of the task can become ready any more. */
  #isExhausted(): boolean {
    const { dispatcher, task } = this.#input;
    const { sealed, ranges } = dispatcher.getTask(task.taskID);
    const isFilled = sealed || this.#noMoreFiles;
    return isFilled && ranges.ready + ranges.sent + ranges.running + ranges.failed + ranges.corrupted === 0;
  }

  #noteAnswered(reports: readonly RangeReport[], outcomes: readonly UpdateOutcome[]): void {
    const retryCount = tellAnswered(this.#input, reports, outcomes);
    if (retryCount > 0) this.#pilot.noteRetries(retryCount);
    this.#merge.expectOutputs(this.#input.meter.outputBytesPerRange);
    this.#input.onAnswered();
    this.#pilot.poke();
  }
}
