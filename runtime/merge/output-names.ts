/** Names and formats of merged files. */
import type { TaskFile } from '../../core/dispatcher-api.ts';
import { GranuleError } from '../../core/errors.ts';
import type { FormatName } from '../../core/file-index.ts';
import { OUTPUT_FORMAT_NAMES, type OutputFormatName } from '../../payloads/formats/event-format.ts';

/** A stream as the payload declares it. */
export interface MergeStream {
  readonly name: string;
  readonly format: OutputFormatName | 'as-input';
}

/** What one output, a contiguous run of ranges, is named after. */
export type OutputNaming =
  /** the input file whose events it holds */
  | { readonly kind: 'input-file' }
  /** the task; outputs hold a set number of events, whatever files they come from */
  | { readonly kind: 'task'; readonly taskName: string };

/**
 * `<LFN>.<STREAM><ext>`, or `<task name>.<STREAM>.<5 digits><ext>` counting from 1. Streams hold no dot, so two outputs
 * never share a name as long as LFNs differ.
 */
export function mergedFileName(
  naming: OutputNaming,
  output: { readonly outputIndex: number; readonly lfn: string },
  stream: string,
  fileExtension: string,
): string {
  if (naming.kind === 'input-file') return `${output.lfn}.${stream}${fileExtension}`;
  return `${naming.taskName}.${stream}.${String(output.outputIndex + 1).padStart(5, '0')}${fileExtension}`;
}

/**
 * The format of a stream's merged file, given the format of the input: `as-input` keeps it, so filtered HepMC2 stays
 * HepMC2.
 *
 * @throws CONFIG_INVALID for an input format that granule reads but does not write
 */
export function streamFormat(stream: MergeStream, inputFormat: FormatName): OutputFormatName {
  if (stream.format !== 'as-input') return stream.format;
  const format = OUTPUT_FORMAT_NAMES.find((name) => name === inputFormat);
  if (format !== undefined) return format;
  throw new GranuleError(
    'CONFIG_INVALID',
    `stream ${stream.name} is written in the format of the input, but ${inputFormat} can only be read`,
    { details: { stream: stream.name, inputFormat }, remedy: 'Declare another format for the stream in the payload.' },
  );
}

/**
 * Refuses, before anything runs, outputs that would have to hold two formats at once: a stream `as-input` over files of
 * different formats, with outputs that span files.
 *
 * @throws CONFIG_INVALID naming the stream and two of the files
 */
export function checkOutputFormats(
  naming: OutputNaming,
  streams: readonly MergeStream[],
  files: readonly TaskFile[],
): void {
  for (const stream of streams) {
    let first: TaskFile | undefined;
    for (const file of files) {
      first ??= file;
      const format = streamFormat(stream, file.format);
      if (naming.kind === 'input-file' || format === streamFormat(stream, first.format)) continue;
      throw new GranuleError(
        'CONFIG_INVALID',
        `stream ${stream.name} keeps the input's format, but ${first.lfn} is ${first.format} and ${file.lfn} is ${file.format}: they cannot share an output`,
        {
          details: { stream: stream.name, files: [first.lfn, file.lfn] },
          remedy: 'Leave out --events-per-output, or run the files of each format separately.',
        },
      );
    }
  }
}
