/**
 * One co-process: a child that is asked event by event. Runs in workers.
 *
 * States: *starting* (until `ready`) → *idle* ⇄ *asked* (an event is with it) → *gone* (ended, or ended by us because it
 * broke the protocol or an event's time was over). A child that is gone is replaced, never restarted.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describeThrown } from '../../core/errors.ts';
import { COPROCESS_FINISH_MS, COPROCESS_LINE_BYTES_MAX, COPROCESS_LOG_LINES_PER_EVENT } from '../../core/limits.ts';
import type { PayloadLog } from '../payload.ts';
import { PayloadFailure } from '../payload-failure.ts';
import { ChildProcess, failureOfEnd } from './child-process.ts';
import { type FromCoprocess, parseCoprocessLine, type ToCoprocess, violation } from './coprocess-protocol.ts';

type Answer = Extract<FromCoprocess, { kind: 'ready' | 'done' | 'failed' }>;

interface Waiting {
  /** of the event; 0 for `ready` */
  readonly id: number;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

const NEWLINE = 0x0a;
const READY_ID = 0;

export class CoprocessChild {
  readonly #child: ChildProcess;
  readonly #log: PayloadLog;
  #waiting: Waiting | undefined;
  #pieces: Uint8Array[] = [];
  #pieceBytes = 0;
  #loggedLines = 0;
  /** told to end */
  #isEnding = false;
  /** why nothing can be asked any more */
  #gone: unknown;

  constructor(command: string, log: PayloadLog) {
    this.#log = log;
    this.#child = new ChildProcess(command);
    this.#child.stdout.on('data', (chunk: Uint8Array) => this.#take(chunk));
    this.#child.ended.then(
      (end) => this.#leave(failureOfEnd(end, 'the co-process', this.#tail()) ?? this.#endedEarly()),
      (error: unknown) => this.#leave(error),
    );
  }

  /** false when it is gone: the next event needs another one */
  get isAlive(): boolean {
    return this.#child.isRunning && !this.#isEnding;
  }

  /** Greets it and waits for its `ready`. */
  async greet(hello: Extract<ToCoprocess, { kind: 'hello' }>, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const timeout = setTimeout(() => {
      const message = `the co-process was not ready after ${timeoutMs} ms`;
      this.#break(new PayloadFailure(message, { cause: 'timeout' }));
    }, timeoutMs);
    try {
      await this.#ask(hello, READY_ID, signal);
    } finally {
      clearTimeout(timeout);
    }
  }

  send(message: ToCoprocess): void {
    this.#child.stdin.write(`${JSON.stringify(message)}\n`);
  }

  /**
   * Hands over one event and waits for its outputs.
   *
   * @param signal when it aborts, the child is ended
   * @throws PayloadFailure, or the reason of the signal
   */
  async execute(
    event: Extract<ToCoprocess, { kind: 'event' }>,
    signal: AbortSignal,
  ): Promise<Extract<FromCoprocess, { kind: 'done' }>['outputs']> {
    this.#loggedLines = 0;
    this.#child.stderrTail.clear();
    const answer = await this.#ask(event, event.id, signal);
    if (answer.kind === 'done') return answer.outputs;
    // What it printed before its answer comes through another pipe: two turns of the loop, and it is here.
    await nextTurn();
    await nextTurn();
    const reason = answer.kind === 'failed' ? answer.reason : '';
    throw new PayloadFailure(reason || 'the co-process failed without a reason', {
      cause: 'payload-error',
      logTail: this.#tail(),
    });
  }

  /** Tells it that there are no more events and waits for its end, which is bounded. */
  async finish(): Promise<void> {
    const patience = setTimeout(() => this.#end(), COPROCESS_FINISH_MS);
    this.send({ kind: 'end' });
    this.#child.stdin.end();
    await this.#child.ended.catch(() => undefined);
    clearTimeout(patience);
  }

  async #ask(message: ToCoprocess, id: number, signal: AbortSignal | undefined): Promise<Answer> {
    signal?.throwIfAborted();
    if (this.#gone !== undefined) throw this.#gone;
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#waiting = { id, resolve, reject };
    });
    const end = (): void => this.#end();
    signal?.addEventListener('abort', end, { once: true });
    try {
      this.send(message);
      return await answer;
    } catch (error) {
      if (signal?.aborted === true) {
        for (const line of this.#tail()) this.#log.warn(line);
        throw signal.reason;
      }
      throw error;
    } finally {
      signal?.removeEventListener('abort', end);
    }
  }

  #end(): void {
    this.#isEnding = true;
    this.#child.terminate();
  }

  #leave(error: unknown): void {
    this.#gone = error;
    this.#fail(error);
  }

  #endedEarly(): PayloadFailure {
    const facts = { cause: 'exit-code', childExitCode: 0, logTail: this.#tail() } as const;
    return new PayloadFailure('the co-process ended (exit code 0) without an answer', facts);
  }

  #fail(error: unknown): void {
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }

  /** Lines come in pieces of any size. */
  #take(chunk: Uint8Array): void {
    let rest = chunk;
    for (let newline = rest.indexOf(NEWLINE); newline >= 0; newline = rest.indexOf(NEWLINE)) {
      const line = Buffer.concat([...this.#pieces, rest.subarray(0, newline)]).toString('utf8');
      this.#pieces = [];
      this.#pieceBytes = 0;
      rest = rest.subarray(newline + 1);
      this.#handleLine(line);
    }
    if (this.#isEnding || rest.length === 0) return;
    this.#pieces.push(rest);
    this.#pieceBytes += rest.length;
    if (this.#pieceBytes <= COPROCESS_LINE_BYTES_MAX) return;
    const start = Buffer.from(this.#pieces[0] ?? []).toString('utf8');
    this.#pieces = [];
    this.#break(violation(`a line is longer than ${COPROCESS_LINE_BYTES_MAX} bytes: hand over a file instead`, start));
  }

  #handleLine(line: string): void {
    if (this.#isEnding) return;
    try {
      const message = parseCoprocessLine(line);
      if (message === undefined) this.#note('info', line);
      else if (message.kind === 'log') this.#note(message.level, message.message);
      else this.#answer(message, line);
    } catch (error) {
      this.#break(error);
    }
  }

  #answer(message: Answer, line: string): void {
    const id = message.kind === 'ready' ? READY_ID : message.id;
    const waiting = this.#waiting;
    if (waiting === undefined) throw violation('nothing was asked', line);
    if (waiting.id !== id) {
      throw violation(waiting.id === READY_ID ? '"ready" must come first' : `event ${waiting.id} was asked`, line);
    }
    this.#waiting = undefined;
    waiting.resolve(message);
  }

  /** It cannot be trusted any more: fails what was asked and ends it. */
  #break(error: unknown): void {
    const facts = error instanceof PayloadFailure ? error.payloadFailure : { cause: 'protocol' as const };
    const { message } = describeThrown(error);
    this.#log.error(`the co-process is ended: ${message}`);
    this.#fail(new PayloadFailure(message, { ...facts, logTail: this.#tail() }));
    this.#end();
  }

  #note(level: keyof PayloadLog, line: string): void {
    if (line === '') return;
    this.#loggedLines += 1;
    if (this.#loggedLines < COPROCESS_LOG_LINES_PER_EVENT) this.#log[level](line);
    else if (this.#loggedLines === COPROCESS_LOG_LINES_PER_EVENT)
      this.#log.warn('more lines of this event are left out');
  }

  #tail(): readonly string[] {
    return this.#child.stderrTail.lines();
  }
}
