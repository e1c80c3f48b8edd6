/**
 * From what a user calls the input (files, globs, folders, URLs, lists) to the places to read, in an order that depends
 * on the names only. Runs on the main thread, once, before anything is indexed.
 */
import type { Dirent } from 'node:fs';
import { lstat, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { addAbortSignal, type Readable } from 'node:stream';
import { text as readText } from 'node:stream/consumers';
import { GranuleError } from '../../core/errors.ts';
import type { Guid } from '../../core/ids.ts';
import { nearestNames } from '../../core/nearest-name.ts';
import { escapedPlace, type Place, parsePlace } from '../remote/place.ts';
import { expandGlob, isGlob } from './glob.ts';

/** One place to read: a regular file (path as typed), or a URL that nothing has been asked yet. */
export type InputPlace =
  | { readonly kind: 'file'; readonly place: string }
  | { readonly kind: 'url'; readonly place: string };

export interface ExpandedInputs {
  readonly places: readonly InputPlace[];
  /** what named nothing usable: missing files, globs without match, folders without files */
  readonly refused: readonly GranuleError[];
}

export interface InputSurroundings {
  /** where `-` reads its list from */
  readonly stdin: Readable;
  /** ends the wait for stdin */
  readonly signal?: AbortSignal;
  /** the run's own output folder: not looked into when it lies below an input folder */
  readonly outFolder: string;
}

/** Written by a run beside its merged files; not events. */
const RUN_FILES = new Set(['manifest.json', 'report.json', 'report.html', 'PoolFileCatalog.xml']);

/**
 * Places in the order given; what one glob or folder stands for is sorted by code units. Errors are collected, since
 * good files beside a missing one are still processed. The same file given twice is kept twice, for
 * {@link DistinctFiles} to refuse.
 *
 * @throws the signal's reason
 */
export async function expandInputs(inputs: readonly string[], around: InputSurroundings): Promise<ExpandedInputs> {
  const places: InputPlace[] = [];
  const refused: GranuleError[] = [];
  const walk: Walk = { outFolder: around.outFolder, refused };
  for (const input of inputs) {
    try {
      for (const entry of await readList(input, around)) {
        try {
          for (const place of await expandPlace(entry, walk)) places.push(place);
        } catch (error) {
          refused.push(asRefusal(error, entry));
        }
      }
    } catch (error) {
      around.signal?.throwIfAborted();
      refused.push(asRefusal(error, input));
    }
  }
  return { places, refused };
}

/** What looking into folders needs to know, and where it says what it could not look into. */
interface Walk {
  readonly outFolder: string;
  readonly refused: GranuleError[];
}

function asRefusal(error: unknown, place: string): GranuleError {
  if (error instanceof GranuleError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const remedy = code === 'ELOOP' ? 'remove the symbolic link: it leads to itself' : `look with: ls -ld ${place}`;
  return new GranuleError('INPUT_UNREADABLE', `${place}: ${message}`, { details: { place }, remedy, cause: error });
}

/** The entries of `@file` and `-`: one place a line, `#` begins a comment line. Anything else is its own entry. */
async function readList(input: string, around: InputSurroundings): Promise<readonly string[]> {
  if (input !== '-' && !input.startsWith('@')) return [input];
  const name = input === '-' ? 'list on stdin' : `list ${input.slice(1)}`;
  const content = input === '-' ? await readStdin(around) : await readListFile(input.slice(1));
  const entries = content
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (entries.length === 0) {
    throw new GranuleError('INPUT_NOT_FOUND', `${name}: it names no file`, {
      details: { place: input },
      remedy: 'write one file, glob, folder or URL a line',
    });
  }
  const nested = entries.find((entry) => entry === '-' || entry.startsWith('@'));
  if (nested !== undefined) {
    throw new GranuleError('INPUT_NOT_FOUND', `${name}: a list cannot name another list ("${nested}")`, {
      details: { place: input },
      remedy: 'give the lists one by one',
    });
  }
  return entries;
}

function readStdin({ stdin, signal }: InputSurroundings): Promise<string> {
  return readText(signal === undefined ? stdin : addAbortSignal(signal, stdin));
}

async function readListFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw await missing(path, `list ${path}`, error);
  }
}

async function expandPlace(place: string, walk: Walk): Promise<readonly InputPlace[]> {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(place)) {
    const parsed = parseUrlPlace(place);
    return parsed?.kind === 'local' ? expandPlace(parsed.path, walk) : [{ kind: 'url', place: escapedPlace(place) }];
  }
  const status = await stat(place).catch((error: NodeJS.ErrnoException) => error);
  if (!(status instanceof Error)) {
    if (status.isDirectory()) return expandFolder(place, walk);
    if (status.isFile()) return [{ kind: 'file', place }];
    throw new GranuleError('INPUT_UNREADABLE', `${place}: not a regular file, and events are read more than once`, {
      details: { place },
      remedy: 'write the data to a file first',
    });
  }
  if (!isGlob(place)) throw await missing(place, place, status);
  const matches = await expandGlob(place);
  if (matches.length === 0) {
    throw new GranuleError('INPUT_NOT_FOUND', `${place}: no file matches`, {
      details: { place },
      remedy: `look with: ls ${dirname(place.slice(0, place.search(/[*?[{]/) + 1))}`,
    });
  }
  const expanded: InputPlace[] = [];
  for (const match of matches) {
    for (const place of await expandMatch(match, walk)) expanded.push(place);
  }
  return expanded;
}

