/** `granule run`: the whole flow, from event files to merged outputs. The same command again resumes. */
import { relative } from 'node:path';
import type { Command } from 'commander';
import { EXIT, type ExitCode, isGranuleError } from '../../../core/errors.ts';
import { printableLine } from '../../../core/printable.ts';
import { GRANULE_VERSION } from '../../../core/version.ts';
import { BUILTIN_PAYLOADS, findBuiltinPayload } from '../../../payloads/builtin/builtin-payloads.ts';
import type { ResolvedRunOptions } from '../../options/options.ts';
import type { CliCommand, ParsedArguments } from '../cli-command.ts';
import { defaultLimits } from '../default-limits.ts';
import { describeError } from '../error-report.ts';
import { defineRunFlags, readOptionLayers } from '../option-layers.ts';
import { listenForStopSignals } from '../stop-signals.ts';
import { formatSummary } from '../summary-tables.ts';
import type { Surroundings } from '../surroundings.ts';
import { watchRun } from '../watch-run.ts';

export const runCommand: CliCommand = { define, run };

function define(command: Command): void {
  defineRunFlags(command);
  command
    .argument('[PLACE...]', 'inputs, as with --input')
    .option('--json', 'print the result as one JSON object')
    .option('-q, --quiet', 'no progress and no notices')
    .addHelpText(
      'after',
      [
        '',
        'Built-in payloads:',
        ...BUILTIN_PAYLOADS.map(({ name, summary }) => `  ${name.padEnd(14)}${summary}`),
        '',
        'Options may also stand in granule.yaml, and in the environment as GRANULE_WORKERS and so on.',
        '',
        'Examples:',
        '  granule run --input events.hepmc --payload digest --out out',
        "  granule run 'data/*.lhe.gz' --payload ./my-payload.ts --option cut=20 --out out --workers 8",
      ].join('\n'),
    );
}

async function run({ operands, flags }: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  const signals = listenForStopSignals();
  try {
    if (namesModule(flags['payload'])) {
      const { startThreadAhead } = await import('../../payload-loading/payload-call.ts');
      startThreadAhead();
    }
    const { explainOptions, resolveRunOptions } = await import('../../options/options.ts');
    const layers = await readOptionLayers(flags, operands, surroundings);
    const options = resolveRunOptions(layers, surroundings.currentFolder);
    const quiet = flags['quiet'] === true;
    if (!quiet) surroundings.notices.write(greeting(options, new Set(explainOptions(layers).keys()), surroundings));

    const { startRun } = await import('../../node.ts');
    const handle = startRun(options, {
      currentFolder: surroundings.currentFolder,
      stdin: surroundings.stdin,
      environment: surroundings.environment,
      command: process.argv.slice(1),
      startedAtMs: performance.timeOrigin,
    });
    const summary = await watchRun(handle, signals, surroundings, quiet);
    await surroundings.results.write(
      flags['json'] === true ? `${JSON.stringify(summary)}\n` : formatSummary(summary, surroundings.currentFolder),
    );
    return summary.exitCode;
  } catch (error) {
    const isInterrupted =
      isGranuleError(error) && error.code === 'STOPPED_EARLY' && signals.drain.reason === 'interrupted';
    if (!isInterrupted) throw error;
    surroundings.notices.write(describeError(error, false));
    return EXIT.interrupted;
  } finally {
    signals.dispose();
  }
}

/** Known before any option is resolved, for flags only: time enough to start what will load it. */
function namesModule(payload: unknown): boolean {
  return typeof payload === 'string' && findBuiltinPayload(payload) === undefined;
}

function greeting(options: ResolvedRunOptions, given: ReadonlySet<string>, surroundings: Surroundings): string {
  const { payload, workerCount, seed, outFolder } = options;
  const out = relative(surroundings.currentFolder, outFolder) || '.';
  const workers = `${workerCount} ${workerCount === 1 ? 'worker' : 'workers'}`;
  const facts = [`granule ${GRANULE_VERSION}`, `payload ${payload}`, workers, `seed ${seed}`, `out ${out}`];
  const defaults = defaultLimits(given).map(({ key, value }) => `${key} ${value}`);
  const limits = defaults.length === 0 ? '' : `limits by default: ${defaults.join(', ')} (granule config shows all)\n`;
  return `${printableLine(facts.join('  '))}\n${limits}`;
}
