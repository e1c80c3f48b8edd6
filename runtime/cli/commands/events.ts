/** `granule events`: the event ranges of a run, chosen by state or cause; failed ones first by cause. */

import type { Command } from 'commander';
import type { TaskFile } from '../../../core/dispatcher-api.ts';
import { EXIT, type ExitCode, GranuleError } from '../../../core/errors.ts';
import { eventCountOf } from '../../../core/event-range.ts';
import { LISTING_PAGE_RANGES, LISTING_ROWS_DEFAULT } from '../../../core/limits.ts';
import { suggestNames } from '../../../core/nearest-name.ts';
import { formatCount, formatDuration } from '../../../core/quantities.ts';
import { FAILURE_CAUSES, RANGE_STATE_NAMES } from '../../../core/states.ts';
import type { RangeReport, TableReader } from '../../../dispatcher/table-reader.ts';
import type { CliCommand, ParsedArguments } from '../cli-command.ts';
import { defineOutFlag, type OpenRun, openRun } from '../open-run.ts';
import type { Surroundings } from '../surroundings.ts';
import { formatTable } from '../table.ts';

export const eventsCommand: CliCommand = { define, run };

function define(command: Command): void {
  defineOutFlag(command);
  command
    .option('-s, --status <STATES>', `states, joined by commas: ${RANGE_STATE_NAMES.join(', ')}`)
    .option('--cause <CAUSES>', 'causes of the last failure, joined by commas')
    .option('--limit <N>', `ranges to list (default: ${LISTING_ROWS_DEFAULT} in a table, all as JSON)`)
    .option('--from <RANGE>', 'begin at this range: where the page before said that it goes on')
    .addHelpText('after', '\nExamples:\n  granule events --out out --status fatal\n  granule events --out out --json');
}

interface Query {
  readonly states: readonly (typeof RANGE_STATE_NAMES)[number][] | undefined;
  readonly causes: ReadonlySet<string> | undefined;
  readonly limit: number;
  readonly fromRange: number;
}

/** A range together with the file that its events lie in. */
interface ListedRange {
  readonly taskID: number;
  readonly file: TaskFile;
  readonly range: RangeReport;
}

async function run(parsed: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  const asJson = parsed.flags['json'] === true;
  const query = readQuery(parsed.flags, asJson ? Number.POSITIVE_INFINITY : LISTING_ROWS_DEFAULT);
  await using opened = await openRun(parsed, surroundings);
  await (asJson ? printLines(opened, query, surroundings) : printTables(opened, query, surroundings));
  return EXIT.ok;
}

function readQuery(flags: ParsedArguments['flags'], limitDefault: number): Query {
  const wholeNumber = (flag: string, given: unknown, otherwise: number): number => {
    if (given === undefined) return otherwise;
    if (/^\d{1,15}$/.test(String(given))) return Number(given);
    throw new GranuleError('USAGE', `--${flag}: "${String(given)}" is not a whole number`);
  };
  return {
    states: namesOf('status', flags['status'], RANGE_STATE_NAMES),
    causes: asSet(namesOf('cause', flags['cause'], FAILURE_CAUSES)),
    limit: wholeNumber('limit', flags['limit'], limitDefault),
    fromRange: wholeNumber('from', flags['from'], 0),
  };
}

function asSet(names: readonly string[] | undefined): ReadonlySet<string> | undefined {
  return names === undefined ? undefined : new Set(names);
}

function namesOf<Name extends string>(flag: string, given: unknown, known: readonly Name[]): Name[] | undefined {
  if (given === undefined) return undefined;
  return String(given)
    .split(',')
    .map((text) => {
      const name = known.find((candidate) => candidate === text.trim());
      if (name !== undefined) return name;
      throw new GranuleError('USAGE', `--${flag}: there is no "${text.trim()}"`, {
        remedy: suggestNames(text.trim(), known) ?? `it is one or more of ${known.join(', ')}`,
      });
    });
}

