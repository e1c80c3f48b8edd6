/** Entry of a measured run's process: see `flow-run.ts`. Ends explicitly, as the program does. */
import { serialiseError } from '../core/errors.ts';
import { Dispatcher } from '../dispatcher/dispatcher.ts';
import { MergeTrigger } from '../dispatcher/merge-trigger.ts';
import { boardTimeMs } from '../runtime/board/board-clock.ts';
import { startRun } from '../runtime/node.ts';
import { resolveLibraryOptions } from '../runtime/options/options.ts';
import type { FlowRun, FlowRunAnswer, FlowRunOrder } from './flow-run.ts';
import { WARM_UP_FRACTION } from './steady-rate.ts';
import { sampleThreadCpu, type ThreadCpuSample, threadCpuBetween } from './thread-cpu.ts';

/** The merge asks for work and finds none; the dispatcher hands out all the same. Everything else is as it always is. */
function leaveOutMerge(): void {
  const submitTask = Dispatcher.prototype.submitTask;
  Dispatcher.prototype.submitTask = function (task) {
    return submitTask.call(this, { ...task, unmergedFilesMax: Number.MAX_SAFE_INTEGER });
  };
  MergeTrigger.prototype.next = () => undefined;
}

async function measure({ options, leaveUnmerged }: FlowRunOrder): Promise<FlowRun> {
  if (leaveUnmerged) leaveOutMerge();
  const currentFolder = process.cwd();
  const handle = startRun(resolveLibraryOptions(options, currentFolder), {
    currentFolder,
    stdin: process.stdin,
    environment: process.env,
    command: process.argv,
    startedAtMs: performance.timeOrigin,
  });
  let readyMs = Number.NaN;
  let firstExecutingMs = Number.NaN;
  let finishedMs = Number.NaN;
  let mergedMs = Number.NaN;
  let finishedCount = 0;
  let before: ThreadCpuSample = new Map();
  let after: ThreadCpuSample = new Map();
  let totalCount = Number.POSITIVE_INFINITY;
  let warmUpCount = 0;
  let isWarmUp = true;
  const finishedEvents: (readonly [number, number])[] = [];
  handle.events.on('task:submitted', ({ eventCount }) => {
    totalCount = eventCount;
  });
  handle.events.on('worker:started', () => {
    readyMs = boardTimeMs();
  });
  handle.events.on('event:first-executing', () => {
    firstExecutingMs = boardTimeMs();
  });
  handle.events.on('events:finished', ({ eventCount }) => {
    finishedMs = boardTimeMs();
    if (isWarmUp && finishedCount + eventCount >= WARM_UP_FRACTION * totalCount) {
      isWarmUp = false;
      before = sampleThreadCpu();
      warmUpCount = finishedCount + eventCount;
    }
    finishedCount += eventCount;
    finishedEvents.push([finishedMs, finishedCount]);
    if (finishedCount >= totalCount) after = sampleThreadCpu();
  });
  handle.events.on('progress', () => {
    mergedMs = boardTimeMs(); // the last one says that everything is merged
  });
  const summary = await handle.done;
  const threads = threadCpuBetween(before, after, finishedCount - warmUpCount);
  if (leaveUnmerged) mergedMs = finishedMs;
  return { summary, readyMs, firstExecutingMs, finishedMs, mergedMs, finishedEvents, threads };
}

function answer(message: FlowRunAnswer): void {
  process.send?.(message, () => process.exit(0));
}

process.once('message', (order: FlowRunOrder) => {
  measure(order).then(
    (run) => answer({ kind: 'run', run }),
    (error: unknown) => answer({ kind: 'error', error: serialiseError(error) }),
  );
});
// The parent is gone: nobody waits for the answer.
process.once('disconnect', () => process.exit(1));
