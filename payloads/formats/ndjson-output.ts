/** Writes NDJSON: one JSON value a line, no header, nothing at the end. */
import type { OutputFormat, OutputJoiner, SplitOutput } from './event-format.ts';
import { damaged, refusedRecord } from './format-errors.ts';
import { asBuffer, NEWLINE } from './line-blocks.ts';
import { decodeJSONLine } from './ndjson.ts';

const NOTHING = new Uint8Array(0);

export const ndjsonOutput: OutputFormat = {
  name: 'ndjson',
  fileExtension: '.ndjson',
  carriesInfo: false,
  begin: () => NOTHING,
  encode: (value) => (value instanceof Uint8Array ? checkLine(value) : Buffer.from(`${stringify(value)}\n`, 'utf8')),
  end: () => NOTHING,
  split(file): SplitOutput {
    const buffer = asBuffer(file);
    if (buffer.length > 0 && buffer[buffer.length - 1] !== NEWLINE) throw damaged('the last line has no end');
    return { header: buffer.subarray(0, 0), body: buffer, recordCount: countLines(buffer) };
  },
  rewrite(body) {
    const buffer = asBuffer(body);
    let at = 0;
    while (at < buffer.length) {
      const newline = buffer.indexOf(NEWLINE, at);
      const end = newline < 0 ? buffer.length : newline + 1;
      try {
        decodeJSONLine(buffer.subarray(at, end));
      } catch (cause) {
        throw damaged(`the record at byte ${at} is not a line of JSON`, cause);
      }
      at = end;
    }
    return body;
  },
  createJoiner: () => new PlainJoiner(),
};

/** Joins formats that have neither header nor trailer. */
export class PlainJoiner implements OutputJoiner {
  append(part: SplitOutput): readonly Uint8Array[] {
    return [part.body];
  }

  finish(): Uint8Array {
    return NOTHING;
  }

  state(): Uint8Array {
    return NOTHING;
  }
}

function stringify(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw refusedRecord(
      `a value cannot be written as JSON: ${(cause as Error).message}`,
      'write plain objects without cycles or BigInts, or declare the stream as gev',
      cause,
    );
  }
  if (text === undefined) {
    throw refusedRecord(
      `JSON has no form for ${typeof value}`,
      'write an object, array, string, number, boolean or null',
    );
  }
  return text;
}

/** A line of an input event, passed on as it is. */
function checkLine(line: Uint8Array): Uint8Array {
  const buffer = asBuffer(line);
  const newline = buffer.indexOf(NEWLINE);
  try {
    if (newline >= 0 && newline !== buffer.length - 1) throw new Error('it holds several lines');
    decodeJSONLine(buffer);
  } catch (cause) {
    throw refusedRecord(
      `bytes written to an ndjson stream must be one line of JSON: ${(cause as Error).message}`,
      'write the value itself, or declare the stream as bytes',
      cause,
    );
  }
  return newline < 0 ? Buffer.concat([buffer, Buffer.of(NEWLINE)]) : buffer;
}

function countLines(buffer: Buffer): number {
  let count = 0;
  for (let at = buffer.indexOf(NEWLINE); at >= 0; at = buffer.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
}
