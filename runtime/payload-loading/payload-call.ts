/**
 * Calls of a payload's own code that are not made in workers: loading the module, `prepare` and `report`. Each runs
 * in a short-lived thread, so that it can neither block nor end the main thread, and has a bound.
 */
import { Worker } from 'node:worker_threads';
import { deserialiseError, type ErrorCode, GranuleError, type SerialisedError } from '../../core/errors.ts';
import { PAYLOAD_ABORT_GRACE_MS } from '../../core/limits.ts';
import type { Logger } from '../../core/log.ts';
import { builtModuleUrl } from '../../core/own-files.ts';
import { formatDuration } from '../../core/quantities.ts';
import type { ReportContext } from '../../payloads/payload.ts';
import { HOOK_REMEDY } from '../worker/failures.ts';

export type PayloadCall =
  | {
      readonly kind: 'load';
      /** absolute, of the module */
      readonly path: string;
      /** of a bundle of it that is kept in the folder; null: it is to be bundled */
      readonly identity: string | null;
      /** absolute */
      readonly bundleFolder: string;
      readonly options: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: 'prepare'; readonly moduleUrl: string; readonly options: unknown; readonly taskSeed: number }
  | {
      readonly kind: 'report';
      readonly moduleUrl: string;
      readonly options: unknown;
      readonly outputs: ReportContext<unknown>['outputs'];
      readonly folder: string;
      readonly eventCount: ReportContext<unknown>['eventCount'];
    };

/** What the thread is started with. */
export interface PayloadThreadData {
  /** the call, which comes as a message, will be to load a module: what that takes can be loaded meanwhile */
  readonly ahead: boolean;
}

export interface PayloadCallData {
  /** how messages name the payload */
  readonly where: string;
  readonly call: PayloadCall;
}

/** What the thread sends: lines of log, then one answer. */
export type FromPayloadCall =
  | {
      readonly kind: 'log';
      readonly level: 'debug' | 'info' | 'warn' | 'error';
      readonly message: string;
      readonly fields: object;
    }
  | { readonly kind: 'result'; readonly value: unknown }
  | { readonly kind: 'error'; readonly error: SerialisedError & { readonly remedy?: string } };

/** What it is sent: one call. */
export type ToPayloadCall = { readonly kind: 'call'; readonly data: PayloadCallData } | { readonly kind: 'abort' };

export interface PayloadCallBounds {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly log: Logger;
}

const ERROR_CODE: Readonly<Record<PayloadCall['kind'], ErrorCode>> = {
  load: 'PAYLOAD_INVALID',
  prepare: 'PAYLOAD_INIT_FAILED',
  report: 'PAYLOAD_REPORT_FAILED',
};

const DOING: Readonly<Record<PayloadCall['kind'], string>> = {
  load: 'loading it',
  prepare: 'its prepare()',
  report: 'its report()',
};

/** Waits for a module to load. */
let threadAhead: Worker | undefined;

/**
 * Starts the thread of the next call that loads a module, before it is known which: its start takes as long as finding
 * that out. For programs, which end by themselves even if no such call is made. Twice is harmless.
 */
export function startThreadAhead(): void {
  if (threadAhead !== undefined) return;
  const worker = startThread({ ahead: true });
  worker.unref();
  worker.on('error', () => undefined); // its exit follows
  worker.once('exit', () => {
    if (threadAhead === worker) threadAhead = undefined;
  });
  threadAhead = worker;
}

function startThread(workerData: PayloadThreadData): Worker {
  return new Worker(builtModuleUrl('runtime/payload-loading/payload-call.thread.ts'), {
    workerData,
    // Taken in by pipes nobody prints: stdout carries results.
    stdout: true,
    stderr: true,
  });
}

function takeThread(kind: PayloadCall['kind']): Worker {
  const ahead = kind === 'load' ? threadAhead : undefined;
  if (ahead === undefined) return startThread({ ahead: false });
  threadAhead = undefined;
  ahead.ref();
  return ahead;
}

/**
 * Makes one call in a thread of its own and ends the thread. When `signal` aborts, the payload's own signal does, and
 * it has `PAYLOAD_ABORT_GRACE_MS` to come back.
 *
 * @returns what the call returned, by structured clone; SharedArrayBuffers are shared
 * @throws PAYLOAD_INVALID, PAYLOAD_INIT_FAILED or PAYLOAD_REPORT_FAILED by the kind of call, PAYLOAD_OPTION_INVALID,
 *   or the reason of `signal`
 */
export async function callPayload(data: PayloadCallData, bounds: PayloadCallBounds): Promise<unknown> {
  const { timeoutMs, signal, log } = bounds;
  signal?.throwIfAborted();
  const code = ERROR_CODE[data.call.kind];
  const doing = DOING[data.call.kind];
  const worker = takeThread(data.call.kind);
  let onAbort: (() => void) | undefined;
  const timers: NodeJS.Timeout[] = [];
  try {
    const result = await new Promise((resolve, reject) => {
      worker.on('message', (message: FromPayloadCall) => {
        if (message.kind === 'log') log[message.level](message.fields, message.message);
        else if (message.kind === 'result') resolve(message.value);
        else reject(deserialiseError(message.error));
      });
      worker.on('error', (error) =>
        reject(new GranuleError(code, `${data.where}: ${doing} failed: ${error.message}`, { cause: error })),
      );
      worker.on('exit', (exitCode) =>
        reject(
          new GranuleError(
            code,
            `${data.where}: ${doing} ended its thread (exit code ${exitCode}) without coming back`,
          ),
        ),
      );
      for (const stream of [worker.stdout, worker.stderr]) {
        stream.on('data', (chunk: Buffer) => log.info({ text: chunk.toString().trimEnd() }, 'payload printed'));
      }
      timers.push(
        setTimeout(() => {
          const message = `${data.where}: ${doing} has not come back after ${formatDuration(timeoutMs)}`;
          const remedy = data.call.kind === 'load' ? {} : { remedy: HOOK_REMEDY };
          reject(new GranuleError(code, message, { details: { timeoutMs }, ...remedy }));
        }, timeoutMs),
      );
      onAbort = () => {
        worker.postMessage({ kind: 'abort' } satisfies ToPayloadCall);
        timers.push(setTimeout(() => reject(signal?.reason), PAYLOAD_ABORT_GRACE_MS));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      worker.postMessage({ kind: 'call', data } satisfies ToPayloadCall);
    });
    signal?.throwIfAborted();
    return result;
  } catch (error) {
    // Whatever an aborted payload makes of it, the caller's reason is what counts.
    signal?.throwIfAborted();
    throw error;
  } finally {
    for (const timer of timers) clearTimeout(timer);
    if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
    // A thread in synchronous native code ends only when that returns: nobody waits for it.
    worker.unref();
    void worker.terminate();
  }
}
