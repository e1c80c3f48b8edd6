/**
 * Writes event listings: HepMC3, HepMC2 and LHE. A record is the bytes of one event, as the indexers cut them; an
 * unmerged file is a complete valid file of its format under the run header of the event it was made from.
 *
 * Merging: under equal headers, event follows event. A HepMC file may hold several listings, so where the header
 * changes, the listing is closed and another begun. An LHE file has one header: parts whose `<init>` blocks (beams,
 * cross sections) are equal are joined under the first header, since what else may differ (seeds, cards, comments)
 * says nothing about the events' meaning; others are refused.
 */
import { createHash } from 'node:crypto';
import { GranuleError } from '../../core/errors.ts';
import type { InputFormat, OutputContext, OutputFormat, OutputJoiner, SplitOutput } from './event-format.ts';
import { damaged, refusedRecord } from './format-errors.ts';
import { HEPMC_PREFIX, HEPMC2_LISTING, HEPMC3_LISTING, type HepMCListing } from './hepmc-indexer.ts';
import { hepmc2Input } from './hepmc2.ts';
import { hepmc3Input } from './hepmc3.ts';
import { isEventTag, lheInput } from './lhe.ts';
import { asBuffer, hasTextAt, NEWLINE, skipBlanks } from './line-blocks.ts';

/** What distinguishes the listings while writing. */
interface ListingSyntax {
  readonly name: 'hepmc3' | 'hepmc2' | 'lhe';
  readonly input: InputFormat;
  readonly fileExtension: string;
  /** header where the input has none of this format */
  readonly defaultHeader: Buffer;
  readonly end: Buffer;
  /** What is wrong with bytes given as one event; undefined when nothing is. */
  findFault(event: Buffer): string | undefined;
  /** The part of a header that must be equal for events to be joined without it being written again. */
  headerIdentity(header: Buffer): Buffer;
  /** whether a file may close its listing and begin another */
  readonly mayReopen: boolean;
}

export const hepmc3Output = createListingOutput(hepmcSyntax(HEPMC3_LISTING, hepmc3Input, '.hepmc3'));
export const hepmc2Output = createListingOutput(hepmcSyntax(HEPMC2_LISTING, hepmc2Input, '.hepmc2'));
export const lheOutput = createListingOutput({
  name: 'lhe',
  input: lheInput,
  fileExtension: '.lhe',
  // Unknown beams, no processes, weights as they stand (IDWTUP 3): the least that readers accept.
  defaultHeader: Buffer.from('<LesHouchesEvents version="3.0">\n<init>\n0 0 0.0 0.0 0 0 0 0 3 0\n</init>\n', 'latin1'),
  end: Buffer.from('</LesHouchesEvents>\n', 'latin1'),
  findFault: findLheFault,
  headerIdentity: initBlock,
  mayReopen: false,
});

function hepmcSyntax(listing: HepMCListing, input: InputFormat, fileExtension: string): ListingSyntax {
  return {
    name: listing.name,
    input,
    fileExtension,
    defaultHeader: Buffer.from(`HepMC::Version 3.02.05\n${listing.keyword}-START_EVENT_LISTING\n`, 'latin1'),
    end: Buffer.from(`${listing.keyword}-END_EVENT_LISTING\n`, 'latin1'),
    findFault: findHepMCFault,
    headerIdentity: (header) => header,
    mayReopen: true,
  };
}

function createListingOutput(syntax: ListingSyntax): OutputFormat {
  return {
    name: syntax.name,
    fileExtension: syntax.fileExtension,
    carriesInfo: false,
    begin: (context: OutputContext) =>
      context.inputFormat === syntax.name && context.runHeader.length > 0 ? context.runHeader : syntax.defaultHeader,
    encode: (value) => checkEvent(value, syntax),
    end: () => syntax.end,
    split: (file) => splitListing(file, syntax),
    rewrite: (body) => rewriteListing(body, syntax),
    createJoiner: (state) => new ListingJoiner(syntax, state),
  };
}

function checkEvent(value: unknown, syntax: ListingSyntax): Uint8Array {
  const remedy = `write the bytes of one ${syntax.name} event, from its first line on`;
  if (!(value instanceof Uint8Array)) {
    throw refusedRecord(`a stream of ${syntax.name} events takes a Uint8Array, not ${typeof value}`, remedy);
  }
  const event = asBuffer(value);
  const fault = syntax.findFault(event);
  if (fault !== undefined) throw refusedRecord(`the bytes are not one ${syntax.name} event: ${fault}`, remedy);
  return event[event.length - 1] === NEWLINE ? event : Buffer.concat([event, Buffer.of(NEWLINE)]);
}

function findHepMCFault(event: Buffer): string | undefined {
  if (!hasTextAt(event, 0, 'E ')) return 'they do not begin with "E "';
  if (event.indexOf('\nE ') >= 0) return 'a second E line follows';
  if (event.indexOf(`\n${HEPMC_PREFIX}`) >= 0) return 'a HepMC:: line is among them';
  return undefined;
}

