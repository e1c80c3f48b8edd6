/** A format small enough to read in a failed test: a header line, records of one line each, an end line. */
import { GranuleError } from '../../../core/errors.ts';
import type { OutputFormat, OutputJoiner, SplitOutput } from '../../../payloads/formats/event-format.ts';

const END = '.\n';

function split(file: Uint8Array): SplitOutput {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length);
  const headerEnd = bytes.indexOf('\n') + 1;
  if (headerEnd === 0 || !bytes.subarray(-END.length).equals(Buffer.from(END))) {
    throw new GranuleError('OUTPUT_DAMAGED', 'no listing');
  }
  const body = bytes.subarray(headerEnd, bytes.length - END.length);
  return { header: bytes.subarray(0, headerEnd), body, recordCount: body.toString().split('\n').length - 1 };
}

function createJoiner(state: Uint8Array | undefined): OutputJoiner {
  let header = state === undefined ? '' : Buffer.from(state).toString();
  return {
    append(part) {
      const own = Buffer.from(part.header).toString();
      if (own === header) return [part.body];
      header = own;
      return [Buffer.from(own), part.body];
    },
    finish: () => Buffer.from(END),
    state: () => Buffer.from(header),
  };
}

/** The slow merge shouts. */
export const listingFormat: OutputFormat = {
  name: 'ndjson',
  fileExtension: '.ndjson',
  carriesInfo: false,
  begin: ({ runHeader }) => Buffer.from(`# ${Buffer.from(runHeader).toString()}\n`),
  encode: (value) => Buffer.from(`${String(value)}\n`),
  end: () => Buffer.from(END),
  split,
  rewrite: (body) => Buffer.from(Buffer.from(body).toString().toUpperCase()),
  createJoiner,
};

/** One complete unmerged file. */
export function listing(header: string, records: readonly string[]): Buffer {
  return Buffer.from(`# ${header}\n${records.map((record) => `${record}\n`).join('')}${END}`);
}
