/** Entry of a measured run's process: see `flow-run.ts`. Ends explicitly, as the program does. */
import { serialiseError } from '../core/errors.ts';
import { boardTimeMs } from '../runtime/execution-board.ts';
import { startRun } from '../runtime/node.ts';
import { type RunOptions, resolveLibraryOptions } from '../runtime/options.ts';
import type { FlowRun, FlowRunAnswer } from './flow-run.ts';
import { sampleThreadCpu, type ThreadCpuSample, threadCpuBetween } from './thread-cpu.ts';

async function measure(options: RunOptions): Promise<FlowRun> {
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
  let finishedCount = 0;
  let before: ThreadCpuSample = new Map();
  let after: ThreadCpuSample = new Map();
  let totalCount = Number.POSITIVE_INFINITY;
  const finishedEvents: (readonly [number, number])[] = [];
  handle.events.on('task:submitted', ({ eventCount }) => {
    totalCount = eventCount;
  });
  handle.events.on('worker:started', () => {
    readyMs = boardTimeMs();
  });
  handle.events.on('event:first-executing', () => {
    firstExecutingMs = boardTimeMs();
    before = sampleThreadCpu();
  });
  handle.events.on('events:finished', ({ eventCount }) => {
    finishedMs = boardTimeMs();
    finishedCount += eventCount;
    finishedEvents.push([finishedMs, finishedCount]);
    if (finishedCount >= totalCount) after = sampleThreadCpu();
  });
  const summary = await handle.done;
  const endedMs = boardTimeMs();
  const threads = threadCpuBetween(before, after);
  return { summary, readyMs, firstExecutingMs, finishedMs, endedMs, finishedEvents, threads };
}

function answer(message: FlowRunAnswer): void {
  process.send?.(message, () => process.exit(0));
}

process.once('message', (options: RunOptions) => {
  measure(options).then(
    (run) => answer({ kind: 'run', run }),
    (error: unknown) => answer({ kind: 'error', error: serialiseError(error) }),
  );
});
// The parent is gone: nobody waits for the answer.
process.once('disconnect', () => process.exit(1));
