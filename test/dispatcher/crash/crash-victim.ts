/**
 * A program that works on a real event table until it is killed: consumers that take, finish, fail and give back, and a
 * merger, all at random and at once. Every answer it gets is a line on stdout, written before anything else happens, so
 * that whoever kills it knows what had been acknowledged.
 *
 * Arguments: folder, seed, ranges.
 */
import { writeSync } from 'node:fs';
import { systemClock } from '../../../core/clock.ts';
import type { LeasedRange, RangeUpdate } from '../../../core/dispatcher-api.ts';
import { silentLogger } from '../../../core/log.ts';
import { createRandom } from '../../../core/random.ts';
import { Dispatcher } from '../../../dispatcher/dispatcher.ts';
import { thisHost } from '../../../dispatcher/process-identity.ts';
import { makeFile, output } from '../fixture.ts';

const [path = '', seed = '1', rangeCount = '1000'] = process.argv.slice(2);
const random = createRandom(Number(seed));

function tell(line: string): void {
  writeSync(1, `${line}\n`);
}

const dispatcher = await Dispatcher.open({
  path,
  clock: systemClock,
  logger: silentLogger,
  leaseMs: 60_000,
  force: false,
  onFatal: (error) => {
    tell(`fatal ${error.code}`);
    process.exit(3);
  },
});
tell(`open ${dispatcher.recovery.committed} ${dispatcher.recovery.held}`);

let taskID = dispatcher.listTasks()[0]?.taskID;
if (taskID === undefined) {
  taskID = await dispatcher.submitTask({
    name: 'crash',
    record: null,
    payload: 'v1',
    eventsPerRange: 1,
    eventsPerOutput: 50,
    failuresMax: 5,
    unmergedFilesMax: 300,
  });
  tell(`task ${taskID}`);
}
if (dispatcher.getTask(taskID).rangeCount === 0) await dispatcher.addFiles(taskID, [makeFile(0, Number(rangeCount))]);
await dispatcher.sealTask(taskID);
tell('sealed');

function chance(probability: number): boolean {
  return random.uniform() < probability;
}

/** What a consumer says of a range, and the line that tells of it once it is acknowledged. */
function outcome(range: LeasedRange): { readonly update: RangeUpdate; readonly line: string } {
  const { rangeIndex, attemptNr } = range;
  if (chance(0.1)) {
    const failure = { cause: 'payload-error', message: 'bad luck', logTail: [] } as const;
    return { update: { kind: 'failed', rangeIndex, attemptNr, failure }, line: `failed ${rangeIndex} ${attemptNr}` };
  }
  const outputs = chance(0.1) ? [] : [output(range)];
  return {
    update: { kind: 'finished', rangeIndex, attemptNr, outputs, wallMs: 1, cpuMs: 1 },
    line: `finished ${rangeIndex} ${attemptNr} ${outputs.length}`,
  };
}

async function consume(name: string, task: number): Promise<void> {
  const consumerID = `${name}-${process.pid}`;
  for (;;) {
    const job = await dispatcher.getJob({ consumer: { consumerID, host: thisHost, pid: process.pid }, taskID: task });
    if (job === undefined) return;
    const { jobID } = job;
    const ranges = await dispatcher.getEventRanges({
      consumerID,
      jobID,
      rangeCount: 1 + Math.floor(20 * random.uniform()),
    });
    for (const { rangeIndex, attemptNr } of ranges) tell(`sent ${rangeIndex} ${attemptNr}`);
    if (ranges.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const back = ranges.filter(() => chance(0.1));
    const done = ranges.filter((range) => !back.includes(range)).map(outcome);
    const answers = await dispatcher.updateEventRanges({
      consumerID,
      jobID,
      updates: done.map(({ update }) => update),
    });
    for (const [index, { line }] of done.entries()) if (answers[index] === 'accepted') tell(line);
    await dispatcher.release({ consumerID, jobID, ranges: back });
  }
}

async function merge(task: number): Promise<void> {
  for (;;) {
    const { ranges, rangeCount: total } = dispatcher.getTask(task);
    const job = dispatcher.nextMergeJob({ taskID: task, rangeCountMin: 10, rangeCountMax: 30, busyOutputs: [] });
    if (job === undefined) {
      if (ranges.merged + ranges.fatal === total) return;
      await new Promise((resolve) => setImmediate(resolve));
      continue;
    }
    const { outputIndex } = job;
    const finished = job.items.flatMap((item) => (item.kind === 'finished' ? [item] : []));
    for (const item of finished) tell(`offered ${item.rangeIndex} ${item.outputs.length}`);
    const victim = finished[0];
    if (victim !== undefined && chance(0.05)) {
      await dispatcher.failMerge({
        taskID: task,
        outputIndex,
        damaged: [{ rangeIndex: victim.rangeIndex, message: 'bad' }],
      });
      tell(`damaged ${victim.rangeIndex}`);
      continue;
    }
    await dispatcher.commitMerge({
      taskID: task,
      outputIndex,
      throughRange: job.last ? job.firstRange + job.rangeCount - 1 : (job.items.at(-1)?.rangeIndex ?? -1),
      progress: [{ stream: 'OUT', offsetBytes: 1, recordCount: 1, state: new Uint8Array(3) }],
      gaps: [],
      ...(job.last ? { completed: [] } : {}),
    });
    for (const item of finished) tell(`merged ${item.rangeIndex}`);
  }
}

await Promise.all([consume('a', taskID), consume('b', taskID), consume('c', taskID), merge(taskID)]);
tell('done');
await dispatcher.close();
process.exit(0);
