/**
 * Payload `command`: one process per event, any language. The event goes in by stdin or a file, its output comes back
 * by stdout or a file; a command that does not end with exit code 0 fails the event.
 */
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { COMMAND_OUTPUT_BYTES_MAX } from '../../core/limits.ts';
import { ChildProcess, failureOfEnd } from '../children/child-process.ts';
import { cutRecords } from '../children/child-records.ts';
import { type CommandTemplate, fillCommand, type Placeholder, parseCommand } from '../children/command-template.ts';
import { completeEventFile } from '../children/event-file.ts';
import { OutputTail } from '../children/output-tail.ts';
import type { OutputFormatName } from '../formats/event-format.ts';
import { definePayload, type EventContext, type PayloadEvent } from '../payload.ts';
import { PayloadFailure } from '../payload-failure.ts';
import type { CommandOptions } from './command-options.ts';

type Context = EventContext<CommandOptions, undefined>;

/** Files of one event; each worker has a folder of its own and executes one event at a time. */
interface EventFiles {
  readonly event: string;
  readonly input: string;
  readonly output: string;
}

let template: CommandTemplate;

export default definePayload<CommandOptions>({
  name: 'command',
  version: '1',
  outputs: ({ stream, format }) => ({ [stream]: { format } }),
  options: async () => (await import('./command-options.ts')).schema,
  initialize({ options }) {
    template = parseCommand(options.cmd);
  },
  async execute(event, context) {
    const file = (name: string): string => join(context.folder, name);
    const files = { event: file('event'), input: file('input'), output: file('output') };
    try {
      const written = await runCommand(event, context, files);
      const { format, stream } = context.options;
      const records = cutRecords(written, format === 'as-input' ? (event.format as OutputFormatName) : format);
      const output = context.output(stream);
      for (const record of records) output.write(record);
    } finally {
      // A command may have made a folder of one.
      for (const path of Object.values(files)) rmSync(path, { force: true, recursive: true });
    }
  },
});

function placeholderValue(name: Placeholder, event: PayloadEvent, context: Context, files: EventFiles): string {
  switch (name) {
    case 'event':
    case 'input':
    case 'output':
      return files[name];
    case 'seed':
      return String(context.seed);
    case 'folder':
      return context.folder;
    default:
      return String(event[name]);
  }
}

/** Returns what the command wrote: the whole of its output file, or of its stdout. */
async function runCommand(event: PayloadEvent, context: Context, files: EventFiles): Promise<Uint8Array> {
  const { used } = template;
  context.signal.throwIfAborted();
  if (used.has('event')) writeFileSync(files.event, event.bytes);
  if (used.has('input')) writeFileSync(files.input, completeEventFile(event));

  const command = fillCommand(template, (name) => placeholderValue(name, event, context, files));
  const child = new ChildProcess(command);
  const terminate = (): void => child.terminate();
  context.signal.addEventListener('abort', terminate, { once: true });
  try {
    child.stdin.end(used.has('event') || used.has('input') ? undefined : event.bytes);
    const bytesMax = Math.min(COMMAND_OUTPUT_BYTES_MAX, context.outputBytesMax);
    const stdout = used.has('output') ? keepTail(child) : keepAll(child, bytesMax);
    const end = await child.ended;
    const logTail = [...stdout.tail.lines(), ...child.stderrTail.lines()];
    if (context.signal.aborted) {
      for (const line of logTail) context.log.warn(line);
      throw context.signal.reason;
    }
    if (stdout.overflowed) throw tooLarge(bytesMax, logTail);
    const failure = failureOfEnd(end, 'the command', logTail);
    if (failure !== undefined) throw failure;
    for (const line of logTail) context.log.debug(line);
    return used.has('output') ? readOutput(files.output, bytesMax, logTail) : Buffer.concat(stdout.chunks);
  } finally {
    context.signal.removeEventListener('abort', terminate);
  }
}

interface Stdout {
  /** what it printed, when that is its output */
  readonly chunks: Uint8Array[];
  /** the end of what it printed, when that is not its output */
  readonly tail: OutputTail;
  overflowed: boolean;
}

function keepTail(child: ChildProcess): Stdout {
  const kept: Stdout = { chunks: [], tail: new OutputTail(), overflowed: false };
  child.stdout.on('data', (chunk: Uint8Array) => kept.tail.push(chunk));
  return kept;
}

function keepAll(child: ChildProcess, bytesMax: number): Stdout {
  const kept: Stdout = { chunks: [], tail: new OutputTail(), overflowed: false };
  let sizeBytes = 0;
  child.stdout.on('data', (chunk: Uint8Array) => {
    sizeBytes += chunk.length;
    if (sizeBytes <= bytesMax) {
      kept.chunks.push(chunk);
    } else if (!kept.overflowed) {
      kept.overflowed = true;
      kept.chunks.length = 0;
      child.kill();
    }
  });
  return kept;
}

function readOutput(path: string, bytesMax: number, logTail: readonly string[]): Uint8Array {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) {
    const message = 'the command ended well but left no {output} file; one without output leaves an empty file';
    throw new PayloadFailure(message, { cause: 'output-invalid', logTail });
  }
  if (!status.isFile()) {
    throw new PayloadFailure('what the command left as {output} is no file', { cause: 'output-invalid', logTail });
  }
  if (status.size > bytesMax) throw tooLarge(bytesMax, logTail);
  return readFileSync(path);
}

function tooLarge(bytesMax: number, logTail: readonly string[]): PayloadFailure {
  return new PayloadFailure(`the command wrote more than ${bytesMax} bytes for one event`, {
    cause: 'output-too-large',
    logTail,
  });
}
