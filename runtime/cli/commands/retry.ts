/** `granule retry`: puts events that failed for good back, to be tried again by the next `granule run`. */
import type { Command } from 'commander';
import { systemClock } from '../../../core/clock.ts';
import { EXIT, type ExitCode, GranuleError } from '../../../core/errors.ts';
import { LEASE_MS_DEFAULT } from '../../../core/limits.ts';
import { silentLogger } from '../../../core/log.ts';
import { suggestNames } from '../../../core/nearest-name.ts';
import { formatCount } from '../../../core/quantities.ts';
import { FAILURE_CAUSES, type RangeState } from '../../../core/states.ts';
import { Dispatcher } from '../../../dispatcher/dispatcher.ts';
import type { CliCommand, ParsedArguments } from '../cli-command.ts';
import { findEvent } from '../event-reference.ts';
import { defineOutFlag, openRun } from '../open-run.ts';
import type { Surroundings } from '../surroundings.ts';

export const retryCommand: CliCommand = { define, run };

const STATES = ['fatal', 'cancelled', 'discarded'] as const satisfies readonly RangeState[];

function define(command: Command): void {
  defineOutFlag(command);
  command
    .argument('[EVENTS...]', 'events by LFN:position, GUID:position or eventRangeID; all that failed when left out')
    .option('--status <STATE>', `only those in this state: ${STATES.join(', ')}`)
    .option('--cause <CAUSE>', 'only those that failed for this cause, as granule events names it')
    .addHelpText(
      'after',
      [
        '',
        'Counts of failures and losses begin anew. The next granule run makes the events and puts them where they',
        'belong in the merged files. Not while a run is on.',
        '',
        'Examples:',
        '  granule retry --out out',
        '  granule retry --out out --cause timeout && granule run … --timeout 10m',
        '  granule retry --out out events.hepmc:17',
      ].join('\n'),
    );
}

async function run(parsed: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  const state = oneOf(parsed.flags['status'], STATES, '--status');
  const cause = oneOf(parsed.flags['cause'], FAILURE_CAUSES, '--cause');
  const { store, shownFolder, taskID, ranges } = await chosen(parsed, surroundings);
  await using dispatcher = await Dispatcher.open({
    path: store,
    clock: systemClock,
    logger: silentLogger,
    leaseMs: LEASE_MS_DEFAULT,
    force: false,
    onFatal: () => undefined,
  });
  const rangeCount = await dispatcher.retry(taskID, {
    ...(state === undefined ? {} : { states: [state] }),
    ...(cause === undefined ? {} : { causes: [cause] }),
    ...(ranges.length === 0 ? {} : { ranges }),
  });
  await surroundings.results.write(
    parsed.flags['json'] === true
      ? `${JSON.stringify({ schema: 1, ranges: rangeCount })}\n`
      : rangeCount === 0
        ? `${shownFolder}: nothing to try again\n`
        : `${shownFolder}: ${formatCount(rangeCount)} to be tried again; the next granule run makes them (with --accept-payload-change if the payload was corrected)\n`,
  );
  return EXIT.ok;
}

/** The run, and the ranges of the events named. The table is closed again: the dispatcher opens it for writing. */
async function chosen(parsed: ParsedArguments, surroundings: Surroundings) {
  await using opened = await openRun(parsed, surroundings);
  const [task] = opened.table.tasks();
  if (task === undefined) {
    throw new GranuleError('STORE_MISSING', `${opened.shownFolder}: the run has not begun`, {
      remedy: 'name the output folder of a run with --out DIR',
    });
  }
  const { taskID } = task.record;
  const ranges = parsed.operands.map((reference) => {
    const { file, position } = findEvent(reference, opened.table);
    return opened.table.show(taskID, file.fileIndex, position).rangeIndex;
  });
  return { store: opened.folders.store, shownFolder: opened.shownFolder, taskID, ranges };
}

function oneOf<Name extends string>(given: unknown, names: readonly Name[], flag: string): Name | undefined {
  if (given === undefined) return undefined;
  const name = names.find((known) => known === given);
  if (name !== undefined) return name;
  throw new GranuleError('USAGE', `${flag} ${String(given)}: there is no such name`, {
    remedy: suggestNames(String(given), names) ?? `it is one of ${names.join(', ')}`,
  });
}
