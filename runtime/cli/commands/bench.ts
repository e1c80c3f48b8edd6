/** `granule bench`: runs benchmark scenarios, and compares what they measured. */
import { tmpdir } from 'node:os';
import { relative, resolve } from 'node:path';
import type { Command } from 'commander';
import type { BenchRecord, ScenarioRecord } from '../../../bench/result-file.ts';
import type { ResultTable } from '../../../bench/scenario.ts';
import { EXIT, type ExitCode, GranuleError } from '../../../core/errors.ts';
import { formatDuration } from '../../../core/quantities.ts';
import type { CliCommand, ParsedArguments } from '../cli-command.ts';
import { listenForStopSignals } from '../stop-signals.ts';
import type { Surroundings } from '../surroundings.ts';
import { formatTable } from '../table.ts';

export const benchCommand: CliCommand = { define, run };

function define(command: Command): void {
  command
    .argument('[NAME...]', 'a scenario, "all", or "compare" with two result files; without it they are listed')
    .option('--quick', 'the same with less statistics: under 30 s a scenario on two cores')
    .option('--repeats <N>', 'how often each variant is measured (default: 5, with --quick 2 or 3)')
    .option('--option <NAME=VALUE>', 'an option of the scenario; repeatable. Shorter: --NAME VALUE', gather, [])
    .allowUnknownOption()
    .option('-o, --out <FILE>', 'write the result as JSON, and beside it the report as HTML')
    .option('--folder <DIR>', 'measure the disk below this folder (default: the temporary folder)')
    .option('--json', 'print the result as one JSON object')
    .addHelpText(
      'after',
      [
        '',
        'Examples:',
        '  granule bench                                  list scenarios and their options',
        '  granule bench overhead --quick',
        '  granule bench cores-idle --option waiting=64 --out idle.json',
        '  granule bench grid --consumers 1000000 --seed 7',
        '  granule bench all                              writes bench/results/<machine>-<date>.json and .html',
        '  granule bench compare before.json after.json',
      ].join('\n'),
    );
}

