/**
 * What `execute` is given: the event and its context, in a worker's thread. One of each per event, made cheap: nothing
 * is decoded, seeded or aborted before it is asked for.
 */
import { GranuleError } from '../../core/errors.ts';
import type { FormatName } from '../../core/file-index.ts';
import type { WorkerFile } from '../../core/messages.ts';
import { createRandom, eventSeed, type Random } from '../../core/random.ts';
import type { InputFormat } from '../../payloads/formats/event-format.ts';
import type { EventContext, OutputStream, PayloadEvent, WorkerContext } from '../../payloads/payload.ts';
import type { EventInWork, OutputSequencer } from './output-sequencer.ts';

export class ExecutedEvent implements PayloadEvent, EventInWork {
  readonly position: number;
  readonly bytes: Uint8Array;
  readonly runHeader: Uint8Array;
  readonly #file: WorkerFile;
  readonly #format: InputFormat;
  #decoded: { readonly value: unknown } | undefined;
  #numbers: { readonly eventNumber: number; readonly runNumber: number } | undefined;

  constructor(
    source: { readonly file: WorkerFile; readonly format: InputFormat },
    position: number,
    bytes: Uint8Array,
    runHeader: Uint8Array,
  ) {
    this.#file = source.file;
    this.#format = source.format;
    this.position = position;
    this.bytes = bytes;
    this.runHeader = runHeader;
  }

  get guid(): string {
    return this.#file.guid;
  }

  get lfn(): string {
    return this.#file.lfn;
  }

  get format(): FormatName {
    return this.#file.format;
  }

  get eventNumber(): number {
    this.#numbers ??= this.#format.identify(this.bytes);
    return this.#numbers.eventNumber;
  }

  get runNumber(): number {
    this.#numbers ??= this.#format.identify(this.bytes);
    return this.#numbers.runNumber;
  }

  decode(): unknown {
    this.#decoded ??= { value: this.#format.decode(this.bytes, this.runHeader) };
    return this.#decoded.value;
  }
}

/** One stream as one event sees it: closed with the event. */
class EventOutput implements OutputStream {
  readonly #stream: string;
  readonly #context: ExecutionContext;

  constructor(stream: string, context: ExecutionContext) {
    this.#stream = stream;
    this.#context = context;
  }

  write(value: unknown): void {
    this.#context.sequencerWhileOpen(this.#stream).write(this.#stream, value);
  }

  addIntervalOfValidity(key: string, firstRun: number, lastRun: number, value: string): void {
    this.#context.sequencerWhileOpen(this.#stream).addIntervalOfValidity(this.#stream, key, firstRun, lastRun, value);
  }
}

export class ExecutionContext implements EventContext<unknown, unknown> {
  readonly rangeIndex: number;
  readonly attemptNr: number;
  readonly #worker: WorkerContext<unknown, unknown>;
  readonly #sequencer: OutputSequencer;
  readonly #event: ExecutedEvent;
  readonly #taskSeed: number;
  #random: Random | undefined;
  #abort: AbortController | undefined;
  #aborted = false;
  #open = true;

  constructor(
    worker: {
      readonly context: WorkerContext<unknown, unknown>;
      readonly sequencer: OutputSequencer;
      readonly taskSeed: number;
    },
    range: { readonly rangeIndex: number; readonly attemptNr: number },
    event: ExecutedEvent,
  ) {
    this.#worker = worker.context;
    this.#sequencer = worker.sequencer;
    this.#taskSeed = worker.taskSeed;
    this.rangeIndex = range.rangeIndex;
    this.attemptNr = range.attemptNr;
    this.#event = event;
  }

  get position(): number {
    return this.#event.position;
  }

  get options(): unknown {
    return this.#worker.options;
  }

  get shared(): unknown {
    return this.#worker.shared;
  }

  get workerIndex(): number {
    return this.#worker.workerIndex;
  }

  get folder(): string {
    return this.#worker.folder;
  }

  get outputBytesMax(): number {
    return this.#worker.outputBytesMax;
  }

  get log(): WorkerContext<unknown, unknown>['log'] {
    return this.#worker.log;
  }

  get seed(): number {
    return eventSeed(this.#taskSeed, this.#event.guid, this.#event.position);
  }

  get random(): Random {
    this.#random ??= createRandom(this.seed);
    return this.#random;
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#aborted) this.#abort.abort();
    }
    return this.#abort.signal;
  }

  output(stream: string): OutputStream {
    return new EventOutput(stream, this);
  }

  /** For the session: the event's time is over. */
  abort(reason: unknown): void {
    this.#aborted = true;
    this.#abort?.abort(reason);
  }

  /** For the session: the payload has asked for the signal, so it may honour it. */
  get hasSignal(): boolean {
    return this.#abort !== undefined;
  }

  /** For the session: what the payload throws now is a consequence of the abort. */
  get isAborted(): boolean {
    return this.#aborted;
  }

  /** For the session: nothing may be written any more. */
  close(): void {
    this.#open = false;
  }

  sequencerWhileOpen(stream: string): OutputSequencer {
    if (!this.#open) {
      throw new GranuleError(
        'PAYLOAD_OUTPUT_INVALID',
        `the payload wrote to stream ${stream} after execute had returned for position ${this.#event.position}`,
        { details: { stream, position: this.#event.position }, remedy: 'return or await everything that writes' },
      );
    }
    return this.#sequencer;
  }
}
