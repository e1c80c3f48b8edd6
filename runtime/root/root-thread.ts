/**
 * The thread that reads ROOT files, as seen by the thread that needs it: an indexing thread, or the token extractor.
 *
 * Tasks are done one at a time, in order. The thread is started with the first one. If it dies, as it may by errors inside
 * jsroot, or hangs, the task it had fails, and the next one starts another thread.
 */
import { Worker } from 'node:worker_threads';
import { assert, assertNever } from '../../core/assert.ts';
import { describeThrown, deserialiseError, isGranuleError } from '../../core/errors.ts';
import type { RootTree } from '../../core/file-index.ts';
import { ROOT_SILENCE_MS } from '../../core/limits.ts';
import { builtModuleUrl } from '../../core/own-files.ts';
import type { EncodedEntries } from '../../payloads/formats/root-entry-encoder.ts';
import type { SourceOptions } from '../remote/source-options.ts';
import { rootFailed } from './root-failure.ts';
import type {
  EntryNumbers,
  FromRootThread,
  RootAnswer,
  RootContents,
  RootFile,
  RootSelection,
  RootTask,
} from './root-messages.ts';

interface Job {
  readonly task: RootTask;
  readonly resolve: (answer: RootAnswer) => void;
  readonly reject: (error: unknown) => void;
}

export class RootThread {
  readonly #sources: SourceOptions;
  readonly #queue: Job[] = [];
  #worker: Worker | undefined;
  #current: Job | undefined;
  #silence: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;
  /** resolves when nothing is left to do */
  #whenIdle: (() => void) | undefined;

  constructor(sources: SourceOptions) {
    this.#sources = sources;
  }

  /** @throws INPUT_READER_MISSING, INPUT_ROOT_FAILED, and what reading the bytes throws; so do the others */
  async describe(file: RootFile): Promise<RootContents> {
    const { trees } = await this.#askFor('trees', { kind: 'list-trees', file });
    return { trees, numbers: await this.#readNumbers(file, trees) };
  }

  /** None of a tree whose numbers cannot be read: its events can be processed all the same. */
  async #readNumbers(file: RootFile, trees: readonly RootTree[]): Promise<EntryNumbers | undefined> {
    try {
      return (await this.#askFor('numbers', { kind: 'read-numbers', file, trees })).numbers;
    } catch (error) {
      if (isGranuleError(error) && error.code === 'INPUT_ROOT_FAILED') return undefined;
      throw error;
    }
  }

  /** First entry of each group of entries that is to be read at once. @throws also INPUT_TREE_UNKNOWN */
  async openTree(file: RootFile, selection: RootSelection): Promise<Float64Array> {
    return (await this.#askFor('groups', { kind: 'open-tree', file, selection })).starts;
  }

  /** The entries `[firstEntry, endEntry)`, counted from 0. The bytes are the caller's. */
  async readEntries(
    file: RootFile,
    selection: RootSelection,
    firstEntry: number,
    endEntry: number,
  ): Promise<EncodedEntries> {
    return await this.#askFor('entries', { kind: 'read-entries', file, selection, firstEntry, endEntry });
  }

  /** Takes nothing new, finishes what was asked for, ends the thread. Any number of times. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #askFor<Kind extends RootAnswer['kind']>(
    kind: Kind,
    task: RootTask,
  ): Promise<Extract<RootAnswer, { readonly kind: Kind }>> {
    const answer = await this.#ask(task);
    assert(answer.kind === kind, 'a task is answered as such');
    return answer as Extract<RootAnswer, { readonly kind: Kind }>;
  }

  #ask(task: RootTask): Promise<RootAnswer> {
    assert(this.#closing === undefined, 'nothing is asked of a ROOT thread that closes');
    return new Promise((resolve, reject) => {
      this.#queue.push({ task, resolve, reject });
      this.#advance();
    });
  }

  #advance(): void {
    if (this.#current !== undefined) return;
    this.#current = this.#queue.shift();
    if (this.#current === undefined) {
      this.#whenIdle?.();
      return;
    }
    this.#worker ??= this.#start();
    this.#watch();
    this.#worker.postMessage(this.#current.task);
  }

  #start(): Worker {
    const worker = new Worker(builtModuleUrl('runtime/root/root-reader.thread.ts'), {
      workerData: this.#sources,
    });
    worker.on('message', (message: FromRootThread) => {
      if (worker === this.#worker) this.#receive(message);
    });
    worker.on('error', (error) => this.#lose(worker, describeThrown(error).message));
    worker.on('exit', (code) => this.#lose(worker, `its thread ended with code ${code}`));
    return worker;
  }

  #receive(message: FromRootThread): void {
    if (message.kind === 'progress') {
      this.#watch();
      return;
    }
    const job = this.#endJob();
    if (message.kind === 'failed') job?.reject(deserialiseError(message.error));
    else job?.resolve(message);
    this.#advance();
  }

  /** The thread is gone, or given up. */
  #lose(worker: Worker, reason: string): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    const job = this.#endJob();
    if (job !== undefined) job.reject(rootFailed(`${describeTask(job.task)}: jsroot fails: ${reason}`));
    this.#advance();
  }

  #endJob(): Job | undefined {
    const job = this.#current;
    this.#current = undefined;
    clearTimeout(this.#silence);
    return job;
  }

  #watch(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      const worker = this.#worker;
      if (worker === undefined) return;
      this.#lose(worker, `nothing was heard of it for ${ROOT_SILENCE_MS / 1000} s`);
      void worker.terminate();
    }, ROOT_SILENCE_MS);
  }

  async #close(): Promise<void> {
    if (this.#current !== undefined) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    const worker = this.#worker;
    this.#worker = undefined;
    if (worker === undefined) return;
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    worker.postMessage(null);
    await exited;
  }
}

function describeTask(task: RootTask): string {
  const { lfn } = task.file.record;
  switch (task.kind) {
    case 'list-trees':
      return `${lfn}: its trees cannot be listed`;
    case 'read-numbers':
      return `${lfn}: run and event numbers cannot be read`;
    case 'open-tree':
      return `${lfn}: tree ${task.selection.tree} cannot be opened`;
    case 'read-entries':
      return `${lfn}: entries ${task.firstEntry} to ${task.endEntry - 1} of tree ${task.selection.tree} cannot be read`;
    default:
      return assertNever(task, 'task of the ROOT thread');
  }
}
