/**
 * NDJSON: one JSON value a line is one event. Blank lines and a byte order mark at the beginning are skipped; the last line
 * may lack its newline. A cut file shows only if the cut leaves a last line that is no JSON value.
 */
import { GranuleError } from '../../core/errors.ts';
import type { Indexer, IndexSink, InputFormat } from './event-format.ts';
import { malformed, truncated } from './format-errors.ts';
import { asBuffer, byteOrderMarkLength, LineBlocks, NEWLINE, skipBlanks } from './line-blocks.ts';

/** Bytes a JSON value may begin with. */
const VALUE_STARTS = new Set(Buffer.from('{["-0123456789tfn'));
/** Bytes a long value may begin with. */
const LONG_VALUE_STARTS = new Set(Buffer.from('{["'));

export const ndjsonInput: InputFormat = {
  name: 'ndjson',
  recognise,
  createIndexer: (sink: IndexSink) => new NdjsonIndexer(sink),
  identify: () => ({ eventNumber: Number.NaN, runNumber: Number.NaN }),
  decode: decodeJSONLine,
};

/**
 * The first line that is not blank is a JSON value, or longer than the head and looks like the beginning of one; and
 * there is no NUL, which no text holds.
 */
function recognise(head: Uint8Array): boolean {
  const buffer = asBuffer(head);
  if (buffer.includes(0)) return false;
  let at = byteOrderMarkLength(buffer);
  while (at < buffer.length) {
    const newline = buffer.indexOf(NEWLINE, at);
    const end = newline < 0 ? buffer.length : newline;
    const first = skipBlanks(buffer, at, end);
    if (first < end) {
      if (!VALUE_STARTS.has(buffer[first] ?? 0)) return false;
      return isJSON(buffer.subarray(first, end)) || (newline < 0 && LONG_VALUE_STARTS.has(buffer[first] ?? 0));
    }
    at = end + 1;
  }
  return false;
}

function isJSON(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

export function decodeJSONLine(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(asBuffer(bytes).toString('utf8'));
  } catch (cause) {
    throw new GranuleError('INPUT_MALFORMED', `the line is not a JSON value: ${(cause as Error).message}`, { cause });
  }
}

class NdjsonIndexer implements Indexer {
  readonly #sink: IndexSink;
  readonly #lines: LineBlocks;
  #eventCount = 0;

  constructor(sink: IndexSink) {
    this.#sink = sink;
    this.#lines = new LineBlocks((block, offsetBytes) => this.#scan(block, offsetBytes));
  }

  push(chunk: Uint8Array): void {
    this.#lines.push(chunk);
  }

  end(): void {
    this.#lines.end();
  }

  #scan(block: Buffer, blockOffset: number): void {
    let at = blockOffset === 0 ? byteOrderMarkLength(block) : 0;
    while (at < block.length) {
      const newline = block.indexOf(NEWLINE, at);
      const end = newline < 0 ? block.length : newline + 1;
      const first = skipBlanks(block, at, end);
      if (first < end && block[first] !== NEWLINE) {
        const place = { offsetBytes: blockOffset + at, position: this.#eventCount + 1 };
        if (!VALUE_STARTS.has(block[first] ?? 0)) throw malformed('a line is not a JSON value', place);
        if (newline < 0 && !isJSON(block.subarray(at))) {
          throw truncated('the end of its last line', { ...place, offsetBytes: blockOffset + end });
        }
        this.#sink.event(place.offsetBytes, end - at, Number.NaN, Number.NaN);
        this.#eventCount += 1;
      }
      at = end;
    }
  }
}