function findLheFault(event: Buffer): string | undefined {
  if (!isEventTag(event, skipBlanks(event, 0, event.length))) return 'they do not begin with <event>';
  const end = event.indexOf('</event>');
  if (end < 0) return 'there is no </event>';
  const rest = skipBlanks(event, end + '</event>'.length, event.length);
  if (rest < event.length && (event[rest] !== NEWLINE || rest + 1 < event.length)) return 'text follows </event>';
  return undefined;
}

/** From `<init>` through `</init>`; the whole header if it has none. */
function initBlock(header: Buffer): Buffer {
  const start = header.lastIndexOf('<init>');
  const end = header.indexOf('</init>', Math.max(start, 0));
  return start < 0 || end < 0 ? header : header.subarray(start, end);
}

function splitListing(file: Uint8Array, syntax: ListingSyntax): SplitOutput {
  const buffer = asBuffer(file);
  let bodyStart = -1;
  let bodyEnd = 0;
  let recordCount = 0;
  let segmentCount = 0;
  const indexer = syntax.input.createIndexer({
    event(offsetBytes, lengthBytes) {
      if (recordCount === 0) bodyStart = offsetBytes;
      bodyEnd = offsetBytes + lengthBytes;
      recordCount += 1;
    },
    runSegment() {
      segmentCount += 1;
    },
  });
  try {
    indexer.push(buffer);
    indexer.end();
  } catch (cause) {
    throw damaged(`an unmerged ${syntax.name} file is not whole: ${(cause as Error).message}`, cause);
  }
  if (segmentCount > 1) throw damaged(`an unmerged ${syntax.name} file has ${segmentCount} run headers`);
  if (recordCount === 0) {
    bodyStart = buffer.lastIndexOf(syntax.end.subarray(0, -1));
    bodyEnd = bodyStart;
  }
  return { header: buffer.subarray(0, bodyStart), body: buffer.subarray(bodyStart, bodyEnd), recordCount };
}

/** Decodes each event; the bytes stay as they are, since printing numbers anew would change them. */
function rewriteListing(body: Uint8Array, syntax: ListingSyntax): Uint8Array {
  const shift = syntax.defaultHeader.length;
  const indexer = syntax.input.createIndexer({
    event(offsetBytes, lengthBytes) {
      const start = offsetBytes - shift;
      syntax.input.decode(body.subarray(start, start + lengthBytes), syntax.defaultHeader);
    },
    runSegment: () => undefined,
  });
  try {
    indexer.push(syntax.defaultHeader);
    indexer.push(body);
    indexer.push(syntax.end);
    indexer.end();
  } catch (cause) {
    throw damaged(`a ${syntax.name} record cannot be decoded: ${(cause as Error).message}`, cause);
  }
  return body;
}

/** State: nothing before the first header, then the SHA-256 of what identifies the header in force. */
class ListingJoiner implements OutputJoiner {
  readonly #syntax: ListingSyntax;
  /** digest of the identity of the header in force; empty before the first */
  #inForce: Uint8Array;
  /** copy of the last header that was compared, so that equal ones need no digest */
  #lastHeader: Buffer | undefined;

  constructor(syntax: ListingSyntax, state: Uint8Array | undefined) {
    this.#syntax = syntax;
    this.#inForce = state === undefined ? new Uint8Array(0) : Uint8Array.from(state);
  }

  append(part: SplitOutput): readonly Uint8Array[] {
    if (part.body.length === 0) return [];
    const header = asBuffer(part.header);
    if (this.#lastHeader?.equals(header)) return [part.body];
    const identity = createHash('sha256').update(this.#syntax.headerIdentity(header)).digest();
    const isFirst = this.#inForce.length === 0;
    const isSame = !isFirst && identity.equals(this.#inForce);
    if (!isFirst && !isSame && !this.#syntax.mayReopen) throw this.#unmergeable();
    this.#lastHeader = Buffer.from(header);
    this.#inForce = identity;
    if (isSame) return [part.body];
    return isFirst ? [this.#lastHeader, part.body] : [this.#syntax.end, this.#lastHeader, part.body];
  }

  finish(): Uint8Array {
    const { defaultHeader, end } = this.#syntax;
    return this.#inForce.length === 0 ? Buffer.concat([defaultHeader, end]) : end;
  }

  state(): Uint8Array {
    return this.#inForce;
  }

  #unmergeable(): GranuleError {
    return new GranuleError(
      'OUTPUT_UNMERGEABLE',
      `events with different <init> blocks (beams, cross sections) cannot stand in one ${this.#syntax.name} file`,
      { remedy: 'let each output file take the events of one input file: leave out --events-per-output' },
    );
  }
}
