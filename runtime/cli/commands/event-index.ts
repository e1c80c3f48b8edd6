/** `granule index add | query | list | verify`: the event index that is shared between runs. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { placeWithoutSecrets } from '../../../core/address-secrets.ts';
import { EXIT, type ExitCode, GranuleError } from '../../../core/errors.ts';
import { clipSelection, countSelected, parseEventSelection } from '../../../core/event-selection.ts';
import { parseGuid } from '../../../core/ids.ts';
import { INDEX_QUERY_EVENTS } from '../../../core/limits.ts';
import { formatBytes, formatCount } from '../../../core/quantities.ts';
import type { EventIndex } from '../../indexing/event-index.ts';
import { entryToken, eventToken, numberedToken } from '../../indexing/event-token.ts';
import { isRemotePlace } from '../../remote/place.ts';
import { chooseTree } from '../../root/tree-choice.ts';
import type { CliCommand, ParsedArguments } from '../cli-command.ts';
import { defineIndexFlag, defineSourceFlags, indexFolder, indexPlaces, sourceOptions } from '../shared-index.ts';
import { untilSignal } from '../stop-signals.ts';
import type { Surroundings } from '../surroundings.ts';
import { formatTable } from '../table.ts';

export const indexCommand: CliCommand = { define, run };

function define(command: Command): void {
  command
    .argument('<ACTION>', 'add, query, list or verify')
    .argument(
      '[PLACE...]',
      'add: files, globs, folders, @list-files, URLs; verify: files, URLs (default: all that were added)',
    )
    .option('--guid <GUID>', 'query: the file')
    .option('--events <LIST>', 'query: positions in that file, or with --run event numbers: 1-100,205')
    .option('--tree <NAME>', 'query: tree of a ROOT file that has several')
    .option('--run <N>', 'query: run number, in all files (0 for files that state none)')
    .option('--json', 'print one JSON object a line');
  defineIndexFlag(command);
  defineSourceFlags(command);
  command.addHelpText(
    'after',
    [
      '',
      'Examples:',
      '  granule index add data/*.hepmc https://server/events.lhe.gz',
      '  granule index query --guid 5A1C0C2E-90C8-8743-8B5D-0B0C9B2A9C11 --events 1-100,205',
      '  granule index query --run 1 --events 4711',
      '  granule index list',
      '  granule index verify',
      '  granule run data --payload digest --out out --index ~/.cache/granule/event-index',
    ].join('\n'),
  );
}

async function run(parsed: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  const [action, ...places] = parsed.operands;
  switch (action) {
    case 'add':
      return add(places, parsed, surroundings);
    case 'query':
      refusePlaces(action, places);
      return query(parsed, surroundings);
    case 'list':
      refusePlaces(action, places);
      return list(parsed, surroundings);
    case 'verify':
      return verify(places, parsed, surroundings);
    default:
      throw new GranuleError('USAGE', `granule index does not know "${action}"`, {
        remedy: 'Say add, query, list or verify.',
      });
  }
}

function refusePlaces(action: string, places: readonly string[]): void {
  if (places.length === 0) return;
  throw new GranuleError('USAGE', `too many arguments for 'index ${action}': it takes no "${places[0]}"`, {
    remedy: 'see: granule index --help',
  });
}

async function add(places: readonly string[], parsed: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  if (places.length === 0) throw new GranuleError('USAGE', 'no file is named');
  return untilSignal('what is indexed is kept', async ({ drain }) => {
    const { indexed, refusedCount } = await indexPlaces(places, parsed, surroundings, drain);
    const rows = indexed.map(({ place, answer: { record, outcome } }) => ({
      guid: record.guid,
      lfn: record.lfn,
      events: record.eventCount,
      format: record.format,
      outcome,
      place,
    }));
    await surroundings.results.write(
      parsed.flags['json'] === true
        ? rows.map((row) => `${JSON.stringify({ schema: 1, ...row })}\n`).join('')
        : formatTable(
            [
              { title: 'GUID' },
              { title: 'events', align: 'right' },
              { title: 'format' },
              { title: 'outcome' },
              { title: 'file' },
            ],
            rows.map(({ guid, events, format, outcome, place }) => [guid, formatCount(events), format, outcome, place]),
          ),
    );
    return refusedCount === 0 ? EXIT.ok : EXIT.someFailed;
  });
}

async function query(parsed: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  const { guid, events, run: runNumber } = parsed.flags;
  if ((guid === undefined) === (runNumber === undefined)) {
    throw new GranuleError('USAGE', 'a query names a file with --guid, or a run with --run');
  }
  await using index = await openIndex(parsed, surroundings);
  const lines =
    guid === undefined
      ? tokensByNumber(index, String(runNumber), String(events ?? ''))
      : tokensByPosition(index, { guid: String(guid), tree: parsed.flags['tree'] }, String(events ?? '1-'));
  const json = parsed.flags['json'] === true;
  let foundCount = 0;
  for (const { token, ...rest } of lines) {
    foundCount += 1;
    const line = json ? JSON.stringify({ schema: 1, ...rest, token }) : `${rest.position}  ${token}`;
    if (!(await surroundings.results.write(`${line}\n`))) break;
  }
  if (foundCount > 0) return EXIT.ok;
  throw new GranuleError('EVENT_NOT_FOUND', `the event index at ${index.path} has none of these events`, {
    remedy: 'See what it has: granule index list.',
  });
}

interface FoundEvent {
  /** of look-ups by number */
  readonly run?: number;
  readonly event?: number;
  readonly guid: string;
  readonly position: number;
  readonly token: string;
}