/** @throws INPUT_UNREADABLE: the other inputs may do */
function parseUrlPlace(place: string): Place | undefined {
  try {
    return parsePlace(place)[0];
  } catch (error) {
    const { message, details, remedy = '' } = asRefusal(error, place);
    throw new GranuleError('INPUT_UNREADABLE', message, { details, remedy });
  }
}

/**
 * A folder that a glob matched counts by its files, but need not have any. What cannot be looked at counts as a file: so
 * it is refused by its name, and the other matches are processed.
 */
async function expandMatch(match: string, walk: Walk): Promise<readonly InputPlace[]> {
  const status = await stat(match).catch(() => undefined);
  if (status?.isDirectory()) return (await filesOfSubfolder(match, walk, new Set())).map(asFile);
  return status === undefined || status.isFile() ? [asFile(match)] : [];
}

async function expandFolder(folder: string, walk: Walk): Promise<readonly InputPlace[]> {
  const refusedBefore = walk.refused.length;
  const files = await filesBelow(folder, walk, new Set());
  if (files.length === 0 && walk.refused.length === refusedBefore) {
    throw new GranuleError('INPUT_NOT_FOUND', `${folder}: the folder holds no files (hidden ones do not count)`, {
      details: { place: folder },
      remedy: 'name the folder that holds the event files, or the files',
    });
  }
  return files.sort().map(asFile);
}

function asFile(place: string): InputPlace {
  return { kind: 'file', place };
}

/**
 * Regular files at any depth, links followed, hidden names and what a run wrote beside its merged files left out.
 *
 * @param above real paths of the folders we are in, which end rings of links
 */
async function filesBelow(folder: string, walk: Walk, above: ReadonlySet<string>): Promise<string[]> {
  const real = await realpath(folder);
  if (above.has(real) || (above.size > 0 && resolve(folder) === resolve(walk.outFolder))) return [];
  const entries = await readdir(folder, { withFileTypes: true });
  const ofRun = entries.some((entry) => entry.name === '.granule');
  const files: string[] = [];
  for (const entry of entries) {
    if (entry.name.startsWith('.') || (ofRun && RUN_FILES.has(entry.name))) continue;
    const path = join(folder, entry.name);
    const kind = await kindOf(entry, path);
    if (kind === 'file') files.push(path);
    else if (kind === 'folder') {
      for (const file of await filesOfSubfolder(path, walk, new Set([...above, real]))) files.push(file);
    }
  }
  return files;
}

/** As {@link filesBelow}; a folder that cannot be looked into is refused, and those beside it are not. */
async function filesOfSubfolder(folder: string, walk: Walk, above: ReadonlySet<string>): Promise<readonly string[]> {
  try {
    return await filesBelow(folder, walk, above);
  } catch (error) {
    walk.refused.push(asRefusal(error, folder));
    return [];
  }
}

/** A link that leads nowhere counts as a file, so that reading it says what is wrong. */
async function kindOf(entry: Dirent, path: string): Promise<'file' | 'folder' | 'other'> {
  const status = entry.isSymbolicLink() ? await stat(path).catch(() => undefined) : entry;
  if (status === undefined) return 'file';
  if (status.isDirectory()) return 'folder';
  return status.isFile() ? 'file' : 'other';
}

async function missing(path: string, name: string, cause: unknown): Promise<GranuleError> {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code !== 'ENOENT' && code !== 'ENOTDIR') return asRefusal(cause, name);
  if (await isLink(path)) {
    return new GranuleError('INPUT_NOT_FOUND', `${name}: the symbolic link leads to nothing`, {
      details: { place: path },
      remedy: 'bring back what it leads to, or leave it out',
      cause,
    });
  }
  const folder = dirname(path);
  const names = await readdir(folder).catch(() => undefined);
  const near = nearestNames(path.slice(path.lastIndexOf('/') + 1), names ?? []).map((near) => join(folder, near));
  const reason = names === undefined ? `there is no folder ${folder}` : 'there is no such file or folder';
  return new GranuleError('INPUT_NOT_FOUND', `${name}: ${reason}`, {
    details: { place: path },
    remedy:
      near.length === 0
        ? `look with: ls ${names === undefined ? dirname(folder) : folder}`
        : `did you mean ${near.join(' or ')}?`,
    cause,
  });
}

async function isLink(path: string): Promise<boolean> {
  const status = await lstat(path).catch(() => undefined);
  return status?.isSymbolicLink() ?? false;
}

/** What {@link DistinctFiles} needs of an indexed file. */
export interface NamedContent {
  readonly place: string;
  readonly lfn: string;
  readonly guid: Guid;
}

/** Outputs are named after LFNs, seeds depend on GUIDs: both must be distinct within a task. */
export class DistinctFiles {
  readonly #byGuid = new Map<Guid, string>();
  readonly #byName = new Map<string, string>();

  /** @throws INPUT_DUPLICATE naming both places */
  add({ place, lfn, guid }: NamedContent): void {
    const sameContent = this.#byGuid.get(guid);
    if (sameContent !== undefined) {
      throw new GranuleError(
        'INPUT_DUPLICATE',
        `the same content is given twice: ${sameContent} and ${place} (GUID ${guid})`,
        { details: { places: [sameContent, place], guid }, remedy: 'give one of them only' },
      );
    }
    const sameName = this.#byName.get(lfn);
    if (sameName !== undefined) {
      throw new GranuleError(
        'INPUT_DUPLICATE',
        `two files are called ${lfn}, with different content: ${sameName} and ${place}`,
        { details: { places: [sameName, place], lfn }, remedy: 'rename one of them, or process them in two runs' },
      );
    }
    this.#byGuid.set(guid, place);
    this.#byName.set(lfn, place);
  }
}
