/** Options of the payload `command`. */
import * as z from 'zod';
import { findMisspelling, PLACEHOLDERS } from '../children/command-template.ts';
import { OUTPUT_FORMAT_NAMES } from '../formats/event-format.ts';

/** A shell command; whatever it names in braces must be a placeholder or look like none. */
const command = z
  .string()
  .trim()
  .min(1)
  .superRefine((text, context) => {
    const misspelling = findMisspelling(text);
    if (misspelling !== undefined) context.addIssue({ code: 'custom', message: misspelling });
  });

export const isStreamName = (name: string): boolean => /^[A-Z][A-Z0-9_]*$/.test(name);
export const STREAM_NAME_RULE = 'stream names are an upper-case letter, then upper-case letters, digits and "_"';

export const schema = z.strictObject({
  cmd: command.describe(
    `shell command run once per event; placeholders ${PLACEHOLDERS.map((name) => `{${name}}`).join(' ')}; ` +
      'the event is on its stdin unless {event} or {input} is used, its stdout is the output unless {output} is',
  ),
  format: z
    .enum([...OUTPUT_FORMAT_NAMES, 'as-input'])
    .default('bytes')
    .describe('what the command writes: text lines of JSON (ndjson, gev), events (hepmc3, …, as-input) or just bytes'),
  stream: z.string().refine(isStreamName, STREAM_NAME_RULE).default('OUT').describe('name of the output stream'),
});

export type CommandOptions = z.output<typeof schema>;