/** Page by page, so that a table of any size costs the memory of one page. */
function* listRanges(table: TableReader, { states, causes, fromRange }: Query): Generator<ListedRange> {
  for (const { record } of table.tasks()) {
    const files = [...table.files(record.taskID)];
    let next: number | undefined = fromRange;
    while (next !== undefined) {
      const page = table.events({
        taskID: record.taskID,
        fromRange: next,
        limit: LISTING_PAGE_RANGES,
        ...(states === undefined ? {} : { states }),
      });
      for (const range of page.ranges) {
        if (causes !== undefined && !causes.has(range.failure?.cause ?? '')) continue;
        const file = files[range.fileIndex];
        if (file !== undefined) yield { taskID: record.taskID, file, range };
      }
      next = page.next;
    }
  }
}

async function printLines(opened: OpenRun, query: Query, { results, notices }: Surroundings): Promise<void> {
  let count = 0;
  let lines: string[] = [];
  for (const listed of listRanges(opened.table, query)) {
    if (count === query.limit) {
      notices.write(`more: --from ${listed.range.rangeIndex}\n`);
      break;
    }
    count += 1;
    lines.push(`${JSON.stringify(asObject(listed))}\n`);
    if (lines.length < LISTING_PAGE_RANGES) continue;
    if (!(await results.write(lines.join('')))) return;
    lines = [];
  }
  if (lines.length > 0) await results.write(lines.join(''));
}

function asObject({ taskID, file, range }: ListedRange): object {
  const { failure, failedEvents } = range;
  return {
    taskID,
    rangeIndex: range.rangeIndex,
    lfn: file.lfn,
    guid: file.guid,
    position: range.startEvent,
    lastEvent: range.lastEvent,
    status: range.state,
    attemptNr: range.attemptNr,
    failures: range.failures,
    losses: range.losses,
    ...(range.wallMs === undefined ? {} : { wallMs: range.wallMs }),
    ...(failure === undefined
      ? {}
      : { cause: failure.cause, message: failure.message, failedAt: new Date(failure.recordedMs).toISOString() }),
    ...(failedEvents === undefined
      ? {}
      : {
          failedEvents: failedEvents.map(({ position, failure: { cause, message } }) => ({ position, cause, message })),
        }),
  };
}

/** How often each cause occurs, then the ranges themselves. */
async function printTables(opened: OpenRun, query: Query, { results }: Surroundings): Promise<void> {
  const rows: string[][] = [];
  const causes = new Map<string, { events: number; example: string; message: string }>();
  let next: number | undefined;
  for (const { file, range } of listRanges(opened.table, query)) {
    const eventCount = eventCountOf(range);
    const place = `${file.lfn}:${range.startEvent}${eventCount === 1 ? '' : `-${range.lastEvent}`}`;
    const { failure } = range;
    for (const { position, failure: own } of range.failedEvents ?? []) {
      const example = `${file.lfn}:${position}`;
      const known = causes.get(own.cause) ?? { events: 0, example, message: own.message };
      causes.set(own.cause, { ...known, events: known.events + 1 });
    }
    if (failure !== undefined && range.failedEvents === undefined) {
      const known = causes.get(failure.cause) ?? { events: 0, example: place, message: failure.message };
      causes.set(failure.cause, { ...known, events: known.events + eventCount });
    }
    if (rows.length === query.limit) next ??= range.rangeIndex;
    else {
      const length = range.wallMs === undefined ? '' : formatDuration(range.wallMs);
      rows.push([place, range.state, String(range.attemptNr), length, failure?.cause ?? '', failure?.message ?? '']);
    }
  }
  const right = 'right' as const;
  const blocks = [
    formatTable(
      [{ title: 'why' }, { title: 'events', align: right }, { title: 'example' }, { title: 'message' }],
      [...causes].map(([cause, { events, example, message }]) => [cause, formatCount(events), example, message]),
    ),
    formatTable(
      [
        { title: 'event' },
        { title: 'state' },
        { title: 'attempts', align: right },
        { title: 'length', align: right },
        { title: 'cause' },
        { title: 'message' },
      ],
      rows,
    ),
    next === undefined ? '' : `there are more: --from ${next}\n`,
    rows.length === 0 ? 'no event is in this state\n' : '',
  ];
  await results.write(blocks.filter((block) => block !== '').join('\n'));
}
