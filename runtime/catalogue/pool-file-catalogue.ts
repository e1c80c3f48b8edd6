/**
 * POOL file catalogues (`PoolFileCatalog.xml`): which places (PFN) hold the file with this identity (GUID), under which
 * logical names (LFN). Format: the document type POOL and Gaudi share (GaudiUtils, XMLFileCatalog.cpp):
 * `POOLFILECATALOG (META*, File*)`, `File (physical, logical, metadata*)`, `physical (pfn+)`, `logical (lfn*)`.
 */
import { SaxesParser, type SaxesTagPlain } from 'saxes';
import { GranuleError } from '../../core/errors.ts';
import { type Guid, tryGuid } from '../../core/ids.ts';

/** A physical place of a file. */
export interface PhysicalFile {
  /** path or URL, as the catalogue has it */
  readonly name: string;
  /** technology, commonly `ROOT_All`; often absent */
  readonly filetype?: string;
  /** storage element; rarely given */
  readonly se?: string;
}

export interface CatalogueMetadata {
  readonly name: string;
  readonly value: string;
}

/** One `<File>`: lists keep the catalogue's order, and the first physical place is POOL's preferred one. */
export interface CatalogueFile {
  readonly guid: Guid;
  readonly physical: readonly PhysicalFile[];
  readonly logical: readonly string[];
  readonly metadata: readonly CatalogueMetadata[];
}

type Element = 'POOLFILECATALOG' | 'META' | 'File' | 'physical' | 'pfn' | 'logical' | 'lfn' | 'metadata';

/** Each element's only parent; the root's is empty. */
const PARENT: Readonly<Record<Element, Element | ''>> = {
  POOLFILECATALOG: '',
  META: 'POOLFILECATALOG',
  File: 'POOLFILECATALOG',
  physical: 'File',
  pfn: 'physical',
  logical: 'File',
  lfn: 'logical',
  metadata: 'File',
};

class CatalogueReader {
  readonly files: CatalogueFile[] = [];
  readonly #path: string;
  readonly #parser = new SaxesParser();
  readonly #open: Element[] = [];
  readonly #guids = new Set<Guid>();
  readonly #names = new Set<string>();
  #file: { guid: Guid; physical: PhysicalFile[]; logical: string[]; metadata: CatalogueMetadata[] } | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#parser.on('error', (error) => this.#fail(error.message.replace(/^\d+:\d+: /, '')));
    this.#parser.on('opentag', (tag) => this.#openElement(tag));
    this.#parser.on('closetag', () => {
      if (this.#open.pop() === 'File' && this.#file !== undefined) this.files.push(this.#file);
    });
  }

  read(text: string): void {
    this.#parser.write(text).close();
  }

  #openElement(tag: SaxesTagPlain): void {
    const { name } = tag;
    if (!isElement(name)) this.#fail(`<${name}> is not part of a POOL file catalogue`);
    const parent = this.#open.at(-1) ?? '';
    if (PARENT[name] !== parent) {
      this.#fail(`<${name}> stands ${parent === '' ? 'at the top' : `in <${parent}>`}, not in <${PARENT[name]}>`);
    }
    this.#open.push(name);
    if (name === 'File') this.#openFile(tag);
    const file = this.#file;
    if (file === undefined) return;
    if (name === 'pfn') {
      const { filetype, se } = tag.attributes;
      file.physical.push({
        name: this.#uniqueName(tag),
        ...(filetype === undefined ? {} : { filetype }),
        ...(se === undefined ? {} : { se }),
      });
    } else if (name === 'lfn') {
      file.logical.push(this.#uniqueName(tag));
    } else if (name === 'metadata') {
      file.metadata.push({ name: this.#attribute(tag, 'att_name'), value: this.#attribute(tag, 'att_value') });
    }
  }

  #openFile(tag: SaxesTagPlain): void {
    const text = this.#attribute(tag, 'ID');
    const guid = tryGuid(text);
    if (guid === undefined) this.#fail(`File ID "${text}" is not a GUID (8-4-4-4-12 hexadecimal digits)`);
    if (this.#guids.has(guid)) this.#fail(`GUID ${guid} is listed twice`);
    this.#guids.add(guid);
    this.#file = { guid, physical: [], logical: [], metadata: [] };
  }

  /** PFNs and LFNs are identities of the document: a name that stood for two files could not be looked up. */
  #uniqueName(tag: SaxesTagPlain): string {
    const name = this.#attribute(tag, 'name');
    const key = `${tag.name} ${name}`;
    if (this.#names.has(key)) this.#fail(`${tag.name} "${name}" is listed twice`);
    this.#names.add(key);
    return name;
  }

  #attribute(tag: SaxesTagPlain, name: string): string {
    return tag.attributes[name] ?? this.#fail(`<${tag.name}> has no attribute ${name}`);
  }

  #fail(problem: string): never {
    const { line, column } = this.#parser;
    throw new GranuleError('CONFIG_INVALID', `${this.#path}:${line}:${column}: ${problem}`, {
      details: { path: this.#path, line, column },
      remedy: 'Correct the catalogue at this place, or leave out --catalog.',
    });
  }
}

function isElement(name: string): name is Element {
  return Object.hasOwn(PARENT, name);
}

/**
 * @param path shown in errors
 * @throws CONFIG_INVALID naming line (1-based) and column for text that is not XML, not a catalogue, or that gives one
 *   GUID, PFN or LFN twice
 */
export function readPoolFileCatalogue(text: string, path = 'PoolFileCatalog.xml'): CatalogueFile[] {
  const reader = new CatalogueReader(path);
  reader.read(text);
  return reader.files;
}
