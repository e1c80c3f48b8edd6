/** Layout of a run on disk: `OUT/` holds what the user wants, `OUT/.granule/` what granule needs. */
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { LastReport } from '../merge/completed-check.ts';
import { checkFreeSpace, makeWritableFolder } from '../writable-folder.ts';

export interface RunFolders {
  /** merged files, `manifest.json`, `report.json` */
  readonly out: string;
  readonly private: string;
  /** the event table */
  readonly store: string;
  /** the event index: the run's own, or one shared with other runs */
  readonly index: string;
  /** one folder per worker */
  readonly workers: string;
  /** unmerged outputs */
  readonly aggregation: string;
  /** merged files that still grow */
  readonly growing: string;
  /** bundled payloads */
  readonly bundles: string;
  /** how the last start went about it: `start-record.ts` */
  readonly start: string;
  /** inputs' places that hold secrets: `private-places.ts` */
  readonly places: string;
  /** outputs of single events that were executed again */
  readonly exec: string;
  readonly log: string;
  readonly catalogue: string;
  readonly manifest: string;
  readonly report: string;
}

/** @param indexFolder of an event index shared with other runs; null: the run keeps its own */
export function runFolders(outFolder: string, indexFolder: string | null = null): RunFolders {
  const own = join(outFolder, '.granule');
  return {
    out: outFolder,
    private: own,
    store: join(own, 'store'),
    index: indexFolder ?? join(own, 'index'),
    workers: join(own, 'workers'),
    aggregation: join(own, 'unmerged'),
    growing: join(own, 'merge'),
    bundles: join(own, 'payloads'),
    start: join(own, 'start.json'),
    places: join(own, 'places.json'),
    exec: join(own, 'exec'),
    log: join(own, 'granule.log'),
    catalogue: join(outFolder, 'PoolFileCatalog.xml'),
    manifest: join(outFolder, 'manifest.json'),
    report: join(outFolder, 'report.json'),
  };
}

/** @throws OUTPUT_UNWRITABLE; OUTPUT_FAILED on a full disk */
export function createRunFolders(folders: RunFolders): void {
  makeWritableFolder(folders.out);
  checkFreeSpace(folders.out);
  for (const folder of [folders.private, folders.workers, folders.aggregation, folders.growing, folders.bundles]) {
    makeWritableFolder(folder);
  }
}

/**
 * Throws a run away: everything private and the merged files its manifest names. The caller holds the lock of the store
 * or knows that nobody does.
 */
export async function removeRun(folders: RunFolders): Promise<void> {
  for (const path of await mergedPaths(folders.manifest)) await rm(join(folders.out, path), { force: true });
  for (const path of [folders.manifest, folders.report, folders.catalogue]) await rm(path, { force: true });
  await rm(folders.private, { recursive: true, force: true });
}

/** What the last manifest told; undefined when there is none. */
export async function lastReport({ manifest }: RunFolders): Promise<LastReport | undefined> {
  const found = await stat(manifest).catch(() => undefined);
  if (found === undefined) return undefined;
  return { writtenMs: found.mtimeMs, paths: new Set(await mergedPaths(manifest)) };
}

/** Paths below OUT that the last manifest names; none when there is no readable manifest. */
async function mergedPaths(manifestPath: string): Promise<readonly string[]> {
  const text = await readFile(manifestPath, 'utf8').catch(() => '{}');
  let manifest: unknown;
  try {
    manifest = JSON.parse(text);
  } catch {
    return [];
  }
  if (typeof manifest !== 'object' || manifest === null || !('outputs' in manifest)) return [];
  const { outputs } = manifest;
  if (!Array.isArray(outputs)) return [];
  return outputs.flatMap((output: unknown) =>
    typeof output === 'object' && output !== null && 'path' in output && isPlainName(output.path) ? [output.path] : [],
  );
}

/** A manifest may have been edited: only names directly below OUT are ever removed. */
function isPlainName(path: unknown): path is string {
  return typeof path === 'string' && !path.includes('/') && !path.includes('\\') && path !== '..' && path !== '.';
}
