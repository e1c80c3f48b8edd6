/**
 * Option values as they come from a command line (`--option key=value`, always text) or from a configuration file
 * (already typed). Loaded where options are checked, never in a worker.
 */
import { z } from 'zod';

/** Text that is a number, whole; an empty text is none. Anything else is passed on for zod to refuse. */
function numberFromText(value: unknown): unknown {
  if (typeof value !== 'string' || value.trim() === '') return value;
  const number = Number(value);
  return Number.isNaN(number) ? value : number;
}

/** A finite number, as such or as text. */
export const numberValue = <Schema extends z.ZodType<number>>(schema: Schema) => z.preprocess(numberFromText, schema);

/** `true`/`false`, or one of the usual words for them. */
export const flagValue = () => z.union([z.boolean(), z.stringbool()]);

/** A list: an array, one number, or text with commas between the numbers (`13,-13`). */
export const numberListValue = <Schema extends z.ZodType<number>>(schema: Schema) =>
  z.preprocess((value) => {
    if (typeof value === 'number') return [value];
    return typeof value === 'string' ? value.split(',').map(numberFromText) : value;
  }, z.array(schema).min(1));
