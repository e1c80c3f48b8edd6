/** `granule status`: how many events are in which state, also while a run is on. */
import type { Command } from 'commander';
import { EXIT, type ExitCode } from '../../../core/errors.ts';
import { formatCount } from '../../../core/quantities.ts';
import { type CountsPerState, RANGE_STATE_NAMES } from '../../../core/states.ts';
import type { TaskStatus } from '../../../dispatcher/table-reader.ts';
import type { CliCommand, ParsedArguments } from '../cli-command.ts';
import { defineOutFlag, openRun } from '../open-run.ts';
import type { Surroundings } from '../surroundings.ts';
import { formatTable } from '../table.ts';

export const statusCommand: CliCommand = { define, run };

function define(command: Command): void {
  defineOutFlag(command);
  command.addHelpText('after', '\nExample:\n  granule status --out out --json');
}

async function run(parsed: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  await using opened = await openRun(parsed, surroundings);
  const tasks = opened.table.tasks();
  const holder = opened.table.holder();
  if (parsed.flags['json'] === true) {
    const status = {
      schema: 1,
      out: opened.folders.out,
      runningOn: holder === undefined ? null : { host: holder.host, pid: holder.pid },
      ranges: sumOf(tasks.map((task) => task.ranges)),
      events: sumOf(tasks.map((task) => task.events)),
      tasks: tasks.map(({ record, ranges, events, totals }) => ({
        taskID: record.taskID,
        name: record.name,
        cancelled: record.cancelled,
        ranges,
        events,
        totals,
      })),
    };
    await surroundings.results.write(`${JSON.stringify(status)}\n`);
    return EXIT.ok;
  }
  const state = holder === undefined ? 'no run is on' : `a run is on: process ${holder.pid} on ${holder.host}`;
  const blocks = [`${opened.shownFolder}: ${state}\n`, ...tasks.map(taskTable)];
  await surroundings.results.write(blocks.join('\n'));
  return EXIT.ok;
}

function sumOf(counts: readonly CountsPerState[]): CountsPerState {
  return Object.fromEntries(
    RANGE_STATE_NAMES.map((state) => [state, counts.reduce((sum, count) => sum + count[state], 0)]),
  ) as CountsPerState;
}

function taskTable({ record, ranges, events }: TaskStatus): string {
  const total = RANGE_STATE_NAMES.reduce((sum, state) => sum + events[state], 0);
  const rows = RANGE_STATE_NAMES.filter((state) => ranges[state] > 0).map((state) => [
    state,
    formatCount(ranges[state]),
    formatCount(events[state]),
    total === 0 ? '' : `${((100 * events[state]) / total).toFixed(1)} %`,
  ]);
  const table = formatTable(
    [
      { title: 'state' },
      { title: 'ranges', align: 'right' },
      { title: 'events', align: 'right' },
      { title: 'share', align: 'right' },
    ],
    rows,
  );
  return `task ${record.taskID}, ${record.name}: ${formatCount(total)} events\n${table}`;
}
