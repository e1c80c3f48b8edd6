/** Writes bytes as the payload gives them: no header, no record boundaries, joined by appending. */
import type { OutputFormat } from './event-format.ts';
import { refusedRecord } from './format-errors.ts';
import { PlainJoiner } from './ndjson-output.ts';

const NOTHING = new Uint8Array(0);

export const bytesOutput: OutputFormat = {
  name: 'bytes',
  fileExtension: '.bin',
  carriesInfo: false,
  begin: () => NOTHING,
  encode(value) {
    if (value instanceof Uint8Array) return value;
    throw refusedRecord(`a bytes stream takes a Uint8Array, not ${typeof value}`, 'encode the value first');
  },
  end: () => NOTHING,
  split: (file) => ({ header: file.subarray(0, 0), body: file, recordCount: Number.NaN }),
  rewrite: (body) => body,
  createJoiner: () => new PlainJoiner(),
};
