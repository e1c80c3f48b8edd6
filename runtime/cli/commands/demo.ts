/** `granule demo`: the whole flow on generated events, and with `--kill` what a kill -9 half-way does to it: nothing. */
import { join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { type ExitCode, GranuleError } from '../../../core/errors.ts';
import { formatBytes, formatCount } from '../../../core/quantities.ts';
import type { RunSummary } from '../../run/run-summary.ts';
import type { CliCommand, ParsedArguments } from '../cli-command.ts';
import { runKilledHalfway } from '../kill-halfway.ts';
import { listenForStopSignals } from '../stop-signals.ts';
import { formatSummary } from '../summary-tables.ts';
import type { Surroundings } from '../surroundings.ts';
import { watchRun } from '../watch-run.ts';
import { generateFile } from './generate.ts';

export const demoCommand: CliCommand = { define, run };

/** About five seconds on two cores. */
const EVENTS_DEFAULT = 2000;
const PAYLOAD = 'fastsim';
const EFFORT = 20;
const SEED = 1;

function define(command: Command): void {
  command
    .option('-n, --events <N>', 'events to generate and process', String(EVENTS_DEFAULT))
    .option('-o, --out <DIR>', 'folder of the demonstration', 'granule-demo')
    .option('-w, --workers <N>', 'workers (default: CPU quota)')
    .option('--kill', 'kill -9 a run half-way, start it again, and compare with an undisturbed one')
    .option('--json', 'print the result as one JSON object');
}

async function run({ flags }: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  const events = Number(flags['events']);
  if (!Number.isSafeInteger(events) || events < 1) {
    throw new GranuleError('USAGE', `--events: "${String(flags['events'])}" is not a whole number from 1 on`);
  }
  const folder = resolve(surroundings.currentFolder, String(flags['out']));
  const input = join(folder, 'events.hepmc3');
  const { sizeBytes } = await generateFile(input, { ...(await toyDefaults()), seed: SEED, events });
  const shown = (path: string): string => relative(surroundings.currentFolder, path);
  surroundings.notices.write(
    `generated ${formatCount(events)} events, ${formatBytes(sizeBytes)}: ${shown(input)}\n` +
      `processing them one by one with the payload ${PAYLOAD}, a fast detector simulation\n`,
  );
  const workers = flags['workers'] === undefined ? {} : { workers: String(flags['workers']) };
  const out = join(folder, flags['kill'] === true ? 'undisturbed' : 'out');
  const summary = await runOnce({ input, out, ...workers }, surroundings);
  if (flags['kill'] !== true || summary.ending !== 'complete') {
    await surroundings.results.write(
      flags['json'] === true
        ? `${JSON.stringify(summary)}\n`
        : `${formatSummary(summary, surroundings.currentFolder)}${whatNext(summary, shown(out), shown(input))}`,
    );
    return summary.exitCode;
  }
  const killed = join(folder, 'killed');
  const args = ['run', '--input', input, '--payload', PAYLOAD, '--option', `effort=${EFFORT}`, '--seed', String(SEED)];
  if (workers.workers !== undefined) args.push('--workers', workers.workers);
  const verdict = await runKilledHalfway(args, killed, summary, surroundings);
  await surroundings.results.write(
    flags['json'] === true ? `${JSON.stringify({ schema: 1, ...verdict })}\n` : verdict.text,
  );
  return verdict.exitCode;
}

async function toyDefaults(): Promise<{ readonly energyGeV: number; readonly meanPrimaries: number }> {
  return (await import('../../../payloads/generator/toy-generator.ts')).TOY_DEFAULTS;
}

async function runOnce(
  options: { readonly input: string; readonly out: string; readonly workers?: string },
  surroundings: Surroundings,
): Promise<RunSummary> {
  const signals = listenForStopSignals();
  try {
    const { resolveLibraryOptions } = await import('../../options/options.ts');
    const { startRun } = await import('../../node.ts');
    const handle = startRun(
      resolveLibraryOptions(
        { ...options, payload: PAYLOAD, options: { effort: EFFORT }, seed: SEED, fresh: true },
        surroundings.currentFolder,
      ),
      {
        currentFolder: surroundings.currentFolder,
        stdin: surroundings.stdin,
        environment: surroundings.environment,
        command: process.argv.slice(1),
        startedAtMs: Date.now(),
      },
    );
    return await watchRun(handle, signals, surroundings, false);
  } finally {
    signals.dispose();
  }
}

function whatNext(summary: RunSummary, out: string, input: string): string {
  if (summary.ending !== 'complete') return '';
  const next = [
    ['npx granule demo --kill', 'kill -9 half-way, start again, compare'],
    [`npx granule run -i ${input} -p digest -o digest-out`, 'another payload'],
    [`npx granule events --out ${out}`, 'every event with its state and length'],
    ['npx granule init my-analysis', 'a payload of your own'],
  ] as const;
  const width = Math.max(...next.map(([command]) => command.length));
  return [
    '',
    'Each event was leased from the event table, executed by a worker that asked for it, written to a file of its own,',
    `and merged in order; ${join(out, 'manifest.json')} says what was made of what.`,
    '',
    'Now try:',
    ...next.map(([command, meaning]) => `  ${command.padEnd(width)}   ${meaning}`),
    '',
  ].join('\n');
}
