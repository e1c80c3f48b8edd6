/** `granule serve-events`: an event server for the files of folders, until it is told to stop. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { describeThrown, EXIT, type ExitCode, GranuleError } from '../../../core/errors.ts';
import type { Guid } from '../../../core/ids.ts';
import { createLoggerFactory } from '../../../core/log.ts';
import { formatNumberOf } from '../../../core/quantities.ts';
import { isRemotePlace } from '../../remote/place.ts';
import type { CliCommand, ParsedArguments } from '../cli-command.ts';
import { defineIndexFlag, indexFolder, indexPlaces } from '../shared-index.ts';
import { type StopSignals, untilSignal } from '../stop-signals.ts';
import type { Surroundings } from '../surroundings.ts';

export const serveEventsCommand: CliCommand = { define, run };

function define(command: Command): void {
  command
    .argument('<PLACE...>', 'event files, globs, folders, @list-files')
    .option('--port <N>', 'port to listen on (default: a free one)')
    .option('--host <ADDRESS>', 'address to listen on; others than this machine’s own need a token', '127.0.0.1')
    .option('--token-file <FILE>', 'ask every request for the bearer token in this file')
    .option('--json', 'print the address as JSON');
  defineIndexFlag(command);
  command.addHelpText(
    'after',
    [
      '',
      'Examples:',
      '  granule serve-events data --port 8700',
      '  granule run --input granule+http://127.0.0.1:8700/GUID --payload digest --out out',
    ].join('\n'),
  );
}

function run(parsed: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  return untilSignal('the files were not indexed to their end', (signals) => serve(parsed, surroundings, signals));
}

async function serve(parsed: ParsedArguments, surroundings: Surroundings, signals: StopSignals): Promise<ExitCode> {
  const { flags, operands } = parsed;
  const remote = operands.find(isRemotePlace);
  if (remote !== undefined) {
    throw new GranuleError('USAGE', `${remote} is on a server already`, { remedy: 'Give it to a run as its input.' });
  }
  const port = portOf(flags['port']);
  const host = String(flags['host']);
  const token = await tokenOf(flags['tokenFile'], surroundings.currentFolder);
  const indexPath = indexFolder(parsed, surroundings);
  const { indexed } = await indexPlaces(operands, parsed, surroundings, signals.drain);
  const paths = new Map(indexed.map(({ place, answer }): [Guid, string] => [answer.record.guid, place]));

  const { EventIndex } = await import('../../indexing/event-index.ts');
  const { buildEventServer, listenEventServer } = await import('../../http/event-server.ts');
  await using index = await EventIndex.open({ path: indexPath, readOnly: true });
  const log = createLoggerFactory({ level: 'warn', file: 2 }).forComponent('event-server');
  const app = buildEventServer({ index, paths, token, log });
  try {
    const url = await listenEventServer(app, { host, port, token });
    const files = indexed.map(({ answer }) => answer.record);
    await surroundings.results.write(
      flags['json'] === true
        ? `${JSON.stringify({ schema: 1, url, files: files.map(({ guid, lfn, eventCount }) => ({ guid, lfn, events: eventCount })) })}\n`
        : describeServer(url, files),
    );
    await stopped(signals);
  } finally {
    await app.close();
  }
  return EXIT.ok;
}

function describeServer(
  url: string,
  files: readonly { readonly guid: Guid; readonly lfn: string; readonly eventCount: number }[],
): string {
  const eventCount = files.reduce((sum, file) => sum + file.eventCount, 0);
  const lines = files.map(({ guid, lfn }) => `  granule+${url}/${guid}  ${lfn}`);
  return `${formatNumberOf(eventCount, 'event')} of ${formatNumberOf(files.length, 'file')} at ${url}\n${lines.join('\n')}\n`;
}

function stopped({ drain }: StopSignals): Promise<void> {
  return new Promise((resolve) => {
    if (drain.aborted) resolve();
    else drain.addEventListener('abort', () => resolve(), { once: true });
  });
}

function portOf(given: unknown): number {
  const port = Number(given ?? 0);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new GranuleError('USAGE', `--port ${String(given)}: not a port number`);
}

async function tokenOf(given: unknown, currentFolder: string): Promise<string | undefined> {
  if (typeof given !== 'string') return undefined;
  const path = resolve(currentFolder, given);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new GranuleError('USAGE', `--token-file ${given} cannot be read: ${describeThrown(cause).message}`, {
      cause,
    });
  }
  if (text.trim() === '') throw new GranuleError('USAGE', `--token-file ${given} is empty`);
  return text.trim();
}
