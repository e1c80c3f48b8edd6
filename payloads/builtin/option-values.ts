/**
 * Option values as they come from a command line (`--option key=value`, always text) or from a configuration file
 * (already typed). Loaded where options are checked, never in a worker.
 */
import * as z from 'zod';

/** The part of zod's refinement context that is used here. */
interface Issues {
  addIssue(message: string): void;
}

/** Text that is a number, whole, becomes one. What is no text is left for the schema behind to judge. */
function numberFromText(value: unknown, issues: Issues): unknown {
  if (typeof value !== 'string') return value;
  const number = value.trim() === '' ? Number.NaN : Number(value);
  if (!Number.isNaN(number)) return number;
  issues.addIssue(`"${value}" is not a number`);
  return z.NEVER;
}

/** A number, as such or as text. */
export const numberValue = <Schema extends z.ZodType<number>>(schema: Schema) => z.preprocess(numberFromText, schema);

/** A list: an array, one number, or text with commas between the numbers (`13,-13`). */
export const numberListValue = <Schema extends z.ZodType<number>>(schema: Schema) =>
  z.preprocess((value, issues) => {
    if (typeof value === 'number') return [value];
    return typeof value === 'string' ? value.split(',').map((part) => numberFromText(part, issues)) : value;
  }, z.array(schema).min(1));

const FLAG_WORDS: ReadonlyMap<unknown, boolean> = new Map([
  ['true', true],
  ['yes', true],
  ['on', true],
  ['1', true],
  ['false', false],
  ['no', false],
  ['off', false],
  ['0', false],
]);

/** `true` or `false`, as such or as text, or another usual word for them. */
export const flagValue = () =>
  z.preprocess((value, issues) => {
    if (typeof value !== 'string') return value;
    const flag = FLAG_WORDS.get(value);
    if (flag !== undefined) return flag;
    issues.addIssue(`"${value}" is neither true nor false`);
    return z.NEVER;
  }, z.boolean());
