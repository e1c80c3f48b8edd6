/** Cuts what a child wrote for one event into the records of its output format. */
import { describeThrown } from '../../core/errors.ts';
import type { FormatName } from '../../core/file-index.ts';
import { RECOGNISE_BYTES_MAX } from '../../core/limits.ts';
import type { OutputFormatName } from '../formats/event-format.ts';
import { skipBlanks } from '../formats/line-blocks.ts';
import { inputFormat } from '../formats/registry.ts';
import { PayloadFailure } from '../payload-failure.ts';

/** Length of a line shown in a message. */
const SHOWN_CHARS = 60;

/**
 * - `bytes`: one record
 * - `ndjson`: one record a line, kept as it is written
 * - `gev`, `histogram`: one record a line, the JSON value of the line
 * - event listings: one record an event; the bytes of one event, or a whole file with its header
 *
 * Blank lines and empty output are no records.
 *
 * @param format `as-input` is already the format of the event
 * @returns views into `written`, or values
 * @throws PayloadFailure `output-invalid`
 */
export function cutRecords(written: Uint8Array, format: OutputFormatName): readonly unknown[] {
  if (written.length === 0) return [];
  if (format === 'bytes') return [written];
  if (format === 'ndjson') return cutLines(written);
  // A container of our own, or one record of it, has bytes that no text has.
  if (format === 'histogram' || (format === 'gev' && !written.includes(0))) return cutLines(written).map(parseLine);
  return cutEvents(written, format);
}

function cutLines(written: Uint8Array): Buffer[] {
  const buffer = Buffer.from(written.buffer, written.byteOffset, written.byteLength);
  const lines: Buffer[] = [];
  for (let at = 0; at < buffer.length; ) {
    const newline = buffer.indexOf('\n', at);
    const end = newline < 0 ? buffer.length : newline + 1;
    const textEnd = newline < 0 ? buffer.length : newline;
    if (skipBlanks(buffer, at, textEnd) < textEnd) lines.push(buffer.subarray(at, end));
    at = end;
  }
  return lines;
}

function parseLine(line: Buffer, index: number): unknown {
  const text = line.toString('utf8');
  try {
    return JSON.parse(text);
  } catch (error) {
    const shown = text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text.trimEnd();
    throw invalid(`record ${index + 1} of its output is not JSON: ${describeThrown(error).message}, in ${shown}`);
  }
}

function cutEvents(written: Uint8Array, format: FormatName): readonly Uint8Array[] {
  const input = inputFormat(format);
  // Without a header it is taken for the bytes of one event, which the stream checks.
  if (!input.recognise(written.subarray(0, RECOGNISE_BYTES_MAX))) return [written];
  const events: Uint8Array[] = [];
  const indexer = input.createIndexer({
    event: (offsetBytes, lengthBytes) => events.push(written.subarray(offsetBytes, offsetBytes + lengthBytes)),
    runSegment: () => undefined,
  });
  try {
    indexer.push(written);
    indexer.end();
  } catch (error) {
    throw invalid(`its output is no valid ${format} file: ${describeThrown(error).message}`);
  }
  return events;
}

function invalid(message: string): PayloadFailure {
  return new PayloadFailure(message, { cause: 'output-invalid' });
}
