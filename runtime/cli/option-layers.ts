/**
 * Where the options of a run come from on the command line: configuration file, environment, flags, in rising order.
 * Free of zod, so that defining flags (and so `--help`) stays quick.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { GranuleError } from '../../core/errors.ts';
import { suggestNames } from '../../core/nearest-name.ts';
import {
  environmentNameOf,
  flagOf,
  OPTION_KEYS,
  OPTION_TABLE,
  type OptionKey,
  type OptionText,
} from '../options/option-table.ts';
import type { OptionLayer } from '../options/options.ts';
import type { Surroundings } from './surroundings.ts';

const GROUP_TITLES: Readonly<Record<OptionText['group'], string>> = {
  what: 'What to process:',
  output: 'Output:',
  workers: 'Workers:',
  failures: 'Failures:',
  stopping: 'Stopping:',
  sources: 'Remote data:',
  log: 'Logs:',
};

/** Read by no layer: a mapping has no natural form in one variable. */
const NOT_IN_ENVIRONMENT: readonly OptionKey[] = ['options'];

/** Variables with our prefix that are not options of a run. */
const OTHER_VARIABLES = new Set(['GRANULE_DEBUG', 'GRANULE_TEST_DATA']);

/** Adds the flags of the option table and `--config`. @param keys those that the command has */
export function defineRunFlags(command: Command, keys: readonly OptionKey[] = OPTION_KEYS): void {
  for (const key of keys) {
    const { flag, help, group, ...rest }: OptionText = OPTION_TABLE[key];
    const value = rest.value === undefined ? '' : ` <${rest.value}${key === 'input' ? '...' : ''}>`;
    const shown = rest.default === undefined ? help : `${help} (default: ${rest.default})`;
    const option = new Option(`${flag}${value}`, shown);
    if (rest.repeatable) option.argParser((text: string, before: string[] = []) => [...before, text]);
    command.addOption(option.helpGroup(GROUP_TITLES[group]));
  }
  command.option('-c, --config <FILE>', 'configuration file (default: granule.yaml, where there is one)');
}

/** @param operands further inputs, so that a shell may expand a pattern */
export async function readOptionLayers(
  flags: Readonly<Record<string, unknown>>,
  operands: readonly string[],
  surroundings: Surroundings,
): Promise<readonly OptionLayer[]> {
  const layers: OptionLayer[] = [];
  const config = configPath(flags['config'], surroundings.currentFolder);
  if (config !== undefined) {
    const { readConfigFile } = await import('./config-file.ts');
    layers.push(await readConfigFile(config, surroundings.currentFolder));
  }
  layers.push(environmentLayer(surroundings));
  layers.push(flagLayer(flags, operands, surroundings.currentFolder));
  return layers;
}

/** The file given, or `granule.yaml` in the current folder. */
function configPath(given: unknown, currentFolder: string): string | undefined {
  if (typeof given === 'string') return resolve(currentFolder, given);
  const usual = resolve(currentFolder, 'granule.yaml');
  return existsSync(usual) ? usual : undefined;
}

function environmentLayer({ environment, currentFolder }: Surroundings): OptionLayer {
  const keys = OPTION_KEYS.filter((key) => !NOT_IN_ENVIRONMENT.includes(key));
  const names = new Map(keys.map((key) => [environmentNameOf(key), key]));
  const values: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('GRANULE_') || value === undefined || value === '') continue;
    const key = names.get(name);
    if (key !== undefined) values[key] = value;
    else if (!OTHER_VARIABLES.has(name)) refuseMistyped(name, names.keys());
  }
  return { values, placeOf: (key) => environmentNameOf(key as OptionKey), baseFolder: currentFolder };
}

/** A variable that looks like one of ours is refused; others may belong to somebody else. */
function refuseMistyped(name: string, known: Iterable<string>): void {
  const withoutPrefix = (text: string): string => text.slice('GRANULE_'.length);
  const suggestion = suggestNames(withoutPrefix(name), [...known].map(withoutPrefix));
  if (suggestion === undefined) return;
  throw new GranuleError('CONFIG_INVALID', `environment variable ${name}: there is no such option`, {
    details: { key: name },
    remedy: suggestion.replaceAll(/"([^"]+)"/g, '"GRANULE_$1"'),
  });
}

function flagLayer(
  flags: Readonly<Record<string, unknown>>,
  operands: readonly string[],
  currentFolder: string,
): OptionLayer {
  const values: Record<string, unknown> = {};
  for (const key of OPTION_KEYS) {
    const value = flags[attributeOf(flagOf(key))];
    if (value !== undefined) values[key] = key === 'options' ? payloadOptions(value as string[]) : value;
  }
  const inputs = [...((values['input'] as string[] | undefined) ?? []), ...operands];
  if (inputs.length > 0) values['input'] = inputs;
  return { values, placeOf: (key) => flagOf(key as OptionKey), baseFolder: currentFolder };
}

/** Commander's name of a flag's value: `eventsPerRange` of `--events-per-range`. */
function attributeOf(flag: string): string {
  return flag.slice(2).replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** `--option KEY=VALUE`, as often as it was given. @throws USAGE */
export function payloadOptions(pairs: readonly string[]): Record<string, string> {
  const entries = pairs.map((pair) => {
    const cut = pair.indexOf('=');
    if (cut < 1) {
      throw new GranuleError('USAGE', `--option ${pair}: expected KEY=VALUE`, {
        details: { option: pair },
        remedy: 'for instance --option effort=3',
      });
    }
    return [pair.slice(0, cut), pair.slice(cut + 1)] as const;
  });
  // Whatever their names are: `__proto__` is an option like any other, and unknown like most.
  return Object.fromEntries(entries);
}
