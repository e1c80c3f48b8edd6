/**
 * Runs a payload in this process, without workers, channels or files: options are checked by its schema, `prepare`,
 * `initialize`, `execute` and `finalize` are called in their order, and what it wrote is handed back.
 */
import type { FormatName } from '../../core/file-index.ts';
import { OUTPUT_BYTES_MAX_DEFAULT } from '../../core/limits.ts';
import { createRandom, eventSeed, type Random } from '../../core/random.ts';
import {
  declaredOutputs,
  type OutputStream,
  type PayloadDefinition,
  type PayloadEvent,
  type PayloadLog,
} from '../../payloads/payload.ts';

export const TEST_GUID = '0E5C7A52-2D51-8C4E-9B53-6F4B1C2D3E4F';

const silentLog: PayloadLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** An event as an input format would hand it to a payload. */
export function payloadEvent<Decoded = unknown>(facts: {
  readonly position: number;
  readonly bytes?: Uint8Array;
  readonly format?: FormatName;
  readonly runHeader?: Uint8Array;
  readonly decode?: () => Decoded;
}): PayloadEvent<Decoded> {
  const decode =
    facts.decode ??
    (() => {
      throw new Error('this event of a test has nothing to decode');
    });
  return {
    guid: TEST_GUID,
    lfn: 'events.hepmc3',
    position: facts.position,
    eventNumber: facts.position,
    runNumber: Number.NaN,
    format: facts.format ?? 'hepmc3',
    bytes: facts.bytes ?? new Uint8Array(0),
    runHeader: facts.runHeader ?? new Uint8Array(0),
    decode,
  };
}

/** What was written for one event, by stream; streams in the order of their first record. */
export type EventOutputs = Readonly<Record<string, readonly unknown[]>>;

/**
 * @param settings.options as on the command line; checked by the payload's schema, which may throw a ZodError
 * @returns one entry per event, in order
 */
export async function runPayload<Options, Shared, Decoded>(
  definition: PayloadDefinition<Options, Shared, Decoded>,
  events: Iterable<PayloadEvent<Decoded>>,
  settings: {
    readonly options?: Readonly<Record<string, unknown>>;
    readonly taskSeed?: number;
    readonly signal?: AbortSignal;
  } = {},
): Promise<EventOutputs[]> {
  const taskSeed = settings.taskSeed ?? 1;
  const signal = settings.signal ?? new AbortController().signal;
  const schema = typeof definition.options === 'function' ? await definition.options() : definition.options;
  const options = (schema === undefined ? {} : schema.parse(settings.options ?? {})) as Options;
  const prepared = await definition.prepare?.({ options, taskSeed, signal, log: silentLog });
  const worker = {
    options,
    shared: structuredClone(prepared) as Shared,
    workerIndex: 0,
    folder: '',
    outputBytesMax: OUTPUT_BYTES_MAX_DEFAULT,
    log: silentLog,
  };
  await definition.initialize?.(worker);
  const results: EventOutputs[] = [];
  for (const event of events) {
    const seed = eventSeed(taskSeed, event.guid, event.position);
    const outputs: Record<string, unknown[]> = {};
    let random: Random | undefined;
    const context = {
      ...worker,
      seed,
      signal,
      get random() {
        random ??= createRandom(seed);
        return random;
      },
      output: (stream: string): OutputStream => {
        if (!(stream in declaredOutputs(definition as PayloadDefinition, options)))
          throw new Error(`payload ${definition.name} declares no ${stream}`);
        outputs[stream] ??= [];
        const records = outputs[stream];
        return { write: (value) => records.push(structuredClone(value)), addIntervalOfValidity: () => undefined };
      },
    };
    definition.beginEvent?.(event, context);
    await definition.execute(event, context);
    definition.endEvent?.(event, context);
    results.push(outputs);
  }
  await definition.finalize?.(worker);
  return results;
}
