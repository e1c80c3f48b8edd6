/**
 * What a format is: a plug-in of a few functions. Reading (recognise, index, decode) and writing (single-event files
 * that a merge can join) are two halves; a format may have only one of them.
 *
 * A format is pure: it never opens files or sockets, so that the same code indexes a local file, a gzip stream and an
 * HTTP body.
 */
import type { FormatName } from '../../core/file-index.ts';

// --- reading ---------------------------------------------------------------------------------------------------------

/** Receives what an indexer finds, in file order. Offsets count inflated bytes from the start of the file. */
export interface IndexSink {
  /** @param eventNumber as the file says, or NaN; @param runNumber likewise */
  event(offsetBytes: number, lengthBytes: number, eventNumber: number, runNumber: number): void;
  /** Run information that holds from the next event on. */
  runSegment(offsetBytes: number, lengthBytes: number): void;
}

/**
 * Finds events without decoding them. `push` takes consecutive pieces of the file; the bytes are only valid during the
 * call. `end` throws `INPUT_TRUNCATED` when the file stops early. Either throws `INPUT_MALFORMED` with `details`
 * `{ offsetBytes, position }`.
 */
export interface Indexer {
  push(chunk: Uint8Array): void;
  end(): void;
}

export interface InputFormat {
  readonly name: FormatName;
  /** @param head the first bytes of the (inflated) file, at most `RECOGNISE_BYTES_MAX` */
  recognise(head: Uint8Array): boolean;
  createIndexer(sink: IndexSink): Indexer;
  /** Numbers the event's own bytes state, without decoding it; NaN for what they do not state. */
  identify(bytes: Uint8Array): { readonly eventNumber: number; readonly runNumber: number };
  /**
   * The event as the payload's `event.decode()` returns it.
   *
   * @param bytes the event's bytes, as indexed
   * @param runHeader the run segment in force, empty when there is none
   * @throws INPUT_MALFORMED
   */
  decode(bytes: Uint8Array, runHeader: Uint8Array): unknown;
}

// --- writing ---------------------------------------------------------------------------------------------------------

export const OUTPUT_FORMAT_NAMES = ['ndjson', 'gev', 'hepmc3', 'hepmc2', 'lhe', 'histogram', 'bytes'] as const;
export type OutputFormatName = (typeof OUTPUT_FORMAT_NAMES)[number];

/** What stands around the records of one single-event file. Known before the first record is written. */
export interface OutputContext {
  readonly stream: string;
  /** run segment in force for the event that is written */
  readonly runHeader: Uint8Array;
  /** format of the input event */
  readonly inputFormat: FormatName;
}

/** Metadata of a stretch of events: what a worker knows of its file, and what merging sums and unites. */
export interface EventStreamInfo {
  readonly eventCount: number;
  /** sorted, without repetition */
  readonly runNumbers: readonly number[];
  /** for instance `simulation`, from the payload; sorted, without repetition */
  readonly eventTypes: readonly string[];
  /** name and version of what made it; sorted, without repetition */
  readonly processingTags: readonly string[];
  /** intervals of validity a payload added: sorted by key, then first; united where they touch and are equal */
  readonly intervalsOfValidity: readonly {
    readonly key: string;
    readonly firstRun: number;
    readonly lastRun: number;
    readonly value: string;
  }[];
}

/**
 * The parts of one complete unmerged file: views into the given bytes. A format may give header and metadata as objects
 * of its own, which are never changed, and the same for files where they are equal.
 */
export interface SplitOutput {
  /** what precedes the records; two files with equal headers are joined body to body */
  readonly header: Uint8Array;
  readonly body: Uint8Array;
  /** NaN for a format whose records cannot be told apart (`bytes`) */
  readonly recordCount: number;
  /** absent for formats that carry no metadata */
  readonly info?: EventStreamInfo;
}

/** What a record is written for. Numbers are NaN when unknown. */
export interface RecordContext {
  /** 1-based, in the input file */
  readonly position: number;
  readonly eventNumber: number;
  readonly runNumber?: number;
}

export interface OutputFormat {
  readonly name: OutputFormatName;
  /** with the dot: `.ndjson` */
  readonly fileExtension: string;
  /** true when files hold an EventStreamInfo and records their event number: workers gather them only then */
  readonly carriesInfo: boolean;
  /** The whole of a single-event file before its first record. */
  begin(context: OutputContext): Uint8Array;
  /**
   * One record. An input event of the same format is written as its bytes are (`as-input`).
   *
   * @throws PAYLOAD_OUTPUT_INVALID for a value that the format cannot hold
   */
  encode(value: unknown, meta: RecordContext): Uint8Array;
  /** The whole of a single-event file after its last record. */
  end(info: EventStreamInfo): Uint8Array;
  /** Takes a complete unmerged file apart. Throws `OUTPUT_DAMAGED`. */
  split(file: Uint8Array): SplitOutput;
  /**
   * Metadata of a complete file, merged or not, from its end; absent for formats that carry none.
   *
   * @param readEnd gives the last `lengthBytes` bytes of the file, all of a shorter one
   * @throws OUTPUT_DAMAGED
   */
  readInfo?(readEnd: (lengthBytes: number) => Uint8Array): EventStreamInfo;
  /**
   * Decodes every record of a body and gives the body to write instead (slow merge): text comes back byte for byte,
   * once it is known to decode; gev records are packed afresh. Throws `OUTPUT_DAMAGED`.
   */
  rewrite(body: Uint8Array): Uint8Array;
  /**
   * Begins a writer of merged files, or goes on with one.
   *
   * @param state what {@link OutputJoiner.state} gave, undefined for a new file
   * @param stream named in the header of a file that turns out to hold no record, where the format has such a place
   */
  createJoiner(state: Uint8Array | undefined, stream?: string): OutputJoiner;
}

/**
 * Joins bodies into one merged file. The caller appends what the joiner returns, in order, and stores `state()` with
 * the file's length whenever it commits; a joiner made from that state goes on exactly there.
 */
export interface OutputJoiner {
  /**
   * Bytes to append for one split file: headers where they change, then the body. They are views into the part or
   * bytes of their own; the joiner keeps no view of the part.
   *
   * @param offsetBytes length of the merged file so far
   * @throws OUTPUT_UNMERGEABLE when the format has one header per file and the part has another
   */
  append(part: SplitOutput, offsetBytes: number): readonly Uint8Array[];
  /** Bytes that complete the file: trailers, footer index. A file without records is valid too. */
  finish(offsetBytes: number): Uint8Array;
  /** Small: independent of how much was appended. */
  state(): Uint8Array;
}
