/** Finds the run that a command looks at, and opens its event table for reading; a run may be on meanwhile. */
import { existsSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { GranuleError } from '../../core/errors.ts';
import { openTableReader, type TableReader } from '../../dispatcher/table-reader.ts';
import { type RunFolders, runFolders } from '../run/run-folders.ts';
import type { ParsedArguments } from './cli-command.ts';
import type { Surroundings } from './surroundings.ts';

/** Adds `--out`, which most commands on a run share. */
export function defineOutFlag(command: Command): void {
  command
    .option('-o, --out <DIR>', 'output folder of the run (default: that of granule.yaml, or the current folder)')
    .option('--json', 'print JSON');
}

/** The folder named by flag, environment or configuration file; else the current one. */
async function outFolderOf({ flags }: ParsedArguments, surroundings: Surroundings): Promise<string> {
  const { currentFolder, environment } = surroundings;
  const named = flags['out'] ?? environment['GRANULE_OUT'];
  if (typeof named === 'string' && named !== '') return resolve(currentFolder, named);
  const config = join(currentFolder, 'granule.yaml');
  if (!existsSync(join(currentFolder, '.granule')) && existsSync(config)) {
    const { readConfigFile } = await import('./config-file.ts');
    const { out } = (await readConfigFile(config, currentFolder)).values;
    if (typeof out === 'string') return resolve(currentFolder, out);
  }
  return currentFolder;
}

export interface OpenRun extends AsyncDisposable {
  readonly folders: RunFolders;
  /** the output folder as a user would type it here */
  readonly shownFolder: string;
  readonly table: TableReader;
}

/** @throws STORE_MISSING, STORE_VERSION, STORE_FAILED */
export async function openRun(parsed: ParsedArguments, surroundings: Surroundings): Promise<OpenRun> {
  const outFolder = await outFolderOf(parsed, surroundings);
  const folders = runFolders(outFolder);
  const shownFolder = relative(surroundings.currentFolder, outFolder) || '.';
  if (!existsSync(folders.store)) {
    const reason = existsSync(outFolder) ? 'there is no run in this folder' : 'there is no such folder';
    throw new GranuleError('STORE_MISSING', `${shownFolder}: ${reason}`, {
      details: { path: outFolder },
      remedy: 'name the output folder of a run with --out DIR',
    });
  }
  const table = openTableReader(folders.store);
  return { folders, shownFolder, table, [Symbol.asyncDispose]: () => table.close() };
}
