/** The event index that is shared between runs, for commands that fill it or look things up in it. */
import { cpus, userInfo } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { placeWithoutSecrets } from '../../core/address-secrets.ts';
import { GranuleError, isGranuleError } from '../../core/errors.ts';
import { INDEXING_THREADS_MAX } from '../../core/limits.ts';
import { type IndexAnswer, IndexingPool } from '../indexing/indexing-pool.ts';
import { expandInputs } from '../inputs/inputs.ts';
import { resolveSourceOptions } from '../options/options.ts';
import { isRemotePlace } from '../remote/place.ts';
import { readSourceOptions, type SourceOptions } from '../remote/source-options.ts';
import type { ParsedArguments } from './cli-command.ts';
import { describeError } from './error-report.ts';
import { defineRunFlags, readOptionLayers } from './option-layers.ts';
import type { Surroundings } from './surroundings.ts';

export function defineIndexFlag(command: Command): void {
  command.option(
    '--index <DIR>',
    'folder of the event index (default: $GRANULE_INDEX, else in the user’s cache folder)',
  );
}

/** How remote files are read: the flags, variables and configuration file that a run has. */
export function defineSourceFlags(command: Command): void {
  defineRunFlags(command, ['cache', 'cacheSize', 'patience', 'tlsCa', 'allowPlainHttp']);
}

/** What the flags of {@link defineSourceFlags} come to. Throws USAGE. */
export async function sourceOptions(parsed: ParsedArguments, surroundings: Surroundings): Promise<SourceOptions> {
  const layers = await readOptionLayers(parsed.flags, [], surroundings);
  return readSourceOptions(resolveSourceOptions(layers, surroundings.currentFolder), surroundings.environment);
}

/** Absolute. By default where the XDG base directory specification puts what can be made again. */
export function indexFolder({ flags }: ParsedArguments, { environment, currentFolder }: Surroundings): string {
  const named = flags['index'] ?? environment['GRANULE_INDEX'];
  if (typeof named === 'string' && named !== '') return resolve(currentFolder, named);
  // The specification has relative paths ignored.
  const absolute = [environment['XDG_CACHE_HOME'], environment['HOME'] && join(environment['HOME'], '.cache')].find(
    (path) => path !== undefined && isAbsolute(path),
  );
  return join(absolute ?? join(homeOfUser() ?? currentFolder, '.cache'), 'granule', 'event-index');
}

/** As the system knows it, for services that are started without `HOME`; undefined for a user it does not know. */
function homeOfUser(): string | undefined {
  try {
    return userInfo().homedir;
  } catch {
    // Containers run as users without an entry in the password file.
    return undefined;
  }
}

export interface IndexedPlace {
  /** absolute path, or URL without secrets */
  readonly place: string;
  readonly answer: IndexAnswer;
}

/**
 * Indexes files, globs, folders, lists and URLs; what cannot be indexed is told on stderr and counted.
 *
 * @throws what is wrong with the only input, or with all of them; STORE_FAILED
 */
export async function indexPlaces(
  inputs: readonly string[],
  parsed: ParsedArguments,
  surroundings: Surroundings,
  signal: AbortSignal,
): Promise<{ readonly indexed: readonly IndexedPlace[]; readonly refusedCount: number }> {
  const { stdin, currentFolder } = surroundings;
  const indexPath = indexFolder(parsed, surroundings);
  const { places, refused } = await expandInputs(inputs, { stdin, signal, outFolder: indexPath });
  const sources = await sourceOptions(parsed, surroundings);
  await using pool = new IndexingPool({
    indexPath,
    threadsMax: Math.min(cpus().length, INDEXING_THREADS_MAX),
    sources,
  });
  const errors = [...refused];
  const answers = await Promise.all(
    places.map(async ({ place }): Promise<IndexedPlace[]> => {
      const known = isRemotePlace(place) ? place : resolve(currentFolder, place);
      try {
        const options = { signal, acceptChange: true };
        const indexing = isRemotePlace(known)
          ? pool.indexRemote({ places: [known] }, options)
          : pool.index(known, options);
        return [{ place: placeWithoutSecrets(known), answer: await indexing }];
      } catch (error) {
        if (!isGranuleError(error) || !/^(?:INPUT|SOURCE)_/.test(error.code)) throw error;
        errors.push(error);
        return [];
      }
    }),
  );
  const indexed = answers.flat();
  const [first] = errors;
  if (indexed.length === 0) throw first ?? new GranuleError('INPUT_NOT_FOUND', 'no file is named');
  for (const error of errors) surroundings.notices.write(describeError(error, false));
  return { indexed, refusedCount: errors.length };
}
