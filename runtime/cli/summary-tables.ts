/** The result of a run as people read it: what was done, the merged files, and what failed and how to look at it. */
import { join, relative } from 'node:path';
import { SUMMARY_ROWS_MAX } from '../../core/limits.ts';
import { printableLine } from '../../core/printable.ts';
import { formatBytes, formatCount, formatDuration, formatNumberOf } from '../../core/quantities.ts';
import type { RunSummary } from '../run/run-summary.ts';
import { formatTable } from './table.ts';

const GO_ON = 'the same command again goes on; outputs are there once complete, or as they stand with --merge-partial';

/** Lines ending in a newline. */
export function formatSummary(summary: RunSummary, currentFolder: string): string {
  const folder = relative(currentFolder, summary.outFolder) || '.';
  const parts = [headline(summary), outputTable(summary, folder), failureTable(summary, folder), refusals(summary)];
  return parts.filter((part) => part !== '').join('\n');
}

function headline({ events, wallMs, busyFraction, workers, ending, reason }: RunSummary): string {
  const facts = [
    `${formatCount(events.finished)} of ${formatCount(events.total)} events finished`,
    `${formatCount(events.failed)} failed`,
    ...(events.retried > 0 ? [`${formatCount(events.retried)} retried`] : []),
    ...(events.recovered > 0 ? [`${formatCount(events.recovered)} done before`] : []),
    ...(events.left > 0 ? [`${formatCount(events.left)} left`] : []),
  ];
  const cores = `${formatNumberOf(workers, 'worker')}, busy ${Math.round(100 * busyFraction)} %`;
  const why = ending === 'complete' || reason === undefined ? '' : `${reason}\n`;
  const next = events.left > 0 ? `${GO_ON}\n` : '';
  return `${facts.join(', ')}; ${formatDuration(wallMs)}, ${cores}\n${why}${next}`;
}

function outputTable({ outputs }: RunSummary, folder: string): string {
  const rows = outputs
    .slice(0, SUMMARY_ROWS_MAX)
    .map((output) => [
      output.stream,
      formatCount(output.events),
      formatBytes(output.sizeBytes),
      join(folder, output.path),
    ]);
  const table = formatTable(
    [{ title: 'stream' }, { title: 'records', align: 'right' }, { title: 'size', align: 'right' }, { title: 'file' }],
    rows,
  );
  return table + more(outputs.length, 'files', 'manifest.json lists all');
}

function failureTable({ failures }: RunSummary, folder: string): string {
  const [first] = failures;
  if (first === undefined) return '';
  const rows = failures
    .slice(0, SUMMARY_ROWS_MAX)
    .map(({ cause, events, example, message }) => [cause, formatCount(events), example, message]);
  const table = formatTable(
    [{ title: 'why' }, { title: 'events', align: 'right' }, { title: 'example' }, { title: 'message' }],
    rows,
  );
  const next = [
    `list them: granule events --out ${folder} --status fatal`,
    `execute one by itself: granule exec --out ${folder} ${first.example}`,
  ];
  return `${table + more(failures.length, 'causes', '')}${next.join('\n')}\n`;
}

function refusals({ refusedInputs }: RunSummary): string {
  const lines = refusedInputs
    .slice(0, SUMMARY_ROWS_MAX)
    .map(({ message, code }) => `  ${printableLine(message)} (${code})\n`);
  if (lines.length === 0) return '';
  const title = `${formatNumberOf(refusedInputs.length, 'input')} could not be used:\n`;
  return title + lines.join('') + more(refusedInputs.length, 'files', 'manifest.json lists all');
}

function more(count: number, what: string, where: string): string {
  if (count <= SUMMARY_ROWS_MAX) return '';
  return `… and ${formatCount(count - SUMMARY_ROWS_MAX)} more ${what}${where === '' ? '' : `; ${where}`}\n`;
}
