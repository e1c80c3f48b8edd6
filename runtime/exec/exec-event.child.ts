/**
 * Entry of the process that executes one event by itself: the session of a worker, with the one token instead of a
 * scatterer at the other end of its channel. What the payload prints and logs goes to stderr. With a debugger the
 * process waits until one is attached, and stops right before `execute`.
 */
import { open as openInspector } from 'node:inspector';
import { describeThrown, serialiseError } from '../../core/errors.ts';
import type { FromWorker, ToWorker } from '../../core/messages.ts';
import type { PayloadDefinition } from '../../payloads/payload.ts';
import { ExecutionBoard } from '../board/execution-board.ts';
import type { Received } from '../channel/channel.ts';
import { importPayload } from '../payload-loading/import-payload.ts';
import { guardStandardDescriptors } from '../worker/standard-descriptors.ts';
import { ThreadCpuClock } from '../worker/thread-cpu-clock.ts';
import { type SessionChannel, WorkerSession } from '../worker/worker-session.ts';
import type { ExecOrder, FromExecProcess } from './exec-order.ts';
import { ForegroundLog } from './foreground-log.ts';

const ONLY_BATCH = 1;

/** Resolves when the parent's end of the pipe has it. */
function tellParent(message: FromExecProcess): Promise<void> {
  return new Promise((resolve) => process.send?.(message, () => resolve()));
}

/** The other end of the session's channel: one token, then the end. */
class OneEventChannel implements SessionChannel {
  readonly #order: ExecOrder;
  readonly #board: ExecutionBoard;
  #isGiven = false;

  constructor(order: ExecOrder, board: ExecutionBoard) {
    this.#order = order;
    this.#board = board;
  }

  send(message: FromWorker): Promise<void> {
    return tellParent(message);
  }

  async receive(): Promise<Received<ToWorker>> {
    if (this.#isGiven) return { message: { kind: 'end' }, frames: [] };
    this.#isGiven = true;
    const { file, token, frames } = this.#order;
    this.#board.claims.open(ONLY_BATCH, 1);
    return { message: { kind: 'tokens', files: [file], tokens: [token], batch: ONLY_BATCH, copy: false }, frames };
  }
}

/** Nobody looks at the board from outside. */
class TellingBoard extends ExecutionBoard {
  constructor() {
    super(ExecutionBoard.forNewSession().memory);
  }

  override noteAborting(): void {
    super.noteAborting();
    void tellParent({ kind: 'aborting' });
  }
}

async function execute(order: ExecOrder): Promise<void> {
  const { debuggerAt, settings, timeoutMs } = order;
  const log = new ForegroundLog(settings.logLevel);
  if (debuggerAt !== null) openInspector(debuggerAt.port, debuggerAt.host, true);
  guardStandardDescriptors();
  let payload: PayloadDefinition;
  let shared: unknown;
  try {
    payload = await importPayload(settings.payloadUrl);
    shared = await prepare(payload, order, log);
  } catch (error) {
    log.error(describeThrown(error).stack || describeThrown(error).message);
    await tellParent({ kind: 'init-failed', error: serialiseError(error) });
    return;
  }
  const board = new TellingBoard();
  board.setTimeoutMs(timeoutMs);
  const session = new WorkerSession({
    data: { ...settings, shared },
    board,
    channel: new OneEventChannel(order, board),
    log,
    cpuClock: new ThreadCpuClock(),
    loadPayload: async () => (debuggerAt === null ? payload : stoppingBeforeExecute(payload)),
  });
  process.on('uncaughtException', (error) => session.noteLateError(error, 'exception'));
  process.on('unhandledRejection', (error) => session.noteLateError(error, 'rejection'));
  await session.run();
}

/** What workers would get: a copy, except for SharedArrayBuffers. */
async function prepare(payload: PayloadDefinition, { settings }: ExecOrder, log: ForegroundLog): Promise<unknown> {
  const { payloadOptions: options, taskSeed } = settings;
  return structuredClone(await payload.prepare?.({ options, taskSeed, signal: new AbortController().signal, log }));
}

/** A debugger cannot be told where to stop before it has seen the payload, so there is a place to stop and look around. */
function stoppingBeforeExecute(payload: PayloadDefinition): PayloadDefinition {
  const execute: PayloadDefinition['execute'] = (event, context) => {
    // biome-ignore lint/suspicious/noDebugger: this is what --inspect is for
    debugger; // Step into the next line: it is the payload.
    return payload.execute(event, context);
  };
  // Of an object of its own: a frozen payload would not let anything else stand for its `execute`.
  return new Proxy({} as PayloadDefinition, {
    get: (_, key) => {
      if (key === 'execute') return execute;
      const value: unknown = Reflect.get(payload, key);
      return typeof value === 'function' ? value.bind(payload) : value;
    },
  });
}

process.once('disconnect', () => process.exit(0));
process.once('message', (order: ExecOrder) => {
  // The parent ends this process once it has the last message.
  void execute(order);
});
