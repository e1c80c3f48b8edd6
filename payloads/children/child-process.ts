/**
 * A shell command as a child process in a process group of its own. Runs in workers.
 *
 * States: *running* → *ending* (told to end: SIGTERM, after `CHILD_TERM_GRACE_MS` SIGKILL, to the whole group) → *ended*
 * (the command is gone, its group was killed, its pipes are read to their end). A command that ends by itself takes
 * what it left in the background along.
 */
import { type ChildProcess as NodeChild, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { CHILD_DRAIN_MS, CHILD_TERM_GRACE_MS } from '../../core/limits.ts';
import { PayloadFailure, type PayloadFailureFacts } from '../payload-failure.ts';
import { unwatchGroup, watchGroup } from './group-watcher.ts';
import { OutputTail } from './output-tail.ts';

/** How a child ended. A signal that ended a command below the shell (exit code 128 + n) counts as one. */
export type ChildEnd =
  | { readonly kind: 'exit'; readonly exitCode: number }
  | { readonly kind: 'signal'; readonly signal: string };

/**
 * The command waits for a line, which is sent once the group is watched: a child that nobody watches never begins.
 * Descriptor 3 is closed before the command runs.
 */
const GATE = 'read -r granule_go <&3 || exit 125\nexec 3<&-\nunset granule_go\n';

const SHELL_SIGNAL_BASE = 128;

export class ChildProcess {
  /** resolves when the child has ended; rejects when it could not be started */
  readonly ended: Promise<ChildEnd>;
  readonly stderrTail = new OutputTail();
  readonly #child: NodeChild;
  #killTimer: NodeJS.Timeout | undefined;
  #isRunning = true;

  /**
   * Starts `/bin/sh -c command` in the current folder. Its stderr is kept by its end; its stdout is the caller's to read.
   */
  constructor(command: string) {
    this.#child = spawn('/bin/sh', ['-c', GATE + command], { detached: true, stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
    this.ended = this.#end();
    // Whoever waits gets the error; nobody has to.
    this.ended.catch(() => undefined);
    const { pid } = this.#child;
    const gate = this.#child.stdio[3] as Writable;
    // A child that does not read its input, or has ended, is no error of ours.
    gate.on('error', () => undefined);
    this.stdin.on('error', () => undefined);
    this.#child.stderr?.on('data', (chunk: Buffer) => this.stderrTail.push(chunk));
    if (pid === undefined) return;
    watchGroup(pid);
    gate.end('\n');
  }

  get stdin(): Writable {
    return this.#child.stdin as Writable;
  }

  get stdout(): Readable {
    return this.#child.stdout as Readable;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Asks the whole group to end, and makes it end after a grace. Twice is harmless. */
  terminate(): void {
    if (!this.#isRunning || this.#killTimer !== undefined) return;
    this.#signalGroup('SIGTERM');
    this.#killTimer = setTimeout(() => this.kill(), CHILD_TERM_GRACE_MS);
  }

  /** Ends the whole group at once. */
  kill(): void {
    if (this.#isRunning) this.#signalGroup('SIGKILL');
  }

  #signalGroup(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // Nothing of the group is left.
    }
  }

  async #end(): Promise<ChildEnd> {
    const child = this.#child;
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
    const [exitCode, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (...end) => resolve(end));
    });
    this.kill();
    this.#isRunning = false;
    clearTimeout(this.#killTimer);
    if (child.pid !== undefined) unwatchGroup(child.pid);
    const drain = setTimeout(() => {
      for (const stream of child.stdio) stream?.destroy();
    }, CHILD_DRAIN_MS);
    await closed;
    clearTimeout(drain);
    return signal === null ? endOfShell(exitCode ?? 0) : { kind: 'signal', signal };
  }
}

function endOfShell(exitCode: number): ChildEnd {
  const number = exitCode - SHELL_SIGNAL_BASE;
  const signal = Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
  return signal === undefined ? { kind: 'exit', exitCode } : { kind: 'signal', signal };
}

/** What an end means for the event in work; undefined for exit code 0. @param what subject of the message */
export function failureOfEnd(end: ChildEnd, what: string, logTail: readonly string[]): PayloadFailure | undefined {
  if (end.kind === 'exit' && end.exitCode === 0) return undefined;
  const facts: PayloadFailureFacts =
    end.kind === 'exit'
      ? { cause: 'exit-code', childExitCode: end.exitCode, logTail }
      : { cause: 'signal', signal: end.signal, logTail };
  const how = end.kind === 'exit' ? `ended with exit code ${end.exitCode}` : `was ended by ${end.signal}`;
  const last = logTail.at(-1);
  return new PayloadFailure(`${what} ${how}${last === undefined ? '' : `: ${last}`}`, facts);
}
