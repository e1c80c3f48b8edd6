/**
 * Asks threads how much of their JavaScript heap they use, through Node's inspector: its messages are answered between
 * two steps of whatever a thread computes, so one that never comes back from its payload answers, too. On the main
 * thread.
 *
 * The inspector is opened when it is first needed, and stays: it costs a thread nothing that is not asked, and to let go
 * of threads that begin or end at that moment has crashed Node.
 */
import type { InspectorNotification, NodeWorker, Session } from 'node:inspector';
import { features } from 'node:process';
import { isMainThread } from 'node:worker_threads';

/** Nothing is sampled: to end a sampling is the one request at which V8 collects garbage before it answers. */
const SAMPLING_INTERVAL_BYTES = 2 ** 30;

interface Pending {
  readonly sessionID: string;
  settle(usedBytes: number | undefined): void;
}

interface InspectorAnswer {
  readonly id: number;
  readonly result?: { readonly usedSize?: number };
}

export class ThreadHeaps {
  static #opened: Promise<ThreadHeaps> | undefined;

  readonly #session: Session;
  /** the inspector's name of a thread, by Node's ID of it */
  readonly #sessionIDs = new Map<number, string>();
  readonly #pending = new Map<number, Pending>();
  #lastID = 0;

  private constructor(session: Session) {
    this.#session = session;
    session.connect();
    session.on('NodeWorker.attachedToWorker', ({ params }) => this.#noteAttached(params));
    session.on('NodeWorker.detachedFromWorker', ({ params }) => this.#noteDetached(params.sessionId));
    session.on('NodeWorker.receivedMessageFromWorker', (answer) => this.#noteAnswer(answer));
    session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
  }

  /** Whether this Node can do it at all: it may be built without its inspector. */
  static get areReadable(): boolean {
    return features.inspector && isMainThread;
  }

  /** The only one of the process. Rejects where this process may not use the inspector. */
  static open(): Promise<ThreadHeaps> {
    ThreadHeaps.#opened ??= import('node:inspector').then((inspector) => new ThreadHeaps(new inspector.Session()));
    return ThreadHeaps.#opened;
  }

  /** What the heap of a thread holds, garbage included; undefined when the thread ends meanwhile, or is not known yet. */
  usedBytes(nodeThreadID: number): Promise<number | undefined> {
    const sessionID = this.#sessionIDs.get(nodeThreadID);
    return sessionID === undefined ? Promise.resolve(undefined) : this.#ask(sessionID);
  }

  /** The same after its garbage was collected, all but what has become garbage while an older collection was under way. */
  usedBytesWithoutGarbage(nodeThreadID: number): Promise<number | undefined> {
    const sessionID = this.#sessionIDs.get(nodeThreadID);
    if (sessionID === undefined) return Promise.resolve(undefined);
    this.#send(sessionID, this.#nextID(), 'HeapProfiler.startSampling', { samplingInterval: SAMPLING_INTERVAL_BYTES });
    this.#send(sessionID, this.#nextID(), 'HeapProfiler.stopSampling');
    return this.#ask(sessionID);
  }

  /** An answer interrupts this thread, too, and may be there before the call that asks for it has returned. */
  #ask(sessionID: string): Promise<number | undefined> {
    return new Promise((settle) => {
      const id = this.#nextID();
      this.#pending.set(id, { sessionID, settle });
      this.#send(sessionID, id, 'Runtime.getHeapUsage');
    });
  }

  #nextID(): number {
    this.#lastID += 1;
    return this.#lastID;
  }

  #send(sessionId: string, id: number, method: string, params: object = {}): void {
    const message = JSON.stringify({ id, method, params });
    this.#session.post('NodeWorker.sendMessageToWorker', { sessionId, message }, (error) => {
      if (error !== null) this.#settle(id, undefined);
    });
  }

  #settle(id: number, usedBytes: number | undefined): void {
    this.#pending.get(id)?.settle(usedBytes);
    this.#pending.delete(id);
  }

  #noteAttached({ sessionId, workerInfo }: NodeWorker.AttachedToWorkerEventDataType): void {
    // The one place that tells the thread's ID: `workerId` counts by itself.
    const nodeThreadID = /^\[worker (\d+)\]/.exec(workerInfo.title)?.[1];
    if (nodeThreadID !== undefined) this.#sessionIDs.set(Number(nodeThreadID), sessionId);
  }

  #noteDetached(sessionID: string): void {
    for (const [nodeThreadID, known] of this.#sessionIDs) {
      if (known === sessionID) this.#sessionIDs.delete(nodeThreadID);
    }
    for (const [id, pending] of this.#pending) {
      if (pending.sessionID === sessionID) this.#settle(id, undefined);
    }
  }

  #noteAnswer({ params }: InspectorNotification<NodeWorker.ReceivedMessageFromWorkerEventDataType>): void {
    const { id, result } = JSON.parse(params.message) as InspectorAnswer;
    this.#settle(id, result?.usedSize);
  }
}
