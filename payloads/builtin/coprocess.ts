/**
 * Payload `coprocess`: one long-lived child per worker, any language, asked event by event with lines of JSON
 * (`docs/coprocess-protocol.md`). A child that dies or breaks the protocol fails the event it was asked; the next event
 * starts another one.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeThrown } from '../../core/errors.ts';
import { COPROCESS_INLINE_BYTES_MAX } from '../../core/limits.ts';
import { cutRecords } from '../children/child-records.ts';
import { CoprocessChild } from '../children/coprocess-child.ts';
import { type CarriedBytes, COPROCESS_PROTOCOL, inlineBytes, isCarriedBytes } from '../children/coprocess-protocol.ts';
import type { OutputFormatName } from '../formats/event-format.ts';
import { definePayload, type EventContext, type PayloadEvent, type WorkerContext } from '../payload.ts';
import { PayloadFailure } from '../payload-failure.ts';
import type { CoprocessOptions } from './coprocess-options.ts';

type Context = EventContext<CoprocessOptions, undefined>;

/** What this worker's child has been told. */
interface Host {
  readonly child: CoprocessChild;
  /** run header of the event before; empty before the first */
  runHeader: Uint8Array;
}

/** of this worker (a module is loaded by each worker anew) */
let host: Host | undefined;
let lastEventId = 0;

export default definePayload<CoprocessOptions>({
  name: 'coprocess',
  version: '1',
  outputs: ({ outputs }) => Object.fromEntries(Object.entries(outputs).map(([stream, format]) => [stream, { format }])),
  options: async () => (await import('./coprocess-options.ts')).schema,
  async initialize(context) {
    host = await startHost(context);
  },
  async execute(event, context) {
    if (host === undefined || !host.child.isAlive) {
      context.log.warn('another co-process is started, since the one before is gone');
      host = await startHost(context, context.signal);
    }
    const { child } = host;
    if (Buffer.compare(host.runHeader, event.runHeader) !== 0) {
      const header = carry(event.runHeader, 'run-header', context);
      child.send({ kind: 'runHeader', format: event.format, ...header });
      host.runHeader = Uint8Array.from(event.runHeader);
    }
    const outputs = await child.execute(describeEvent(event, context), context.signal);
    for (const [stream, written] of Object.entries(outputs)) writeStream(stream, written, event, context);
  },
  async finalize() {
    await host?.child.finish();
    host = undefined;
  },
});

async function startHost(context: WorkerContext<CoprocessOptions, undefined>, signal?: AbortSignal): Promise<Host> {
  const { options, workerIndex, folder, log } = context;
  const child = new CoprocessChild(options.cmd, log);
  const hello = { kind: 'hello', protocol: COPROCESS_PROTOCOL, workerIndex, folder, outputs: options.outputs } as const;
  await child.greet(hello, options.initTimeoutMs, signal);
  return { child, runHeader: new Uint8Array(0) };
}

function describeEvent(event: PayloadEvent, context: Context): Parameters<CoprocessChild['execute']>[0] {
  const { guid, lfn, position, format } = event;
  const numberOrNull = (value: number): number | null => (Number.isNaN(value) ? null : value);
  lastEventId += 1;
  return {
    kind: 'event',
    id: lastEventId,
    guid,
    lfn,
    position,
    eventNumber: numberOrNull(event.eventNumber),
    runNumber: numberOrNull(event.runNumber),
    format,
    seed: context.seed,
    ...carry(event.bytes, 'event', context),
  };
}

function carry(bytes: Uint8Array, name: string, { options, folder }: Context): CarriedBytes {
  if (options.transfer === 'inline' && bytes.length <= COPROCESS_INLINE_BYTES_MAX) return inlineBytes(bytes);
  const file = join(folder, name);
  writeFileSync(file, bytes);
  return { file };
}

function writeStream(
  stream: string,
  written: readonly unknown[] | CarriedBytes,
  event: PayloadEvent,
  context: Context,
) {
  const declared = context.options.outputs[stream];
  if (declared === undefined) {
    const known = Object.keys(context.options.outputs).join(', ');
    throw new PayloadFailure(`the co-process wrote to stream "${stream}"; declared are ${known}`, {
      cause: 'output-invalid',
    });
  }
  const format = declared === 'as-input' ? (event.format as OutputFormatName) : declared;
  const output = context.output(stream);
  if (isCarriedBytes(written)) {
    for (const record of cutRecords(uncarry(written, context), format)) output.write(record);
    return;
  }
  // A record of a format of bytes comes as text or in one of the other ways bytes are carried.
  const takesValues = format === 'ndjson' || format === 'gev' || format === 'histogram';
  for (const record of written as readonly unknown[]) {
    if (takesValues) output.write(record);
    else if (typeof record === 'string') output.write(Buffer.from(record));
    else output.write(isCarriedBytes(record) ? uncarry(record, context) : record);
  }
}

function uncarry(carried: CarriedBytes, { outputBytesMax }: Context): Uint8Array {
  if ('text' in carried) return Buffer.from(carried.text);
  if ('base64' in carried) return Buffer.from(carried.base64, 'base64');
  try {
    const { size } = statSync(carried.file);
    if (size <= outputBytesMax) return readFileSync(carried.file);
  } catch (error) {
    const message = `the output file of the co-process cannot be read: ${describeThrown(error).message}`;
    throw new PayloadFailure(message, { cause: 'output-invalid' });
  }
  throw new PayloadFailure(`the output file of the co-process has more than ${outputBytesMax} bytes`, {
    cause: 'output-too-large',
  });
}
