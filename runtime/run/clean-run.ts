/**
 * What a run leaves that nobody needs any more, and its removal. Merged files, manifest, report, event table and event index
 * stay: `status`, `events`, `show`, `exec` and another start of the same command work as before.
 */
import type { Dirent } from 'node:fs';
import { readdir, rm, rmdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { TableReader } from '../../dispatcher/table-reader.ts';
import { bundlePath } from '../payload-loading/load-module.ts';
import type { RunFolders } from './run-folders.ts';

/** Files of one kind. */
export interface Leftover {
  readonly what: string;
  /** absolute */
  readonly paths: readonly string[];
  readonly sizeBytes: number;
}

export interface Leftovers {
  /** nothing of the run is left to do */
  readonly isFinished: boolean;
  readonly removable: readonly Leftover[];
  /** why something stays that one might expect to go: whole sentences */
  readonly kept: readonly string[];
}

/** @param withLogs logs count although events failed */
export async function findLeftovers(table: TableReader, folders: RunFolders, withLogs: boolean): Promise<Leftovers> {
  const { isFinished, failedEvents, identities } = lookInto(table);
  const kept: string[] = [];
  const groups: [what: string, paths: string[]][] = [
    ['outputs of granule exec', await filesBelow(folders.exec)],
    ['bundles of earlier payloads', await oldBundles(folders, identities)],
  ];
  if (isFinished) {
    const ofWorkers = await filesBelow(folders.workers);
    const logs = [...ofWorkers.filter(isLog), ...(await filesIn(folders.private)).filter(isLog)];
    groups.push(
      ['unmerged outputs', await filesBelow(folders.aggregation)],
      ['parts of merged files', await filesBelow(folders.growing)],
      ['files of workers', ofWorkers.filter((path) => !isLog(path))],
    );
    if (failedEvents === 0 || withLogs) groups.push(['logs', logs]);
    else if (logs.length > 0) kept.push('logs stay, since events failed for good (--logs removes them)');
  } else {
    kept.push('what the run needs to go on stays: it is not finished');
  }
  const removable = await Promise.all(groups.map(([what, paths]) => measure(what, paths)));
  return { isFinished, removable: removable.filter(({ paths }) => paths.length > 0), kept };
}

/** Removes the files, and the folders that are empty then. The caller holds the lock of the store. */
export async function removeLeftovers(folders: RunFolders, removable: readonly Leftover[]): Promise<void> {
  for (const { paths } of removable) for (const path of paths) await rm(path, { force: true });
  for (const folder of [folders.exec, folders.bundles, folders.workers, folders.aggregation, folders.growing]) {
    await removeEmptyFolders(folder);
  }
}

function lookInto(table: TableReader): {
  readonly isFinished: boolean;
  readonly failedEvents: number;
  readonly identities: readonly string[];
} {
  const tasks = table.tasks();
  const isOver = tasks.every(({ record, ranges }) => {
    const open = ranges.ready + ranges.sent + ranges.running + ranges.failed + ranges.corrupted + ranges.finished;
    return record.sealed && open === 0 && table.outputs(record.taskID).every(({ files }) => files !== undefined);
  });
  return {
    isFinished: isOver && tasks.length > 0,
    failedEvents: tasks.reduce((sum, { events }) => sum + events.fatal, 0),
    identities: tasks.flatMap(({ record }) => record.payloads.at(-1) ?? []),
  };
}

/** The bundle in force stays: `granule exec` takes it. */
async function oldBundles({ bundles }: RunFolders, identities: readonly string[]): Promise<string[]> {
  const inForce = new Set(identities.map((identity) => bundlePath(bundles, identity)));
  return (await filesBelow(bundles)).filter((path) => !inForce.has(path.replace(/\.map$/, '')));
}

function isLog(path: string): boolean {
  return basename(path).endsWith('.log');
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

async function filesIn(folder: string): Promise<string[]> {
  return (await entriesOf(folder)).filter((entry) => !entry.isDirectory()).map(({ name }) => join(folder, name));
}

async function filesBelow(folder: string): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await entriesOf(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) files.push(...(await filesBelow(path)));
    else files.push(path);
  }
  return files;
}

async function measure(what: string, paths: readonly string[]): Promise<Leftover> {
  let sizeBytes = 0;
  for (const path of paths) sizeBytes += (await stat(path).catch(() => undefined))?.size ?? 0;
  return { what, paths, sizeBytes };
}

async function removeEmptyFolders(folder: string): Promise<void> {
  const entries = await entriesOf(folder);
  for (const entry of entries) if (entry.isDirectory()) await removeEmptyFolders(join(folder, entry.name));
  // One that is not empty stays.
  await rmdir(folder).catch(() => undefined);
}
