/**
 * The payload contract: what a user's module exports. Also the package's door `granule/payload`.
 *
 * ```ts
 * import { definePayload } from 'granule/payload';
 *
 * export default definePayload({
 *   name: 'count-bytes',
 *   outputs: { COUNT: { format: 'ndjson' } },
 *   execute(event, context) {
 *     context.output('COUNT').write({ position: event.position, sizeBytes: event.bytes.length });
 *   },
 * });
 * ```
 *
 * Life of a payload (Gaudi's words): `prepare` once per run in a thread of its own; then in each worker `initialize`,
 * `execute` per event, `finalize`. Workers share nothing but what `prepare` returns. When all is merged, `report` once,
 * again in a thread of its own.
 */
import type { ZodType } from 'zod';
import type { FormatName } from '../core/file-index.ts';
import type { Random } from '../core/random.ts';
import type { OutputFormatName } from './formats/event-format.ts';
import type { HistogramFill } from './formats/histogram.ts';

export type { FormatName } from '../core/file-index.ts';
export type { Random } from '../core/random.ts';
export type { OutputFormatName } from './formats/event-format.ts';
export type { GeneratorEvent, GeneratorParticle, LheEvent, LheParticle, Particle } from './formats/generator-event.ts';
export type { HistogramFill } from './formats/histogram.ts';
export { PayloadFailure, type PayloadFailureFacts } from './payload-failure.ts';

export interface OutputDeclaration {
  /** `as-input`: the format of the event that is processed (its bytes are written unchanged) */
  readonly format: OutputFormatName | 'as-input';
  /** what its records are, for instance `simulation`: kept in the metadata of formats that hold some (`gev`) */
  readonly eventType?: string;
}

/** Streams by name: an upper-case letter, then upper-case letters, digits and `_`. */
export type OutputDeclarations = Readonly<Record<string, OutputDeclaration>>;

/** Lines written here go to the worker's log file; the last ones of an event are kept with its failure. */
export interface PayloadLog {
  debug(message: string, fields?: object): void;
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
  error(message: string, fields?: object): void;
}

/** One event. `bytes` are the payload's to read until `execute` has returned or resolved; copy what you keep. */
export interface PayloadEvent<Decoded = unknown> {
  readonly guid: string;
  readonly lfn: string;
  /** 1-based place in the file */
  readonly position: number;
  /** event number as the file says, NaN when it says none */
  readonly eventNumber: number;
  /** run number as the file says, NaN when it says none */
  readonly runNumber: number;
  readonly format: FormatName;
  readonly bytes: Uint8Array;
  /** run information in force (listing header, weight names, `<init>` block); empty when there is none */
  readonly runHeader: Uint8Array;
  /** Decodes on the first call. Throws INPUT_MALFORMED. */
  decode(): Decoded;
}

/** What `write` takes for a stream of this format. */
export type RecordOf<Format> = Format extends 'ndjson' | 'gev'
  ? unknown
  : Format extends 'histogram'
    ? HistogramFill
    : Uint8Array;

export interface OutputStream<Value = unknown> {
  /**
   * Appends one record. `ndjson`: any JSON value; `gev`: anything msgpack holds; `histogram`: a `HistogramFill`;
   * `hepmc3`, `hepmc2`, `lhe`, `bytes` and `as-input`: a `Uint8Array` (for event listings one event's bytes, from its
   * first line on).
   */
  write(value: Value): void;
  /**
   * Run numbers for which `value` holds (both ends included); united by the merge. Throws for formats other than `gev`, whose
   * files have no place for it.
   */
  addIntervalOfValidity(key: string, firstRun: number, lastRun: number, value: string): void;
}

export interface PrepareContext<Options> {
  readonly options: Options;
  readonly taskSeed: number;
  readonly signal: AbortSignal;
  readonly log: PayloadLog;
}

export interface WorkerContext<Options, Shared> {
  readonly options: Options;
  /** what `prepare` returned: SharedArrayBuffers are shared, everything else is this worker's copy */
  readonly shared: Shared;
  /** 0-based */
  readonly workerIndex: number;
  /** a folder of this worker's own, emptied when the run ends */
  readonly folder: string;
  /** what one event may write to one stream; more fails the event */
  readonly outputBytesMax: number;
  readonly log: PayloadLog;
}

