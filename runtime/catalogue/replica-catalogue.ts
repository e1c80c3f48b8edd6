/** A POOL file catalogue as a run uses it: what a user names (GUID, LFN or PFN) and all places that hold it. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { describeThrown, GranuleError } from '../../core/errors.ts';
import { tryGuid } from '../../core/ids.ts';
import type { FileChecksum } from '../remote/byte-source.ts';
import { escapedPlace, isRemotePlace, parsePlace } from '../remote/place.ts';
import type { ExpectedFile } from '../remote/replica-agreement.ts';
import { type CatalogueFile, type CatalogueMetadata, readPoolFileCatalogue } from './pool-file-catalogue.ts';

/** Where a catalogued file is read from. */
export interface CataloguedPlaces {
  /** the best first: a local path that exists, then remote ones in the catalogue's order */
  readonly places: readonly [string, ...string[]];
  readonly lfn: string | undefined;
  readonly expected: ExpectedFile;
}

export class ReplicaCatalogue {
  readonly #currentFolder: string;
  /** by GUID, LFN, and place in its normal form */
  readonly #files = new Map<string, CatalogueFile>();

  /** @param currentFolder where relative paths in the catalogue and in questions begin */
  constructor(files: readonly CatalogueFile[], currentFolder: string) {
    this.#currentFolder = currentFolder;
    for (const file of files) {
      this.#files.set(file.guid, file);
      for (const lfn of file.logical) this.#files.set(lfn, file);
      for (const { name } of file.physical) this.#files.set(this.#normalise(name), file);
    }
  }

  /** @throws INPUT_NOT_FOUND, CONFIG_INVALID naming line and column */
  static async read(path: string, currentFolder: string): Promise<ReplicaCatalogue> {
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (cause) {
      throw new GranuleError('INPUT_NOT_FOUND', `catalogue ${path} cannot be read: ${describeThrown(cause).message}`, {
        details: { path },
        remedy: 'name a catalogue that is there, or leave out --catalog',
        cause,
      });
    }
    return new ReplicaCatalogue(readPoolFileCatalogue(text, path), currentFolder);
  }

  /** The places of the file that this GUID, LFN, path or URL names; undefined when the catalogue does not have it. */
  find(name: string): CataloguedPlaces | undefined {
    const guid = tryGuid(name);
    const file =
      (guid === undefined ? undefined : this.#files.get(guid)) ??
      this.#files.get(name) ??
      this.#files.get(this.#normalise(name));
    if (file === undefined) return undefined;
    const all = file.physical.map((physical) => this.#normalise(physical.name));
    const local = all.filter((place) => !isRemotePlace(place) && existsSync(place));
    const [first, ...others] = [...local, ...all.filter(isRemotePlace)];
    if (first === undefined) return undefined;
    return { places: [first, ...others], lfn: file.logical[0], expected: expectedOf(file.metadata) };
  }

  #normalise(place: string): string {
    if (isRemotePlace(place)) return escapedPlace(place);
    try {
      const [parsed] = parsePlace(place);
      return parsed?.kind === 'local' ? resolve(this.#currentFolder, parsed.path) : place;
    } catch {
      // A place granule cannot read (srm:, gsiftp:) is no reason to refuse the catalogue: the others may do.
      return place;
    }
  }
}

/** Size and checksums, under the names PanDA and Rucio write into catalogues. */
function expectedOf(metadata: readonly CatalogueMetadata[]): ExpectedFile {
  let sizeBytes: number | undefined;
  const checksums: FileChecksum[] = [];
  for (const { name, value } of metadata) {
    const text = value.trim().toLowerCase();
    if (/^(?:fsize|filesize|size)$/i.test(name) && /^\d{1,15}$/.test(text)) sizeBytes = Number(text);
    else if (/^adler32$/i.test(name) && /^(?:ad:)?[0-9a-f]{1,8}$/.test(text)) {
      checksums.push({ algorithm: 'adler32', hex: text.replace('ad:', '').padStart(8, '0') });
    } else if (/^md5(?:sum)?$/i.test(name) && /^(?:md5:)?[0-9a-f]{32}$/.test(text)) {
      checksums.push({ algorithm: 'md5', hex: text.replace('md5:', '') });
    }
  }
  return { ...(sizeBytes === undefined ? {} : { sizeBytes }), ...(checksums.length === 0 ? {} : { checksums }) };
}