function gather(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

async function run(parsed: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  const { operands, options } = splitOperands(parsed.operands);
  const [name, ...rest] = operands;
  if (name === undefined) return list(parsed, surroundings);
  if (name === 'compare') return compare(rest, parsed, surroundings);
  if (rest.length > 0)
    throw new GranuleError('USAGE', `one scenario at a time, or "all"; found also ${rest.join(' ')}`);
  const signals = listenForStopSignals();
  try {
    const given = { ...parseOptions(parsed.flags['option'] as readonly string[]), ...options };
    return await measure(name, { flags: parsed.flags, options: given }, surroundings, signals.drain);
  } finally {
    signals.dispose();
  }
}

async function measure(
  name: string,
  { flags, options }: Pick<ParsedArguments, 'flags'> & { readonly options: Readonly<Record<string, string>> },
  surroundings: Surroundings,
  signal: AbortSignal,
): Promise<ExitCode> {
  const { loadScenario, scenarioNames } = await import('../../../bench/scenario-list.ts');
  const { runScenario, ScratchFolders } = await import('../../../bench/run-scenario.ts');
  const { describeMachine } = await import('../../../bench/machine.ts');
  const names = name === 'all' ? scenarioNames() : [name];
  if (name === 'all' && Object.keys(options).length > 0) {
    throw new GranuleError('USAGE', '--option belongs to one scenario, not to all of them');
  }
  await Promise.all(names.map(loadScenario));

  using folders = new ScratchFolders(resolve(surroundings.currentFolder, String(flags['folder'] ?? tmpdir())));
  const startedAt = new Date().toISOString();
  const machine = describeMachine(folders);
  const scenarios: ScenarioRecord[] = [];
  for (const scenario of names) {
    surroundings.notices.write(`granule bench ${scenario}\n`);
    const record = await unlessStopped(
      signal,
      runScenario(scenario, {
        quick: flags['quick'] === true,
        repeats: parseRepeats(flags['repeats']),
        options,
        folders,
        signal,
        progress: (text) => surroundings.notices.write(`  ${text}\n`),
      }),
    );
    if (record === undefined) break;
    scenarios.push(record);
    if (flags['json'] !== true) await surroundings.results.write(formatRecord(record));
  }
  if (scenarios.length > 0) {
    const record: BenchRecord = { schema: 1, startedAt, machine, scenarios };
    await writeResultFiles(name, record, flags['out'], surroundings);
    if (flags['json'] === true) await surroundings.results.write(await asJson(name, record));
  }
  if (!signal.aborted) return EXIT.ok;
  surroundings.notices.write(`stopped: ${scenarios.length} of ${names.length} scenarios were measured\n`);
  return signal.reason === 'interrupted' ? EXIT.interrupted : EXIT.stoppedEarly;
}

/** Undefined for a scenario that was stopped in the middle: half of its repeats say nothing. */
async function unlessStopped(
  signal: AbortSignal,
  running: Promise<ScenarioRecord>,
): Promise<ScenarioRecord | undefined> {
  try {
    return await running;
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

async function asJson(name: string, record: BenchRecord): Promise<string> {
  const { benchJson, scenarioJson } = await import('../../../bench/result-file.ts');
  const [first] = record.scenarios;
  return `${JSON.stringify(name === 'all' || first === undefined ? benchJson(record) : scenarioJson(record, first))}\n`;
}

/** The result and its report, where `--out` says so; "all" has a place of its own. */
export async function writeResultFiles(
  name: string,
  record: BenchRecord,
  given: unknown,
  { currentFolder, notices }: Pick<Surroundings, 'currentFolder' | 'notices'>,
): Promise<void> {
  const { defaultResultPath, writeResult } = await import('../../../bench/result-file.ts');
  const { htmlReport } = await import('../../../bench/report.ts');
  if (given === undefined && name !== 'all') return;
  const path = given === undefined ? defaultResultPath(currentFolder, record) : resolve(currentFolder, String(given));
  const reportPath = `${path.replace(/\.json$/, '')}.html`;
  writeResult(path, `${JSON.stringify(record)}\n`);
  writeResult(reportPath, htmlReport(record));
  notices.write(`result: ${relative(currentFolder, path)}\nreport: ${relative(currentFolder, reportPath)}\n`);
}

async function compare(
  files: readonly string[],
  { flags }: ParsedArguments,
  { results, currentFolder }: Surroundings,
): Promise<ExitCode> {
  const [first, second, ...more] = files;
  if (first === undefined || second === undefined || more.length > 0) {
    throw new GranuleError('USAGE', `compare takes two result files; found ${files.length}`, {
      remedy: 'granule bench compare before.json after.json',
    });
  }
  const { readResult } = await import('../../../bench/result-file.ts');
  const { compareResults, comparisonTable, comparisonWarnings } = await import('../../../bench/compare.ts');
  const before = readResult(resolve(currentFolder, first));
  const after = readResult(resolve(currentFolder, second));
  const comparisons = compareResults(before, after);
  const warnings = comparisonWarnings(before, after);
  if (flags['json'] === true) {
    await results.write(`${JSON.stringify({ schema: 1, comparisons, warnings })}\n`);
  } else {
    const text = comparisons.length === 0 ? 'the two results have no measure in common\n' : '';
    await results.write(text + formatResultTable(comparisonTable(comparisons)) + formatLines('warning', warnings));
  }
  return EXIT.ok;
}

async function list({ flags }: ParsedArguments, { results }: Surroundings): Promise<ExitCode> {
  const { loadScenario, scenarioNames } = await import('../../../bench/scenario-list.ts');
  const scenarios = await Promise.all(
    scenarioNames().map(async (name) => {
      const { summary, options } = await loadScenario(name);
      return { name, summary, options };
    }),
  );
  if (flags['json'] === true) {
    await results.write(scenarios.map((scenario) => `${JSON.stringify({ schema: 1, ...scenario })}\n`).join(''));
    return EXIT.ok;
  }
  for (const { name, summary, options } of scenarios) {
    const rows = Object.entries(options).map(([option, { help, default: value, quick, choices }]) => [
      `    ${option}`,
      `${value}${quick === undefined ? '' : ` (quick: ${quick})`}`,
      choices === undefined ? help : `${help}: ${choices.join(', ')}`,
    ]);
    const table = formatTable([{ title: '    option' }, { title: 'default' }, { title: 'meaning' }], rows);
    await results.write(`${name}: ${summary}\n${table}\n`);
  }
  return EXIT.ok;
}

function formatRecord(record: ScenarioRecord): string {
  return [
    ...record.tables.map(formatResultTable),
    formatLines('warning', record.warnings) + formatLines('note', record.notes),
    `${record.scenario}: ${record.repeats} repeats in ${formatDuration(record.wallMs)}\n\n`,
  ].join('\n');
}

function formatResultTable({ title, columns, rows }: ResultTable): string {
  return `${title}\n${formatTable(columns, rows)}`;
}

function formatLines(kind: string, lines: readonly string[]): string {
  return lines.map((line) => `${kind}: ${line}\n`).join('');
}

function parseRepeats(given: unknown): number | null {
  if (given === undefined) return null;
  const repeats = Number(given);
  if (Number.isSafeInteger(repeats) && repeats >= 1) return repeats;
  throw new GranuleError('USAGE', `--repeats: "${given}" is not a whole number of at least 1`);
}

/** Flags that are none of the command's own are options of the scenario: `--name value`, `--name=value`. */
function splitOperands(given: readonly string[]): {
  readonly operands: readonly string[];
  readonly options: Readonly<Record<string, string>>;
} {
  const operands: string[] = [];
  const options: Record<string, string> = {};
  for (let place = 0; place < given.length; place += 1) {
    const text = given[place] ?? '';
    const match = /^--([a-z][\w-]*)(?:=(.*))?$/is.exec(text);
    if (match === null) {
      if (text.startsWith('-')) throw new GranuleError('USAGE', `unknown option ${text}`);
      operands.push(text);
      continue;
    }
    const name = (match[1] ?? '').replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    if (match[2] === undefined) place += 1;
    const value = match[2] ?? given[place];
    if (value === undefined) throw new GranuleError('USAGE', `${text} needs a value`);
    options[name] = value;
  }
  return { operands, options };
}

function parseOptions(given: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    given.map((entry) => {
      const equals = entry.indexOf('=');
      if (equals > 0) return [entry.slice(0, equals), entry.slice(equals + 1)];
      throw new GranuleError('USAGE', `--option ${entry}: expected NAME=VALUE`, {
        remedy: 'for instance --option events=1000; "granule bench" lists the options',
      });
    }),
  );
}
