/**
 * A server that is far away, in a process of its own: every answer begins a round trip late, and the first on a
 * connection two. Counts what it sends.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { assert } from '../core/assert.ts';
import { builtModuleUrl } from '../core/own-files.ts';

/** Bytes of bodies since the last call of `counts`. */
export interface SentCounts {
  readonly requestCount: number;
  /** answers to range requests, multipart headers included */
  readonly rangeBytes: number;
  /** answers with the whole file: reading it to index it */
  readonly wholeBytes: number;
}

export type ToFarServer =
  | { readonly kind: 'serve'; readonly folder: string; readonly roundTripMs: number }
  | { readonly kind: 'counts' };

export type FromFarServer =
  | { readonly kind: 'listening'; readonly port: number }
  | ({ readonly kind: 'counts' } & SentCounts);

export class FarServer implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #port: number;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.#port = port;
  }

  static async start(folder: string, roundTripMs: number): Promise<FarServer> {
    const child = fork(fileURLToPath(builtModuleUrl('bench/far-server.child.ts')), [], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const answer = await ask(child, { kind: 'serve', folder, roundTripMs });
    assert(answer.kind === 'listening', 'a server says where it listens');
    return new FarServer(child, answer.port);
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.#port}/${path}`;
  }

  async counts(): Promise<SentCounts> {
    const answer = await ask(this.#child, { kind: 'counts' });
    assert(answer.kind === 'counts', 'a server says what it sent');
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await exited;
  }
}

/** Throws when the child cannot be spoken to. */
async function ask(child: ChildProcess, message: ToFarServer): Promise<FromFarServer> {
  const answered = once(child, 'message');
  child.send(message);
  const [answer] = (await answered) as [FromFarServer];
  return answer;
}
