/**
 * Runs one event in a process of its own, so that whatever the payload does to it, it can be told afterwards.
 *
 * The process leads a group that is killed as a whole when the event is over, and by a watcher should this process die.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Failure } from '../../core/dispatcher-api.ts';
import { deserialiseError, GranuleError } from '../../core/errors.ts';
import { CHILD_DRAIN_MS, TIMEOUT_GRACE_MS, TIMEOUT_STUCK_MS } from '../../core/limits.ts';
import type { FromWorker, RangeReport } from '../../core/messages.ts';
import { builtModuleUrl } from '../../core/own-files.ts';
import { formatDuration } from '../../core/quantities.ts';
import { unwatchGroup, watchGroup } from '../../payloads/children/group-watcher.ts';
import { failureOfProcess, HOOK_REMEDY, TIMED_OUT } from '../worker/failures.ts';
import { isHeapLimitNotice } from '../worker/worker-log.ts';
import type { ExecOrder, FromExecProcess } from './exec-order.ts';

export interface ExecProcessOptions {
  readonly order: ExecOrder;
  /** how messages name the payload */
  readonly where: string;
  /** absolute: the current folder of the process */
  readonly currentFolder: string;
  /** null: Node's own */
  readonly heapMaxMB: number;
  /** receives what the process prints, at once */
  readonly onText: (text: string) => void;
  /** ends the process */
  readonly signal: AbortSignal;
}

export type ExecReport = Pick<RangeReport & { kind: 'finished' }, 'kind' | 'outputs' | 'wallMs'> | ExecFailure;

export interface ExecFailure {
  readonly kind: 'failed';
  readonly failure: Failure;
  /** undefined when the process did not live to tell */
  readonly wallMs: number | undefined;
}

/** @throws PAYLOAD_INIT_FAILED when it did not come to the event; OUTPUT_FAILED on a full disk; the signal's reason */
export async function runExecProcess(options: ExecProcessOptions): Promise<ExecReport> {
  const { signal } = options;
  signal.throwIfAborted();
  const child = start(options);
  const end = (): void => killGroup(child);
  signal.addEventListener('abort', end, { once: true });
  try {
    const report = await follow(child, options);
    signal.throwIfAborted();
    return report;
  } finally {
    signal.removeEventListener('abort', end);
    end();
    if (child.pid !== undefined) unwatchGroup(child.pid);
  }
}

function start({ order, currentFolder, heapMaxMB, onText }: ExecProcessOptions): ChildProcess {
  const child = fork(fileURLToPath(builtModuleUrl('runtime/exec/exec-event.child.ts')), [], {
    cwd: currentFolder,
    detached: true,
    serialization: 'advanced',
    execArgv: [`--max-old-space-size=${heapMaxMB}`],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  if (child.pid !== undefined) watchGroup(child.pid);
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', onText);
  // A process that is gone cannot be told; its end is noticed anyway.
  child.send(order, () => undefined);
  return child;
}

/** Resolves when the process has ended, with what it printed before passed on. */
async function follow(child: ChildProcess, { order, where }: ExecProcessOptions): Promise<ExecReport> {
  const told = new ToldByProcess();
  let isTimedOut = false;
  let timer: NodeJS.Timeout | undefined;
  const endAfter = (ms: number, note: () => void): void => {
    clearTimeout(timer);
    if (ms === 0) return;
    timer = setTimeout(() => {
      note();
      killGroup(child);
    }, ms);
  };
  const noteTimeout = (): void => {
    isTimedOut = true;
  };
  endAfter(order.hookTimeoutMs, noteTimeout);
  child.on('message', (message: FromExecProcess) => {
    // An endless loop notices nothing; what waits for promises ends itself, after its children.
    if (message.kind === 'aborting') {
      endAfter(TIMEOUT_GRACE_MS + TIMEOUT_STUCK_MS, noteTimeout);
      return;
    }
    told.note(message);
    if (told.isOver) killGroup(child);
    else if (told.report !== undefined) endAfter(order.hookTimeoutMs, () => undefined);
    else endAfter(order.timeoutMs === 0 ? 0 : order.timeoutMs + TIMEOUT_STUCK_MS, noteTimeout);
  });
  const printed = new TailOfText();
  child.stderr?.on('data', (text: string) => printed.add(text));
  const [exitCode, endedBy] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  // What it left behind elsewhere may keep its stdout open.
  if (child.stdout?.closed !== true || child.stderr?.closed !== true) {
    await Promise.race([once(child, 'close'), delay(CHILD_DRAIN_MS, undefined, { ref: false })]);
  }
  if (told.initError !== undefined) throw initFailed(where, told.initError);
  if (told.storageGone !== undefined) throw told.storageGone;
  if (told.report?.kind === 'finished') return told.report;
  if (told.report !== undefined) return { kind: 'failed', failure: told.report.failure, wallMs: told.report.wallMs };
  if (isTimedOut && !told.hasBegun) throw initFailed(where, tooLong(order.hookTimeoutMs));
  const failure: Failure = isTimedOut
    ? { cause: 'timeout', message: TIMED_OUT.message, logTail: [] }
    : failureOfProcess(exitCode, endedBy, isHeapLimitNotice(printed.text));
  if (told.hasBegun) return { kind: 'failed', failure, wallMs: undefined };
  throw initFailed(where, new GranuleError('PAYLOAD_INIT_FAILED', failure.message));
}

/** What a session says, as far as it matters here. */
class ToldByProcess {
  hasBegun = false;
  isOver = false;
  report: RangeReport | undefined;
  initError: GranuleError | undefined;
  storageGone: GranuleError | undefined;

  note(message: FromWorker): void {
    if (message.kind === 'init-failed') {
      this.initError = deserialiseError(message.error);
      this.isOver = true;
      return;
    }
    this.hasBegun = true;
    this.report ??= message.reports[0];
    if (message.kind !== 'leave') return;
    this.isOver = true;
    if (message.reason === 'storage-gone' && message.error !== null) this.storageGone = deserialiseError(message.error);
  }
}

/** The end of what was printed: enough to find V8's last words in. */
class TailOfText {
  static readonly #CHARS_MAX = 65_536;
  text = '';

  add(text: string): void {
    this.text = (this.text + text).slice(-TailOfText.#CHARS_MAX);
  }
}

function initFailed(where: string, cause: GranuleError): GranuleError {
  const { remedy } = cause;
  return new GranuleError('PAYLOAD_INIT_FAILED', `${where} fails before the event: ${cause.message}`, {
    cause,
    ...(remedy === undefined ? {} : { remedy }),
  });
}

function tooLong(limitMs: number): GranuleError {
  const message = `prepare and initialize have not come back after ${formatDuration(limitMs)}`;
  return new GranuleError('PAYLOAD_INIT_FAILED', message, { remedy: HOOK_REMEDY });
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Nothing of the group is left.
  }
}
