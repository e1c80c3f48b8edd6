/** Limits that end or fail something and that nobody has chosen: shown before a run, so that none is hidden. */
import { OPTION_TABLE, type OptionKey, type OptionText } from '../options/option-table.ts';

const SHOWN_LIMITS: readonly OptionKey[] = ['timeout', 'failuresMax', 'lossesMax', 'halt', 'outputSizeMax'];

/** @param given keys of the options that were chosen */
export function defaultLimits(
  given: ReadonlySet<string>,
): readonly { readonly key: OptionKey; readonly value: string }[] {
  return SHOWN_LIMITS.filter((key) => !given.has(key)).map((key) => {
    const { default: value = '' }: OptionText = OPTION_TABLE[key];
    return { key, value };
  });
}
