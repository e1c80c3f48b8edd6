/**
 * Reads the inputs of a run: expands what was given to places, indexes every file (in threads, or not at all when it has
 * not changed since), refuses what is unusable and lets the rest go on.
 */
import { resolve } from 'node:path';
import { GranuleError, isGranuleError } from '../core/errors.ts';
import type { FileRecord } from '../core/file-index.ts';
import { INDEXING_THREADS_MAX } from '../core/limits.ts';
import { ReplicaCatalogue } from './catalogue/replica-catalogue.ts';
import { IndexingPool, type RemoteFile } from './indexing/indexing-pool.ts';
import { checkDistinct, expandInputs } from './inputs.ts';
import type { ResolvedRunOptions } from './options.ts';
import { isRemotePlace } from './remote/place.ts';
import type { SourceOptions } from './remote/source-options.ts';
import type { NodeEvents } from './run-events.ts';
import type { RunFolders } from './run-folders.ts';
import type { RunSurroundings } from './run-handle.ts';

/** A file whose events can be processed. */
export interface UsableInput {
  /** absolute path or URL */
  readonly place: string;
  /** other places of the same file */
  readonly replicas: readonly string[];
  readonly record: FileRecord;
}

export interface RefusedInput {
  readonly place: string;
  readonly error: GranuleError;
}

export interface InputSet {
  /** in the order given */
  readonly inputs: readonly UsableInput[];
  readonly refused: readonly RefusedInput[];
}

export interface InputSetParts {
  readonly folders: RunFolders;
  readonly events: NodeEvents;
  readonly surroundings: Pick<RunSurroundings, 'currentFolder' | 'stdin'>;
  readonly sources: SourceOptions;
  readonly signal: AbortSignal;
  /** what will be read, before anything is */
  readonly onPlaces?: (places: readonly string[]) => void;
}

/**
 * @throws INPUT_DUPLICATE, INPUT_CHANGED, STORE_FAILED, the signal's reason; and what was wrong with the first input when
 * none is usable
 */
export async function readInputs(
  options: Pick<ResolvedRunOptions, 'inputs' | 'outFolder' | 'workerCount' | 'catalogPath' | 'tree' | 'indexFolder'>,
  parts: InputSetParts,
): Promise<InputSet> {
  const { stdin, currentFolder } = parts.surroundings;
  const { catalogPath } = options;
  const catalogue = catalogPath === null ? undefined : await ReplicaCatalogue.read(catalogPath, currentFolder);
  const named = options.inputs.map((input) => catalogue?.find(input)?.places[0] ?? input);
  const expanded = await expandInputs(named, { stdin, outFolder: options.outFolder });
  const refused: RefusedInput[] = expanded.refused.map((error) =>
    refuse(parts, absolutePlace(String(error.details['place'] ?? ''), currentFolder), error),
  );
  await using pool = new IndexingPool({
    indexPath: parts.folders.index,
    threadsMax: Math.min(options.workerCount, INDEXING_THREADS_MAX),
    sources: parts.sources,
    tree: options.tree,
  });
  const files = expanded.places.map(({ place }): RemoteFile => catalogued(catalogue, place, currentFolder));
  parts.onPlaces?.(files.flatMap(({ places }) => places));
  const answers = await Promise.all(
    files.map((file) => indexPlace(pool, file, { ...parts, isIndexShared: options.indexFolder !== null })),
  );
  const inputs: UsableInput[] = [];
  for (const answer of answers) {
    if ('error' in answer) refused.push(answer);
    else inputs.push(answer);
  }
  checkDistinct(inputs.map(({ place, record }) => ({ place, lfn: record.lfn, guid: record.guid })));
  const [first] = refused;
  if (inputs.length === 0 && first !== undefined) throw noUsableInput(first.error, refused.length);
  return { inputs, refused };
}

/** A file that is missing now may be there next time, when it is known by its absolute path. */
function absolutePlace(named: string, currentFolder: string): string {
  const isList = named === '-' || named.startsWith('@');
  return isList || isRemotePlace(named) ? named : resolve(currentFolder, named);
}

/** A file with all its places, the given one first. */
function catalogued(catalogue: ReplicaCatalogue | undefined, given: string, currentFolder: string): RemoteFile {
  const place = isRemotePlace(given) ? given : resolve(currentFolder, given);
  const known = catalogue?.find(place);
  if (known === undefined) return { places: [place] };
  const others = known.places.filter((other) => other !== place);
  return {
    places: [place, ...others],
    expected: known.expected,
    ...(known.lfn === undefined ? {} : { lfn: known.lfn }),
  };
}

async function indexPlace(
  pool: IndexingPool,
  file: RemoteFile,
  parts: InputSetParts & { readonly isIndexShared: boolean },
): Promise<UsableInput | RefusedInput> {
  const startedMs = performance.now();
  const [place, ...replicas] = file.places;
  // What a path held when another run read it does not matter: the event table knows what this run began with.
  const how = { signal: parts.signal, acceptChange: parts.isIndexShared };
  try {
    const indexing = isRemotePlace(place) ? pool.indexRemote(file, how) : pool.index(place, how);
    const { record, outcome, previousGuid } = await indexing;
    if (outcome === 'changed' && !parts.isIndexShared) throw changed(place, String(previousGuid), record.guid);
    parts.events.emit('input:indexed', {
      place,
      lfn: record.lfn,
      guid: record.guid,
      format: record.format,
      eventCount: record.eventCount,
      sizeBytes: record.sizeBytes,
      wasRead: outcome === 'read',
      wallMs: performance.now() - startedMs,
    });
    return { place, replicas, record };
  } catch (error) {
    if (!isGranuleError(error) || !isAboutOneInput(error)) throw error;
    return refuse(parts, place, error);
  }
}

/** Errors that leave the other files usable. A source that is gone for now ends the run instead: it can be run again. */
function isAboutOneInput({ code }: GranuleError): boolean {
  if (code === 'INPUT_CHANGED' || code === 'SOURCE_UNREACHABLE') return false;
  return code.startsWith('INPUT_') || code.startsWith('SOURCE_');
}

function refuse(parts: InputSetParts, place: string, error: GranuleError): RefusedInput {
  parts.events.emit('input:refused', {
    place,
    code: error.code,
    message: error.message,
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
  });
  return { place, error };
}

function changed(place: string, before: string, now: string): GranuleError {
  return new GranuleError(
    'INPUT_CHANGED',
    `${place} has other content than when this run began (GUID ${before} then, ${now} now)`,
    {
      details: { place, before, now },
      remedy: 'restore the file, or begin a new run with another --out (or --fresh to throw this one away)',
    },
  );
}

function noUsableInput(first: GranuleError, count: number): GranuleError {
  const more = count > 1 ? ` (and ${count - 1} more)` : '';
  return new GranuleError('INPUT_NONE_USABLE', `no input can be used: ${first.message}${more}`, {
    cause: first,
    details: first.details,
    ...(first.remedy === undefined ? {} : { remedy: first.remedy }),
  });
}
