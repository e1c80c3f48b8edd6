/**
 * A program that can be killed: a whole task with a real event table and real merging, without payload. It ends itself by
 * SIGKILL the `occurrence`-th time that it comes to `step` while outputs grow or, for `amend <step>`, are amended. Bundled
 * and started by `merge-kill.test.ts`.
 *
 * Two ranges fail at first; when everything else is merged they are retried, so that outputs are amended too.
 */
import { join } from 'node:path';
import { systemClock } from '../../../../core/clock.ts';
import type { LeasedRange, MergeApi, RangeUpdate } from '../../../../core/dispatcher-api.ts';
import { silentLogger } from '../../../../core/log.ts';
import { Dispatcher } from '../../../../dispatcher/dispatcher.ts';
import { outputFormat } from '../../../../payloads/formats/registry.ts';
import { sweepGrowingFolder } from '../../../../runtime/merge/growing-sweep.ts';
import type { MergeFolders } from '../../../../runtime/merge/merge-messages.ts';
import { adoptOutputs } from '../../../../runtime/run/adoption.ts';
import { inputFile, RANGES_PER_OUTPUT, STREAMS, writeOutputs } from '../event-outputs.ts';
import { startInPlace } from '../merge-in-place.ts';

const FILE_COUNT = 2;
const FAILING = new Set([3, RANGES_PER_OUTPUT]);

const [out = '', step = '', occurrence = '0'] = process.argv.slice(2);
const folders: MergeFolders = {
  out,
  growing: join(out, '.granule', 'merge'),
  aggregation: join(out, '.granule', 'unmerged'),
};

let seen = 0;
let amending = false;
function reach(here: string): void {
  if ((amending ? `amend ${here}` : here) !== step) return;
  seen += 1;
  if (seen === Number(occurrence)) process.kill(process.pid, 'SIGKILL');
}

const dispatcher = await Dispatcher.open({
  path: join(out, '.granule', 'store'),
  clock: systemClock,
  logger: silentLogger,
  leaseMs: 60_000,
  force: false,
  onFatal: fail,
});
const taskID = dispatcher.listTasks()[0]?.taskID ?? (await submit());
await adoptOutputs({
  aggregationFolder: folders.aggregation,
  taskID,
  streams: STREAMS.map(({ name, written }) => ({ name, formatOf: () => outputFormat(written) })),
  sequence: { at: 'EndEvent' },
  sameBoot: true,
  ranges: [],
  recordedFiles: dispatcher.unmergedFiles(taskID),
});
sweepGrowingFolder(folders, () => dispatcher.completedFiles(taskID));
const service = startInPlace({ api: watchCommits(dispatcher), folders, onStep: reach, onFailure: fail });
await work();
if ((await dispatcher.retry(taskID)) > 0) await work();
await service.close();
await dispatcher.close();
process.exit(0);

function fail(error: unknown): void {
  console.error(error);
  process.exit(1);
}

async function submit(): Promise<number> {
  const task = { name: 'victim', record: {}, payload: 'none', eventsPerRange: 1, failuresMax: 1 };
  const submitted = await dispatcher.submitTask(task);
  await dispatcher.addFiles(
    submitted,
    Array.from({ length: FILE_COUNT }, (_, index) => inputFile(index)),
  );
  await dispatcher.sealTask(submitted);
  return submitted;
}

function watchCommits(api: MergeApi): MergeApi {
  return {
    nextMergeJob: (request) => {
      const job = api.nextMergeJob(request);
      if (job !== undefined) amending = job.amend !== undefined;
      return job;
    },
    failMerge: (request) => api.failMerge(request),
    resetOutput: (request) => api.resetOutput(request),
    unfinishedOutputs: (request) => api.unfinishedOutputs(request),
    commitMerge: async (request) => {
      reach('before commit');
      await api.commitMerge(request);
      reach('after commit');
    },
  };
}

/** Until nothing is ready any more, then until everything is merged. */
async function work(): Promise<void> {
  const consumer = { consumerID: `victim-${process.pid}-${Date.now()}`, host: 'localhost', pid: process.pid };
  const { consumerID } = consumer;
  for (;;) {
    const job = await dispatcher.getJob({ consumer, taskID });
    if (job === undefined) break;
    const ranges = await dispatcher.getEventRanges({ consumerID, jobID: job.jobID, rangeCount: 5 });
    const updates = ranges.map(execute);
    if (updates.length > 0) await dispatcher.updateEventRanges({ consumerID, jobID: job.jobID, updates });
    await service.flush();
  }
  await dispatcher.leave({ consumerID });
  await service.flush();
}

function execute({ rangeIndex, attemptNr }: LeasedRange): RangeUpdate {
  if (FAILING.has(rangeIndex) && attemptNr === 1) {
    const failure = { cause: 'payload-error', message: 'not yet', logTail: [] } as const;
    return { kind: 'failed', rangeIndex, attemptNr, failure };
  }
  const outputs = writeOutputs(folders, rangeIndex, attemptNr);
  return { kind: 'finished', rangeIndex, attemptNr, outputs, wallMs: 1, cpuMs: 1 };
}
