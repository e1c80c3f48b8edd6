/**
 * A helper thread of the merge service, seen from the main thread: one request after the other, answered in order.
 * States: *absent* until the first request, so that it costs a start nothing → *running* → *closed*.
 */
import { type MessagePort, Worker } from 'node:worker_threads';
import { assert } from '../../core/assert.ts';
import { deserialiseError, GranuleError, type SerialisedError, serialiseError } from '../../core/errors.ts';

/** Something that answers requests in order: a thread, or in tests the object that the thread would hold. */
export interface RequestHandler<Request, Reply> {
  /** Rejects with the error that the handler threw, or `INTERNAL` when it died. */
  request(request: Request): Promise<Reply>;
  /** Waits for what was asked, then ends the handler. Twice is harmless. */
  close(): Promise<void>;
}

type Answer<Reply> = { readonly reply: Reply } | { readonly error: SerialisedError };

interface Pending<Reply> {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: GranuleError) => void;
}

export class MergeThread<Request, Reply> implements RequestHandler<Request, Reply> {
  readonly #entry: URL;
  readonly #workerData: unknown;
  #worker: Worker | undefined;
  readonly #transfer: (request: Request) => readonly ArrayBuffer[];
  readonly #pending: Pending<Reply>[] = [];
  #tail: Promise<unknown> = Promise.resolve();
  #dead: GranuleError | undefined;

  /** @param transfer buffers of a request that are given away rather than copied */
  constructor(entry: URL, workerData: unknown, transfer: (request: Request) => readonly ArrayBuffer[] = () => []) {
    this.#entry = entry;
    this.#workerData = workerData;
    this.#transfer = transfer;
  }

  request(request: Request): Promise<Reply> {
    if (this.#dead !== undefined) return Promise.reject(this.#dead);
    const answered = new Promise<Reply>((resolve, reject) => this.#pending.push({ resolve, reject }));
    this.#tail = answered.catch(() => undefined);
    this.#worker ??= this.#start();
    const worker = this.#worker;
    // The service keeps the process alive while it waits for an answer, not by merely existing.
    worker.ref();
    worker.postMessage(request, this.#transfer(request));
    return answered.finally(() => {
      if (this.#pending.length === 0) worker.unref();
    });
  }

  async close(): Promise<void> {
    await this.#tail;
    this.#dead ??= new GranuleError('INTERNAL', 'the merge threads are closed');
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(this.#entry, { workerData: this.#workerData });
    worker.on('message', (answer: Answer<Reply>) => {
      const pending = this.#pending.shift();
      assert(pending !== undefined, 'an answer belongs to a request');
      if ('reply' in answer) pending.resolve(answer.reply);
      else pending.reject(deserialiseError(answer.error));
    });
    worker.on('error', (error) => this.#die(`a merge thread died: ${error.message}`, error));
    worker.on('exit', (code) => this.#die(`a merge thread ended by itself with code ${code}`, undefined));
    return worker;
  }

  #die(message: string, cause: unknown): void {
    this.#dead ??= new GranuleError('INTERNAL', message, { cause });
    for (const { reject } of this.#pending.splice(0)) reject(this.#dead);
  }
}

/** The thread's side: answers each request with what `handle` returns or throws. */
export function serveRequests<Request, Reply>(port: MessagePort, handle: (request: Request) => Reply): void {
  port.on('message', (request: Request) => {
    let answer: Answer<Reply>;
    try {
      answer = { reply: handle(request) };
    } catch (error) {
      answer = { error: serialiseError(error) };
    }
    port.postMessage(answer);
  });
}
