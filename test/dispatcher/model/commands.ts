/** Random commands for the event table: each does the same to the model and to the dispatcher and compares. */
import fc, { type AsyncCommand } from 'fast-check';
import { expect } from 'vitest';
import type { MergeJob, RangeUpdate, UpdateOutcome } from '../../../core/dispatcher-api.ts';
import type { RangeState } from '../../../core/states.ts';
import type { Dispatcher } from '../../../dispatcher/dispatcher.ts';
import { thisHost } from '../../../dispatcher/process-identity.ts';
import { failed, LEASE_MS, type ManualClock, makeFile } from '../fixture.ts';
import type { EventTableModel, ModelOutput } from './event-table-model.ts';

/** How a dispatcher ends: properly, with its files opened anew by the next one as well, or by the death of everything. */
export type Ending = 'close' | 'close-files' | 'die';

/** The dispatcher under test with what its consumers remember. */
export interface Real {
  dispatcher: Dispatcher;
  readonly taskID: number;
  readonly clock: ManualClock;
  /** job of each consumer, also of those that are gone */
  readonly jobs: Map<string, number>;
  /** everything that was ever handed out: what a late consumer may still speak of */
  readonly leases: { readonly consumer: string; readonly rangeIndex: number; readonly attemptNr: number }[];
  readonly fileCounts: number[];
  restart(ending: Ending): Promise<void>;
}

type Command = AsyncCommand<EventTableModel, Real>;

export const CONSUMERS = ['elsewhere-1', 'elsewhere-2', 'local'] as const;

function isLocal(consumer: string): boolean {
  return consumer.startsWith('local');
}

function pick<T>(items: readonly T[], choice: number): T | undefined {
  return items[choice % Math.max(1, items.length)];
}

