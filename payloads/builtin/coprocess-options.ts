/** Options of the payload `coprocess`. */
import * as z from 'zod';
import { COPROCESS_INIT_TIMEOUT_MS_DEFAULT } from '../../core/limits.ts';
import { OUTPUT_FORMAT_NAMES } from '../formats/event-format.ts';
import { isStreamName, STREAM_NAME_RULE } from './command-options.ts';
import { numberValue } from './option-values.ts';

const format = z.enum([...OUTPUT_FORMAT_NAMES, 'as-input']);

/** Streams and their formats: `HITS:ndjson,PASSED:as-input`, or an object in a configuration file. */
const streams = z.preprocess(
  (value) => {
    if (typeof value !== 'string') return value;
    return Object.fromEntries(value.split(',').map((part) => part.split(':').map((word) => word.trim())));
  },
  z.record(z.string(), format).refine((declared) => Object.keys(declared).every(isStreamName), STREAM_NAME_RULE),
);

export const schema = z.strictObject({
  cmd: z.string().trim().min(1).describe('shell command that starts the co-process, once per worker'),
  outputs: streams
    .default({ OUT: 'ndjson' })
    .describe('streams it writes and their formats, as STREAM:FORMAT with commas between them'),
  transfer: z
    .enum(['inline', 'file'])
    .default('inline')
    .describe('whether an event is handed over within its line or as a file (events over 16 MiB always are)'),
  initTimeoutMs: numberValue(z.number().int().min(1))
    .default(COPROCESS_INIT_TIMEOUT_MS_DEFAULT)
    .describe('time from its start to its "ready", in ms'),
});

export type CoprocessOptions = z.output<typeof schema>;
