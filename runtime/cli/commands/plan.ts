/** `granule plan`: what `granule run` with the same arguments would do. */
import { join, relative } from 'node:path';
import type { Command } from 'commander';
import { EXIT, type ExitCode } from '../../../core/errors.ts';
import { SUMMARY_ROWS_MAX } from '../../../core/limits.ts';
import { formatBytes, formatCount, formatDuration } from '../../../core/quantities.ts';
import type { PlannedResume, RunPlan } from '../../run/run-plan.ts';
import type { CliCommand, ParsedArguments } from '../cli-command.ts';
import { defaultLimits } from '../default-limits.ts';
import { defineRunFlags, readOptionLayers } from '../option-layers.ts';
import { untilSignal } from '../stop-signals.ts';
import type { Surroundings } from '../surroundings.ts';
import { type Column, formatTable } from '../table.ts';

export const planCommand: CliCommand = { define, run };

function define(command: Command): void {
  defineRunFlags(command);
  command
    .argument('[PLACE...]', 'inputs, as with --input')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      [
        '',
        'Reads the inputs to count their events; with --index DIR what it learns of them is kept for the run.',
        '',
        'Example:',
        '  granule plan --input events.hepmc --payload digest --out out',
      ].join('\n'),
    );
}

function run({ operands, flags }: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  return untilSignal('the inputs were not read to their end', async ({ drain }) => {
    const { explainOptions, resolveRunOptions } = await import('../../options/options.ts');
    const layers = await readOptionLayers(flags, operands, surroundings);
    const options = resolveRunOptions(layers, surroundings.currentFolder);
    const { planRun } = await import('../../run/run-plan.ts');
    const plan = await planRun(options, surroundings, drain);
    const limits = defaultLimits(new Set(explainOptions(layers).keys()));
    await surroundings.results.write(
      flags['json'] === true
        ? `${JSON.stringify({ ...plan, defaultLimits: Object.fromEntries(limits.map(({ key, value }) => [key, value])) })}\n`
        : formatPlan(plan, limits, surroundings.currentFolder),
    );
    return plan.refusedInputs.length === 0 ? EXIT.ok : EXIT.someFailed;
  });
}

function formatPlan(plan: RunPlan, limits: ReturnType<typeof defaultLimits>, currentFolder: string): string {
  const folder = relative(currentFolder, plan.outFolder) || '.';
  const facts = `payload ${plan.payload}, ${plan.workers} ${plan.workers === 1 ? 'worker' : 'workers'}, seed ${plan.seed}, out ${folder}\n`;
  const parts = [
    facts,
    inputTable(plan),
    outputTable(plan, folder),
    workLines(plan, folder),
    diskTable(plan),
    limits.length === 0 ? '' : `limits by default: ${limits.map(({ key, value }) => `${key} ${value}`).join(', ')}\n`,
  ];
  return parts.filter((part) => part !== '').join('\n');
}

function inputTable({ inputs, refusedInputs, events, ranges }: RunPlan): string {
  const columns: Column[] = [
    { title: 'input' },
    { title: 'format' },
    { title: 'events', align: 'right' },
    { title: 'chosen', align: 'right' },
    { title: 'size', align: 'right' },
  ];
  const rows = inputs
    .slice(0, SUMMARY_ROWS_MAX)
    .map(({ lfn, format, events: all, chosen, sizeBytes }) => [
      lfn,
      format,
      formatCount(all),
      formatCount(chosen),
      formatBytes(sizeBytes),
    ]);
  const refused = refusedInputs
    .slice(0, SUMMARY_ROWS_MAX)
    .map(({ code, message }) => `refused: ${message} (${code})\n`);
  const total = `${formatCount(events)} events of ${formatCount(inputs.length)} ${inputs.length === 1 ? 'file' : 'files'} in ${formatCount(ranges)} ranges\n`;
  const hidden = more(inputs.length, 'files') + more(refusedInputs.length, 'refused files');
  return formatTable(columns, rows) + refused.join('') + hidden + total;
}

function outputTable({ outputs, outputCount }: RunPlan, folder: string): string {
  const rows = outputs
    .slice(0, SUMMARY_ROWS_MAX)
    .map(({ stream, format, path }) => [stream, format, join(folder, path)]);
  const columns = [{ title: 'stream' }, { title: 'format' }, { title: 'merged file' }];
  return formatTable(columns, rows) + more(outputCount, 'files');
}

function workLines({ resume, removesRun, toProcess, expectedMs }: RunPlan, folder: string): string {
  const time = expectedMs === null ? '' : `, about ${formatDuration(expectedMs)}`;
  const work = `to process: ${formatCount(toProcess)} events${time}\n`;
  if (removesRun) return `the run in ${folder} is removed, since --fresh is given\n${work}`;
  return (resume === null ? 'a new run\n' : resumeLines(resume)) + work;
}

function resumeLines({ finished, failed, handedOut, damaged, payloadChanged, runningOn }: PlannedResume): string {
  const lines = [`resumes a run: ${formatCount(finished)} events finished, ${formatCount(failed)} failed for good\n`];
  if (runningOn !== null) {
    lines.push(`  it is on: process ${runningOn.pid} on ${runningOn.host}; until it ends, another start is refused\n`);
  } else if (handedOut > 0) {
    lines.push(
      `  ${formatCount(handedOut)} events were handed out and not answered: done again, unless complete outputs are found\n`,
    );
  }
  for (const { problem, events } of damaged.slice(0, SUMMARY_ROWS_MAX)) {
    lines.push(`  ${problem}: its ${formatCount(events)} events are made again\n`);
  }
  lines.push(more(damaged.length, 'damaged files'));
  if (payloadChanged)
    lines.push('  the code of the payload has changed: the events that are left are made with the new one\n');
  return lines.join('');
}

function diskTable({ disk }: RunPlan): string {
  const bases = {
    measured: 'by what is merged already',
    input: 'at most: all of the input',
    unknown: 'not known before events are merged',
  };
  const rows = [
    ...disk.streams.map(({ stream, sizeBytes, basis }) => [
      `merged ${stream}`,
      sizeBytes === null ? '?' : formatBytes(sizeBytes),
      bases[basis],
    ]),
    ['event table', formatBytes(disk.tableBytes), ''],
    ['event index', formatBytes(disk.indexBytes), ''],
    ['unmerged files', `≤ ${formatCount(disk.unmergedFilesMax)}`, 'at the same time'],
    ['free', formatBytes(disk.freeBytes), ''],
  ];
  return formatTable([{ title: 'on disk' }, { title: 'size', align: 'right' }, { title: '' }], rows);
}

function more(count: number, what: string): string {
  return count <= SUMMARY_ROWS_MAX ? '' : `… and ${formatCount(count - SUMMARY_ROWS_MAX)} more ${what}\n`;
}