/** Every range and every count compared with the model; what nobody holds has no owner. */
export function check(model: EventTableModel, real: Real): void {
  const { dispatcher, taskID } = real;
  const reports = dispatcher.describeRanges(taskID, 0, model.ranges.length);
  const seen = reports.map(
    ({ state, failures, losses, attemptNr, jobID }) => `${state} ${failures} ${losses} ${attemptNr} ${jobID ?? '-'}`,
  );
  const expected = model.ranges.map(({ state, failures, losses, attempt, owner }) => {
    return `${state} ${failures} ${losses} ${attempt} ${owner === undefined ? '-' : real.jobs.get(owner)}`;
  });
  const summary = dispatcher.getTask(taskID);
  for (const [state, count] of Object.entries(summary.ranges)) {
    seen.push(`${state} ${count}`);
    expected.push(`${state} ${model.ranges.filter((range) => range.state === state).length}`);
  }
  seen.push(`ranges ${sum(summary.ranges)}, events ${sum(summary.events)}, files ${summary.unmergedFileCount}`);
  const files = model.ranges.reduce((count, range) => count + range.files, 0);
  expected.push(`ranges ${model.ranges.length}, events ${summary.eventCount}, files ${files}`);
  // One comparison of texts: a matcher at every step would take most of the time.
  if (seen.join('\n') !== expected.join('\n')) expect(seen).toEqual(expected);
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

function command(name: string, run: (model: EventTableModel, real: Real) => Promise<void>): Command {
  return {
    check: () => true,
    run: async (model, real) => {
      await run(model, real);
      check(model, real);
    },
    toString: () => name,
  };
}

async function startConsumer(model: EventTableModel, real: Real, consumer: string): Promise<void> {
  const host = isLocal(consumer) ? thisHost : 'elsewhere';
  const identity = { consumerID: consumer, host, pid: process.pid };
  const job = await real.dispatcher.getJob({ consumer: identity, taskID: real.taskID });
  if (job === undefined) return;
  real.jobs.set(consumer, job.jobID);
  model.consumers.set(consumer, { local: isLocal(consumer), lastHeardMs: real.clock.now, stopped: false });
}

const start = (consumer: string): Command =>
  command(`start ${consumer}`, (model, real) => startConsumer(model, real, consumer));

const take = (consumer: string, rangeCount: number): Command =>
  command(`take ${rangeCount} for ${consumer}`, async (model, real) => {
    // As a rule it exists; now and then somebody asks who does not.
    if (!model.consumers.has(consumer) && rangeCount > 1) await startConsumer(model, real, consumer);
    const known = model.consumers.get(consumer);
    const jobID = real.jobs.get(consumer) ?? 999_999;
    const ranges = await real.dispatcher.getEventRanges({ consumerID: consumer, jobID, rangeCount });
    if (known !== undefined) known.lastHeardMs = real.clock.now;
    const mayTake = known !== undefined && !known.stopped && !model.cancelled;
    expect(ranges.map((range) => range.rangeIndex)).toEqual(mayTake ? model.take(consumer, rangeCount) : []);
    for (const { rangeIndex, attemptNr } of ranges) real.leases.push({ consumer, rangeIndex, attemptNr });
  });

type UpdateKind = 'started' | 'finished' | 'failed';

/** @param choices leases of the consumer that it speaks of, old ones too */
const update = (consumer: string, kind: UpdateKind, choices: readonly number[], files: number): Command =>
  command(`${kind} of ${consumer} for ${choices.join(' ')} (${files} files)`, async (model, real) => {
    const mine = real.leases.filter((lease) => lease.consumer === consumer);
    const spoken = choices.map((choice) => pick(mine, mine.length - 1 - choice + choices.length * mine.length));
    const leases = spoken.filter((lease) => lease !== undefined);
    const outcomes = await real.dispatcher.updateEventRanges({
      consumerID: consumer,
      jobID: real.jobs.get(consumer) ?? 999_999,
      updates: leases.map((lease) => (kind === 'started' ? { kind, ...lease } : makeUpdate(kind, lease, files))),
    });
    const known = model.consumers.get(consumer);
    if (known !== undefined) known.lastHeardMs = real.clock.now;
    const expected: UpdateOutcome[] = leases.map(({ rangeIndex, attemptNr }) =>
      model.update(consumer, kind, rangeIndex, attemptNr, files),
    );
    expect(outcomes).toEqual(expected);
  });

type Attempt = { readonly rangeIndex: number; readonly attemptNr: number };
type Finished = Extract<RangeUpdate, { kind: 'finished' }>;

function makeUpdate(kind: 'finished', attempt: Attempt, files: number): Finished;
function makeUpdate(kind: 'finished' | 'failed', attempt: Attempt, files: number): RangeUpdate;
function makeUpdate(kind: 'finished' | 'failed', { rangeIndex, attemptNr }: Attempt, files: number): RangeUpdate {
  if (kind === 'failed') return failed({ rangeIndex, attemptNr });
  const outputs = Array.from({ length: files }, (_, file) => ({
    stream: `S${file}`,
    file: `S${file}.${rangeIndex}.${attemptNr}`,
    offsetBytes: 0,
    lengthBytes: 10,
    crc32: attemptNr,
    recordCount: 1,
  }));
  return { kind, rangeIndex, attemptNr, outputs, wallMs: 1, cpuMs: 1 } as const;
}

const release = (consumer: string, choices: readonly number[]): Command =>
  command(`release by ${consumer} of ${choices.join(' ')}`, async (model, real) => {
    const known = model.consumers.get(consumer);
    const held = model.heldBy(consumer);
    const indices = [...new Set(choices.flatMap((choice) => pick(held, choice) ?? []))];
    const ranges = indices.map((rangeIndex) => ({ rangeIndex, attemptNr: model.ranges[rangeIndex]?.attempt ?? 0 }));
    // A stale one beside them changes nothing.
    const old = real.leases.find(({ rangeIndex, attemptNr }) => attemptNr < (model.ranges[rangeIndex]?.attempt ?? 0));
    await real.dispatcher.release({
      consumerID: consumer,
      jobID: real.jobs.get(consumer) ?? 999_999,
      ranges: old === undefined ? ranges : [old, ...ranges],
    });
    if (known === undefined) return;
    known.lastHeardMs = real.clock.now;
    for (const index of indices) model.giveBack(index);
  });

const leave = (consumer: string): Command =>
  command(`${consumer} leaves`, async (model, real) => {
    await real.dispatcher.leave({ consumerID: consumer });
    model.takeBack(consumer, false);
  });

const heartbeat = (consumer: string): Command =>
  command(`heartbeat of ${consumer}`, async (model, real) => {
    const known = model.consumers.get(consumer);
    const answer = await real.dispatcher.heartbeat({ consumerID: consumer });
    expect(answer.command).toBe(known === undefined || known.stopped ? 'stop' : 'continue');
    if (known !== undefined) known.lastHeardMs = real.clock.now;
  });

/** Steps of 0.4 leases: the moment of expiry, which is known to a few per cent only, is never hit. */
const pass = (): Command =>
  command('0.4 leases pass', async (model, real) => {
    real.clock.advance(0.4 * LEASE_MS);
    while (real.dispatcher.tick());
    for (const [name, { local, lastHeardMs }] of [...model.consumers]) {
      if (!local && real.clock.now - lastHeardMs > LEASE_MS) model.takeBack(name, true);
    }
  });

/**
 * @param refused how starts between end that do not look at what was left: it is there for the next one all the same
 * @param adoptedCount ranges of which complete outputs are found
 */
const restart = (ending: Ending, refused: readonly Ending[], adoptedCount: number): Command =>
  command(`restart after ${[ending, ...refused].join(', ')}; ${adoptedCount} adopted`, async (model, real) => {
    await real.dispatcher.durable();
    await real.restart(ending);
    for (const again of refused) await real.restart(again);
    const died = [ending, ...refused].includes('die');
    const left = model.heldByProgram();
    const { afterDeath, held } = real.dispatcher.recovery;
    expect({ afterDeath, held }).toEqual({ afterDeath: died, held: left.length });
    const adoptable = [...real.dispatcher.adoptable(real.taskID)];
    expect(adoptable.map(({ rangeIndex }) => rangeIndex).sort((one, other) => one - other)).toEqual(left);
    const adopted = adoptable.slice(0, adoptedCount);
    const updates = adopted.map((range) => makeUpdate('finished', range, 1));
    const outcomes = await real.dispatcher.adopt(real.taskID, updates);
    expect(outcomes).toEqual(adopted.map(() => 'accepted'));
    for (const { rangeIndex } of adopted) model.finish(rangeIndex, 1);
    model.die();
    await real.dispatcher.releaseDead(real.taskID);
    for (const consumer of model.consumers.values()) consumer.lastHeardMs = real.clock.now;
  });

/** A death between the change and its commit: the answer never came, and nothing has happened. */
const dieUnanswered = (consumer: string, rangeCount: number): Command =>
  command(`death with ${rangeCount} ranges on their way to ${consumer}`, async (model, real) => {
    await real.dispatcher.durable();
    const jobID = real.jobs.get(consumer) ?? 999_999;
    const answer = real.dispatcher.getEventRanges({ consumerID: consumer, jobID, rangeCount });
    const settled = answer.then(
      (ranges) => expect(ranges).toEqual([]),
      (error: unknown) => expect(error).toMatchObject({ code: 'STORE_FAILED' }),
    );
    await real.restart('die');
    await settled;
    model.die();
    await real.dispatcher.releaseDead(real.taskID);
    for (const known of model.consumers.values()) known.lastHeardMs = real.clock.now;
  });

const addFile = (eventCount: number): Command =>
  command(`add a file of ${eventCount} events`, async (model, real) => {
    const adding = real.dispatcher.addFiles(real.taskID, [makeFile(real.fileCounts.length, eventCount)]);
    if (model.sealed) {
      await expect(adding).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
      return;
    }
    await adding;
    real.fileCounts.push(eventCount);
    model.addFile(eventCount);
  });

const seal = (): Command =>
  command('seal', async (model, real) => {
    await real.dispatcher.sealTask(real.taskID);
    model.sealed = true;
  });

const unseal = (): Command =>
  command('unseal', async (model, real) => {
    const unsealing = real.dispatcher.unsealTask(real.taskID);
    if (model.options.rangesPerOutput !== undefined) {
      await expect(unsealing).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
      return;
    }
    await unsealing;
    model.sealed = false;
  });

const cancelRanges = (choices: readonly number[]): Command =>
  command(`cancel ${choices.join(' ')}`, async (model, real) => {
    if (model.ranges.length === 0) return;
    const indices = [...new Set(choices.map((choice) => choice % model.ranges.length))];
    const expected = indices.filter((index) => model.giveUp(index)).length;
    expect(await real.dispatcher.cancelRanges(real.taskID, indices)).toBe(expected);
  });

const cancelTask = (): Command =>
  command('cancel the task', async (model, real) => {
    await real.dispatcher.cancelTask(real.taskID);
    for (const index of model.ranges.keys()) model.giveUp(index);
    model.cancelled = true;
    for (const consumer of model.consumers.values()) consumer.stopped = true;
  });

const retry = (states: readonly RangeState[]): Command =>
  command(`retry what is ${states.join(', ')}`, async (model, real) => {
    const expected = model.retry(states);
    expect(await real.dispatcher.retry(real.taskID, { states })).toBe(expected);
    if (expected > 0) model.cancelled = false;
  });

/** @param fate `commit`, `part`: only some of it, `drop`: forgotten, `fail`: some found damaged */
const merge = (fate: 'commit' | 'part' | 'drop' | 'fail' | 'fail-all', countMax: number): Command =>
  command(`merge up to ${countMax}: ${fate}`, async (model, real) => {
    const { dispatcher, taskID } = real;
    const request = { taskID, rangeCountMin: 1, rangeCountMax: countMax, busyOutputs: [] };
    const job = dispatcher.nextMergeJob(request);
    if (job === undefined) {
      expect(model.outputs.filter((output) => model.stretch(output, countMax) !== undefined)).toEqual([]);
      return;
    }
    const output = model.outputs[job.outputIndex];
    if (output === undefined) throw new Error('unknown output');
    checkOffer(model, job, output, countMax);
    const finished = job.items.flatMap((item) => (item.kind === 'finished' ? [item.rangeIndex] : []));
    output.offered = finished;
    if (fate === 'fail' || fate === 'fail-all') {
      const damaged = fate === 'fail' ? finished.slice(0, 1) : [];
      await dispatcher.failMerge({
        taskID,
        outputIndex: job.outputIndex,
        damaged: damaged.map((rangeIndex) => ({ rangeIndex, message: 'bad checksum' })),
      });
      model.mergeFailed(output, damaged);
    } else if (fate !== 'drop') await commitMerge(model, real, job, output, fate === 'part');
  });

function checkOffer(model: EventTableModel, job: MergeJob, output: ModelOutput, countMax: number): void {
  expect({ indices: job.items.map((item) => item.rangeIndex), last: job.last, amend: job.amend !== undefined }).toEqual(
    model.stretch(output, countMax),
  );
  for (const item of job.items) {
    const range = model.ranges[item.rangeIndex];
    expect(item.kind).toBe(range?.state === 'finished' ? 'finished' : 'missing');
    if (item.kind !== 'finished') continue;
    expect(item.outputs).toHaveLength(range?.files ?? -1);
    expect(item.outputs.every((record) => record.crc32 === range?.attempt)).toBe(true);
  }
}

async function commitMerge(
  model: EventTableModel,
  real: Real,
  job: MergeJob,
  output: ModelOutput,
  part: boolean,
): Promise<void> {
  const cut = part && job.amend === undefined && job.items.length > 1;
  const items = cut ? job.items.slice(0, -1) : job.items;
  const complete = job.last && !cut;
  await real.dispatcher.commitMerge({
    taskID: real.taskID,
    outputIndex: job.outputIndex,
    throughRange: complete ? output.end - 1 : (items.at(-1)?.rangeIndex ?? -1),
    progress: [{ stream: 'S0', offsetBytes: 1, recordCount: 1, state: new Uint8Array([7]) }],
    gaps: [],
    ...(complete ? { completed: [] } : {}),
  });
  model.merged(
    output,
    items.map((item) => item.rangeIndex),
    complete,
  );
}

const resetOutput = (choice: number): Command =>
  command(`reset output ${choice}`, async (model, real) => {
    const outputIndex = choice % Math.max(1, model.outputs.length);
    const output = model.outputs[outputIndex];
    if (output === undefined) return;
    await real.dispatcher.resetOutput({ taskID: real.taskID, outputIndex, message: 'its file is gone' });
    model.resetOutput(output);
  });

const consumer = fc.constantFrom(...CONSUMERS);
const choices = fc.array(fc.nat(7), { minLength: 1, maxLength: 8 });
const ending = fc.constantFrom<Ending>('close', 'close-files', 'die', 'die', 'die');
const retried = fc.constantFrom<readonly RangeState[]>(
  ['fatal'],
  ['cancelled'],
  ['discarded'],
  ['failed', 'fatal'],
  ['fatal', 'cancelled', 'discarded'],
);
const fate = fc.constantFrom(
  'commit',
  'commit',
  'commit',
  'commit',
  'part',
  'drop',
  'fail',
  'fail-all',
) satisfies fc.Arbitrary<Parameters<typeof merge>[0]>;

/** By weight: a life in which nothing is finished and merged has little to go wrong. */
const WEIGHTED: readonly (readonly [weight: number, command: fc.Arbitrary<Command>])[] = [
  [1, consumer.map(start)],
  [6, fc.tuple(consumer, fc.integer({ min: 1, max: 8 })).map(([who, count]) => take(who, count))],
  [
    4,
    fc
      .tuple(consumer, fc.constantFrom<UpdateKind>('started', 'finished', 'failed'), choices, fc.nat(2))
      .map((parts) => update(...parts)),
  ],
  [5, fc.tuple(consumer, choices, fc.nat(2)).map(([who, which, files]) => update(who, 'finished', which, files))],
  [2, fc.tuple(consumer, choices).map(([who, which]) => release(who, which))],
  [1, consumer.map(leave)],
  [1, consumer.map(heartbeat)],
  [2, fc.constant(0).map(pass)],
  [3, fc.tuple(ending, fc.constant([]), fc.nat(2)).map((parts) => restart(...parts))],
  [1, fc.tuple(ending, fc.array(ending, { minLength: 1, maxLength: 2 }), fc.nat(2)).map((parts) => restart(...parts))],
  [1, fc.tuple(consumer, fc.integer({ min: 1, max: 8 })).map(([who, count]) => dieUnanswered(who, count))],
  [1, fc.integer({ min: 0, max: 7 }).map(addFile)],
  [2, fc.constant(0).map(seal)],
  [1, fc.constant(0).map(unseal)],
  [1, choices.map(cancelRanges)],
  [1, fc.constant(0).map(cancelTask)],
  [3, retried.map(retry)],
  [6, fc.tuple(fate, fc.integer({ min: 1, max: 6 })).map((parts) => merge(...parts))],
  [1, fc.nat(5).map(resetOutput)],
];

export const commands: fc.Arbitrary<Command>[] = WEIGHTED.flatMap(([weight, arbitrary]) =>
  new Array<fc.Arbitrary<Command>>(weight).fill(arbitrary),
);
