/**
 * One run of the whole flow in a process of its own, as a measurement: what the run says of itself, when its events
 * happened, and what CPU time each thread took meanwhile. A process per run, so that no run inherits another's heap.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { deserialiseError, GranuleError, type SerialisedError } from '../core/errors.ts';
import { builtModuleUrl } from '../core/own-files.ts';
import type { RunOptions } from '../runtime/options/option-schema.ts';
import type { RunSummary } from '../runtime/run/run-summary.ts';
import type { Timeline } from './steady-rate.ts';

/** CPU time of threads from the end of the warm-up to the last event durably finished. */
export interface ThreadCpu {
  /** as the kernel shows it (`comm`); threads of one name are summed, the main thread is `main` */
  readonly name: string;
  readonly cpuMicrosPerEvent: number;
}

/** Moments are in ms since the epoch, on one axis with those of the run's threads. */
export interface FlowRun {
  readonly summary: RunSummary;
  /** every worker had initialized its payload */
  readonly readyMs: number;
  /** the first token left for a worker */
  readonly firstExecutingMs: number;
  /** the last event was durably finished */
  readonly finishedMs: number;
  /** the last output was merged and complete; as `finishedMs` without merge */
  readonly mergedMs: number;
  /** durably finished events at these moments, cumulative: one entry per answered batch */
  readonly finishedEvents: Timeline;
  /** empty where the kernel does not tell, and in a run too short to warm up */
  readonly threads: readonly ThreadCpu[];
}

/** Sent to the child. */
export type FlowRunOrder = Required<Pick<FlowRunRequest, 'options' | 'leaveUnmerged'>>;

export type FlowRunAnswer =
  | { readonly kind: 'run'; readonly run: FlowRun }
  | { readonly kind: 'error'; readonly error: SerialisedError };

export interface FlowRunRequest {
  readonly options: RunOptions;
  /** outputs stay where workers put them, and their number is not bounded */
  readonly leaveUnmerged?: boolean;
  /** flags of the child's Node, for instance a profiler's */
  readonly nodeFlags?: readonly string[];
}

/** Resolves when the run is over, whatever its ending; rejects with what the run rejected with. */
export async function runFlow(request: FlowRunRequest, signal: AbortSignal): Promise<FlowRun> {
  signal.throwIfAborted();
  const child = fork(fileURLToPath(builtModuleUrl('bench/flow-run.child.ts')), [], {
    execArgv: [...(request.nodeFlags ?? [])],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    serialization: 'advanced',
  });
  const kill = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  try {
    const answer = await new Promise<FlowRunAnswer>((resolve, reject) => {
      let answered: FlowRunAnswer | undefined;
      child.once('error', reject);
      child.once('message', (message) => {
        answered = message as FlowRunAnswer;
      });
      // Not before the process is gone: the next measurement must not run beside its end.
      child.once('exit', (code, endedBy) => {
        if (answered !== undefined) resolve(answered);
        else
          reject(new GranuleError('INTERNAL', `a measured run ended without an answer (${endedBy ?? `exit ${code}`})`));
      });
      const { options, leaveUnmerged = false } = request;
      child.send({ options, leaveUnmerged } satisfies FlowRunOrder);
    });
    if (answer.kind === 'error') throw deserialiseError(answer.error);
    return answer.run;
  } finally {
    signal.removeEventListener('abort', kill);
  }
}
