/** `granule clean`: removes what a finished run no longer needs. */
import type { Command } from 'commander';
import { systemClock } from '../../../core/clock.ts';
import { EXIT, type ExitCode, GranuleError } from '../../../core/errors.ts';
import { LEASE_MS_DEFAULT } from '../../../core/limits.ts';
import { silentLogger } from '../../../core/log.ts';
import { formatBytes, formatCount } from '../../../core/quantities.ts';
import { Dispatcher } from '../../../dispatcher/dispatcher.ts';
import { findLeftovers, type Leftovers, removeLeftovers } from '../../run/clean-run.ts';
import type { RunFolders } from '../../run/run-folders.ts';
import type { CliCommand, ParsedArguments } from '../cli-command.ts';
import { defineOutFlag, openRun } from '../open-run.ts';
import type { Surroundings } from '../surroundings.ts';
import { formatTable } from '../table.ts';

export const cleanCommand: CliCommand = { define, run };

function define(command: Command): void {
  defineOutFlag(command);
  command
    .option('-n, --dry-run', 'say what would be removed, and remove nothing')
    .option('--logs', 'logs as well, although events failed')
    .addHelpText(
      'after',
      [
        '',
        'Removes logs and folders of workers, unmerged outputs, outputs of granule exec and bundles of earlier payloads. Merged',
        'files, manifest and report stay, and so does what status, events, show, exec and another start of the same command',
        'need. Of a run that is not finished only what it cannot need any more is removed. Not while a run is on.',
        '',
        'Example:',
        '  granule clean --out out --dry-run',
      ].join('\n'),
    );
}

async function run(parsed: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  const withLogs = parsed.flags['logs'] === true;
  const dryRun = parsed.flags['dryRun'] === true;
  const { folders, shownFolder, leftovers } = await look(parsed, surroundings, withLogs);
  if (!dryRun) await removeUnderLock(folders, leftovers);
  const { isFinished, removable, kept } = leftovers;
  const rows = removable.map(({ what, paths, sizeBytes }) => ({ what, files: paths.length, sizeBytes }));
  const sizeBytes = rows.reduce((sum, row) => sum + row.sizeBytes, 0);
  await surroundings.results.write(
    parsed.flags['json'] === true
      ? `${JSON.stringify({ schema: 1, out: folders.out, dryRun, isFinished, removed: rows, sizeBytes, kept })}\n`
      : asText(shownFolder, { rows, sizeBytes, kept, dryRun }),
  );
  return EXIT.ok;
}

/** The table is closed again: the dispatcher opens it for writing. */
async function look(parsed: ParsedArguments, surroundings: Surroundings, withLogs: boolean) {
  await using opened = await openRun(parsed, surroundings);
  const { folders, shownFolder, table } = opened;
  const holder = table.holder();
  if (holder !== undefined) {
    throw new GranuleError('STORE_BUSY', `${shownFolder}: a run is on: process ${holder.pid} on ${holder.host}`, {
      details: { host: holder.host, pid: holder.pid },
      remedy: `wait for it, or end it: granule stop --out ${shownFolder}`,
    });
  }
  return { folders, shownFolder, leftovers: await findLeftovers(table, folders, withLogs) };
}

/** No run can begin meanwhile. @throws STORE_BUSY */
async function removeUnderLock(folders: RunFolders, { removable }: Leftovers): Promise<void> {
  await using _lock = await Dispatcher.open({
    path: folders.store,
    clock: systemClock,
    logger: silentLogger,
    leaseMs: LEASE_MS_DEFAULT,
    force: false,
    onFatal: () => undefined,
  });
  await removeLeftovers(folders, removable);
}

function asText(
  shownFolder: string,
  cleaned: {
    readonly rows: readonly { readonly what: string; readonly files: number; readonly sizeBytes: number }[];
    readonly sizeBytes: number;
    readonly kept: readonly string[];
    readonly dryRun: boolean;
  },
): string {
  const { rows, sizeBytes, kept, dryRun } = cleaned;
  const done = dryRun ? 'would be removed' : 'removed';
  const right = 'right' as const;
  const table = formatTable(
    [{ title: 'what' }, { title: 'files', align: right }, { title: 'size', align: right }],
    rows.map((row) => [row.what, formatCount(row.files), formatBytes(row.sizeBytes)]),
  );
  const total = rows.length === 0 ? 'nothing to remove' : `${formatBytes(sizeBytes)} ${done}`;
  return [table, `${shownFolder}: ${total}\n`, ...kept.map((sentence) => `${sentence}\n`)].join('');
}