export interface EventContext<Options, Shared, Outputs extends OutputDeclarations = OutputDeclarations>
  extends WorkerContext<Options, Shared> {
  /** depends on the task's seed and the event only; a safe integer */
  readonly seed: number;
  /** seeded with `seed`; made at the first use */
  readonly random: Random;
  /** aborted at the time-out of the event and when the run is forced to stop */
  readonly signal: AbortSignal;
  /** Throws for a stream that `outputs` does not name. Not to be used after `execute` has returned or resolved. */
  output<Stream extends keyof Outputs & string>(stream: Stream): OutputStream<RecordOf<Outputs[Stream]['format']>>;
}

export interface ReportContext<Options> {
  readonly options: Options;
  /** paths of the merged files of each stream, in the order of the task */
  readonly outputs: Readonly<Record<string, readonly string[]>>;
  /** where the report belongs: the folder of the merged files */
  readonly folder: string;
  readonly eventCount: { readonly total: number; readonly finished: number; readonly failed: number };
  readonly signal: AbortSignal;
  readonly log: PayloadLog;
}

/** Incidents (Gaudi's): optional hooks, called in the worker at the moments their names say. */
export interface IncidentHooks<Options, Shared, Outputs extends OutputDeclarations = OutputDeclarations> {
  beginInputFile?(file: { readonly guid: string; readonly lfn: string }, context: WorkerContext<Options, Shared>): void;
  endInputFile?(file: { readonly guid: string; readonly lfn: string }, context: WorkerContext<Options, Shared>): void;
  nextEventRange?(eventRangeID: string, context: WorkerContext<Options, Shared>): void;
  beginRun?(runNumber: number, context: WorkerContext<Options, Shared>): void;
  endRun?(runNumber: number, context: WorkerContext<Options, Shared>): void;
  beginEvent?(event: PayloadEvent, context: EventContext<Options, Shared, Outputs>): void;
  endEvent?(event: PayloadEvent, context: EventContext<Options, Shared, Outputs>): void;
}

export interface PayloadDefinition<
  Options = unknown,
  Shared = unknown,
  Decoded = unknown,
  Outputs extends OutputDeclarations = OutputDeclarations,
> extends IncidentHooks<Options, Shared, Outputs> {
  /** shown in tables and kept in the manifest: letters, digits, `-`, `_`, `.` */
  readonly name: string;
  readonly version?: string;
  /** formats of the events it can process; files of other formats are refused before the run. Any when left out */
  readonly inputFormats?: readonly FormatName[];
  /** the streams it writes; a function where they depend on the options */
  readonly outputs: Outputs | ((options: Options) => Outputs);
  /** zod schema of the options, or a function that loads it (which keeps zod out of the workers) */
  readonly options?: ZodType<Options> | (() => Promise<ZodType<Options>>);
  prepare?(context: PrepareContext<Options>): Shared | Promise<Shared>;
  initialize?(context: WorkerContext<Options, Shared>): void | Promise<void>;
  execute(event: PayloadEvent<Decoded>, context: EventContext<Options, Shared, Outputs>): void | Promise<void>;
  finalize?(context: WorkerContext<Options, Shared>): void | Promise<void>;
  /** Once, after the last merge of a run, in a thread of its own: looks at the merged files as a whole. */
  report?(context: ReportContext<Options>): void | Promise<void>;
}

/**
 * Gives a payload module its types, those of its streams by name and format too; returns its argument. Who names type
 * arguments names no streams: they are checked when the payload runs.
 */
export function definePayload<
  Options = Record<string, never>,
  Shared = undefined,
  Decoded = unknown,
  const Outputs extends OutputDeclarations = OutputDeclarations,
>(
  definition: PayloadDefinition<Options, Shared, Decoded, Outputs>,
): PayloadDefinition<Options, Shared, Decoded, Outputs> {
  return definition;
}

/** The streams that a payload writes with these (checked) options. */
export function declaredOutputs(definition: PayloadDefinition, options: unknown): OutputDeclarations {
  return typeof definition.outputs === 'function' ? definition.outputs(options) : definition.outputs;
}
