/** `granule show`: all that is known of one event: where its input lies, state, attempts, why it failed, log lines, outputs. */
import type { Command } from 'commander';
import { EXIT, type ExitCode, GranuleError } from '../../../core/errors.ts';
import { formatEventRangeID } from '../../../core/ids.ts';
import { printableText } from '../../../core/printable.ts';
import { formatBytes, formatCount, formatDuration, formatNumberOf } from '../../../core/quantities.ts';
import type { TableReader } from '../../../dispatcher/table-reader.ts';
import type { EventInput } from '../../exec/event-input.ts';
import type { CliCommand, ParsedArguments } from '../cli-command.ts';
import { type EventPlace, findEvent } from '../event-reference.ts';
import { defineOutFlag, openRun } from '../open-run.ts';
import type { Surroundings } from '../surroundings.ts';
import { userStack } from '../user-stack.ts';

export const showCommand: CliCommand = { define, run };

function define(command: Command): void {
  defineOutFlag(command);
  command
    .argument('[EVENT]', 'LFN:position, GUID:position or eventRangeID')
    .addHelpText('after', '\nExample:\n  granule show --out out events.hepmc:17');
}

async function run(parsed: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  const [reference] = parsed.operands;
  if (reference === undefined) throw new GranuleError('USAGE', 'EVENT is missing (LFN:position, for instance)');
  await using opened = await openRun(parsed, surroundings);
  const place = findEvent(reference, opened.table);
  const range = opened.table.show(place.taskID, place.file.fileIndex, place.position);
  const { tryEventInput } = await import('../../exec/event-input.ts');
  const event: ShownEvent = { place, range, input: await tryEventInput(opened.folders, place) };
  await surroundings.results.write(
    parsed.flags['json'] === true ? `${asJson(event)}\n` : asText(event, opened.shownFolder),
  );
  return EXIT.ok;
}

type ShownRange = ReturnType<TableReader['show']>;

interface ShownEvent {
  readonly place: EventPlace;
  readonly range: ShownRange;
  /** undefined when the run does not know it any more */
  readonly input: EventInput | undefined;
}

/** Of the last hand-out; undefined when it was never handed out, or by whom is not recorded any more. */
function rangeID({ taskID, file }: EventPlace, range: ShownRange): string | undefined {
  if (range.jobID === undefined) return undefined;
  const { jobID, startEvent, attemptNr } = range;
  return formatEventRangeID({ taskID, jobID, fileID: file.fileIndex + 1, startEvent, attemptNr });
}

function asJson({ place, range, input }: ShownEvent): string {
  const { state, ...rest } = range;
  const { lfn, guid, format } = place.file;
  const eventRangeID = rangeID(place, range);
  return JSON.stringify({
    schema: 1,
    taskID: place.taskID,
    lfn,
    guid,
    format,
    position: place.position,
    input: input ?? null,
    status: state,
    ...(eventRangeID === undefined ? {} : { eventRangeID }),
    ...rest,
  });
}

function timesHandedOut({ attemptNr, failures, losses }: ShownRange): string {
  const lost = `${formatCount(losses)} ${losses === 1 ? 'loss' : 'losses'}`;
  return [formatNumberOf(attemptNr, 'time'), formatNumberOf(failures, 'failure'), lost].join(', ');
}

function inputText(input: EventInput): string {
  if (input.kind === 'entry') return `${input.place}, tree ${input.tree}, entry ${input.entryIndex} (counted from 0)`;
  const { place, compression, offsetBytes, lengthBytes } = input;
  // Not in groups of digits: people copy them.
  const offset = `offset ${offsetBytes}${compression === 'none' ? '' : ' of the inflated file'}`;
  return `${place}, ${offset}, ${lengthBytes} bytes`;
}

function asText({ place, range, input }: ShownEvent, folder: string): string {
  const { file, position } = place;
  const { failure, outputs } = range;
  const reference = `${file.lfn}:${position}`;
  const eventRangeID = rangeID(place, range);
  const facts: (readonly [name: string, value: string])[] = [
    ['event', `${reference} (GUID ${file.guid}, ${file.format})`],
    ...(input === undefined ? [] : [['input', inputText(input)] as const]),
    ...(range.lastEvent > range.startEvent ? [['range', `${range.startEvent}-${range.lastEvent}`] as const] : []),
    ['state', range.state],
    ...(eventRangeID === undefined ? [] : [['held as', eventRangeID] as const]),
    ['handed out', timesHandedOut(range)],
    ...(range.wallMs === undefined ? [] : [['length', formatDuration(range.wallMs)] as const]),
    ...outputs.map(
      ({ stream, file: path, lengthBytes }) => ['output', `${stream}: ${path}, ${formatBytes(lengthBytes)}`] as const,
    ),
  ];
  if (failure !== undefined) {
    facts.push(['failed', `${failure.cause}: ${failure.message}`]);
    facts.push(['at', `${new Date(failure.recordedMs).toISOString()}, attempt ${failure.attemptNr}`]);
    if (failure.signal !== undefined) facts.push(['signal', failure.signal]);
    if (failure.childExitCode !== undefined) facts.push(['exit code', String(failure.childExitCode)]);
  }
  const lines = facts.map(([name, value]) => `${name.padEnd(12)}${value}`);
  if (failure?.stack !== undefined) lines.push('', userStack(failure.stack));
  if (failure !== undefined && failure.logTail.length > 0) lines.push('', 'last log lines:', ...failure.logTail);
  if (failure !== undefined) {
    lines.push('', `execute it by itself: granule exec --out ${folder} ${reference}`);
    lines.push(`all failed events:    granule events --out ${folder} --status fatal`);
  }
  return printableText(`${lines.join('\n')}\n`);
}