function* tokensByPosition(
  index: EventIndex,
  file: { readonly guid: string; readonly tree: unknown },
  events: string,
): Generator<FoundEvent> {
  const guid = parseGuid(file.guid);
  const known = index.fileRecord(guid);
  if (known === undefined) {
    throw new GranuleError('EVENT_NOT_FOUND', `the event index at ${index.path} does not know file ${guid}`, {
      remedy: 'Add it with granule index add.',
    });
  }
  const record = chooseTree(known, file.tree === undefined ? null : String(file.tree));
  for (const [first, last] of clipSelection(parseEventSelection(events), record.eventCount)) {
    if (record.format === 'root') {
      for (let position = first; position <= last; position += 1) {
        yield { guid, position, token: entryToken(record, position) };
      }
      continue;
    }
    for (let from = first; from <= last; from += INDEX_QUERY_EVENTS) {
      const { count, offsets, lengths } = index.lookupSpan(guid, from, Math.min(INDEX_QUERY_EVENTS, last - from + 1));
      for (let at = 0; at < count; at += 1) {
        const place = { position: from + at, offsetBytes: offsets[at] ?? 0, lengthBytes: lengths[at] ?? 0 };
        yield { guid, position: place.position, token: eventToken(record, place) };
      }
    }
  }
}

function* tokensByNumber(index: EventIndex, runText: string, events: string): Generator<FoundEvent> {
  const run = Number(runText);
  const numbers = clipSelection(parseEventSelection(events), Number.MAX_SAFE_INTEGER);
  if (!Number.isSafeInteger(run)) throw new GranuleError('USAGE', `--run ${runText}: not a run number`);
  if (countSelected(numbers) > INDEX_QUERY_EVENTS * 1000) {
    throw new GranuleError('USAGE', `--events ${events}: too many event numbers; an end is needed`);
  }
  for (const [first, last] of numbers) {
    const wanted = Array.from({ length: last - first + 1 }, (_, at): [number, number] => [run, first + at]);
    for (const { request, guid, position } of index.lookupEvents(wanted)) {
      const record = index.fileRecord(guid);
      const token = record === undefined ? undefined : numberedToken(index, record, position);
      if (token !== undefined) yield { run, event: first + request, guid, position, token };
    }
  }
}

/** Files as they were added, with the paths and URLs they were read from. */
async function list(parsed: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  await using index = await openIndex(parsed, surroundings);
  const places = new Map<string, string[]>();
  for (const { guid, path } of index.pathRows()) places.set(guid, [...(places.get(guid) ?? []), path]);
  const rows = [...index.files()].map(({ guid, lfn, eventCount, format, sizeBytes, trees }) => ({
    guid,
    lfn,
    events: eventCount,
    format,
    sizeBytes,
    ...(trees === undefined ? {} : { trees: trees.all }),
    places: places.get(guid) ?? [],
  }));
  await surroundings.results.write(
    parsed.flags['json'] === true
      ? rows.map((row) => `${JSON.stringify({ schema: 1, ...row })}\n`).join('')
      : formatTable(
          [
            { title: 'GUID' },
            { title: 'events', align: 'right' },
            { title: 'format' },
            { title: 'size', align: 'right' },
            { title: 'file' },
          ],
          rows.map(({ guid, lfn, events, format, sizeBytes, places: [place] }) => [
            guid,
            formatCount(events),
            format,
            formatBytes(sizeBytes),
            place ?? lfn,
          ]),
        ),
  );
  return EXIT.ok;
}

async function verify(
  places: readonly string[],
  parsed: ParsedArguments,
  surroundings: Surroundings,
): Promise<ExitCode> {
  // As the index has them, and with what it takes to read them.
  const wanted = new Map(
    places.map((named): [string, string] => {
      const place = isRemotePlace(named) ? named : resolve(surroundings.currentFolder, named);
      return [placeWithoutSecrets(place), place];
    }),
  );
  const { IndexingPool } = await import('../../indexing/indexing-pool.ts');
  const indexPath = indexFolder(parsed, surroundings);
  const rows = await knownPlaces(parsed, surroundings);
  const chosen = rows.filter(({ path }) => wanted.size === 0 || wanted.has(path));
  if (chosen.length === 0) throw new GranuleError('INPUT_NOT_FOUND', 'none of these files is in the event index');
  const unknown = [...wanted.keys()].filter((place) => !rows.some(({ path }) => path === place));
  return untilSignal('not all files were read again', async ({ drain }) => {
    await using pool = new IndexingPool({
      indexPath,
      threadsMax: 1,
      sources: await sourceOptions(parsed, surroundings),
    });
    const tell = (row: { readonly path: string; readonly guid: string | null; readonly outcome: string }) =>
      surroundings.results.write(
        parsed.flags['json'] === true ? `${JSON.stringify({ schema: 1, ...row })}\n` : `${row.outcome}  ${row.path}\n`,
      );
    let differing = unknown.length;
    for (const path of unknown) await tell({ path, guid: null, outcome: 'unknown' });
    for (const { path, guid } of chosen) {
      const outcome = await pool.verify(guid, wanted.get(path) ?? path, drain).then(
        ({ kind }) => kind,
        (error: unknown) => String(error instanceof Error && 'code' in error ? error.code : error),
      );
      drain.throwIfAborted();
      if (outcome !== 'same') differing += 1;
      await tell({ path, guid, outcome });
    }
    return differing === 0 ? EXIT.ok : EXIT.someFailed;
  });
}

/** Files that were added, under the paths and URLs they had. */
async function knownPlaces(parsed: ParsedArguments, surroundings: Surroundings) {
  await using index = await openIndex(parsed, surroundings);
  return [...index.pathRows()];
}

async function openIndex(parsed: ParsedArguments, surroundings: Surroundings): Promise<EventIndex> {
  const { EventIndex } = await import('../../indexing/event-index.ts');
  return EventIndex.open({ path: indexFolder(parsed, surroundings), readOnly: true });
}
