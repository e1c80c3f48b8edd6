/** `granule config`: every option of a run with its value and origin, so that no limit is hidden in a default. */
import type { Command } from 'commander';
import { EXIT, type ExitCode, GranuleError } from '../../../core/errors.ts';
import { coreCount } from '../../options/cpu-quota.ts';
import { OPTION_KEYS, OPTION_TABLE, type OptionKey, type OptionText } from '../../options/option-table.ts';
import type { CliCommand, ParsedArguments } from '../cli-command.ts';
import { defineRunFlags, readOptionLayers } from '../option-layers.ts';
import type { Surroundings } from '../surroundings.ts';
import { formatTable } from '../table.ts';

export const configCommand: CliCommand = { define, run };

function define(command: Command): void {
  defineRunFlags(command);
  command
    .argument('[PLACE...]', 'inputs')
    .option('--show-defaults', 'only what comes from a default')
    .option('--schema', 'print the JSON Schema of a configuration file, for editors')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  granule config --show-defaults');
}

async function run({ operands, flags }: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  const { explainOptions } = await import('../../options/options.ts');
  if (flags['schema'] === true) {
    if (operands.length > 0) {
      throw new GranuleError('USAGE', `too many arguments for 'config --schema': it takes no "${operands[0]}"`, {
        remedy: 'see: granule config --help',
      });
    }
    const { runOptionsJsonSchema } = await import('../../options/option-schema.ts');
    await surroundings.results.write(`${JSON.stringify(runOptionsJsonSchema(), null, 2)}\n`);
    return EXIT.ok;
  }
  const layers = await readOptionLayers(flags, operands, surroundings);
  const origins = explainOptions(layers);
  const rows = OPTION_KEYS.map((key) => {
    const entry: OptionText = OPTION_TABLE[key];
    const given = origins.get(key);
    return {
      key,
      value: given?.value ?? defaultOf(key),
      origin: given?.place ?? (entry.default === undefined ? null : 'default'),
      help: entry.help,
    };
  }).filter((row) => flags['showDefaults'] !== true || row.origin === 'default');
  const table = rows.map((row) => [row.key, shown(row.value), row.origin ?? '', row.help]);
  await surroundings.results.write(
    flags['json'] === true
      ? `${JSON.stringify({ schema: 1, options: rows })}\n`
      : formatTable([{ title: 'option' }, { title: 'value' }, { title: 'from' }, { title: 'meaning' }], table),
  );
  return EXIT.ok;
}

function defaultOf(key: OptionKey): string | null {
  const { default: written }: OptionText = OPTION_TABLE[key];
  return key === 'workers' ? `${coreCount()} (${written})` : (written ?? null);
}

function shown(value: unknown): string {
  if (value === null) return '–';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
