/**
 * Finds events in HepMC listings, of either version: a listing is `HepMC::Version`, `HepMC::<name>-START_EVENT_LISTING`,
 * run information, events that begin with an `E ` line, and `HepMC::<name>-END_EVENT_LISTING`. A file may hold several
 * listings one after the other. (HepMC3, src/WriterAscii.cc and src/WriterAsciiHepMC2.cc.)
 */
import { EVENT_BYTES_MAX, RUN_HEADER_BYTES_MAX } from '../../core/limits.ts';
import type { Indexer, IndexSink } from './event-format.ts';
import { malformed, truncated } from './format-errors.ts';
import { hasTextAt, LineBlocks, NEWLINE, skipBlanks } from './line-blocks.ts';

/** What differs between the two versions while indexing and writing. */
export interface HepMCListing {
  readonly name: 'hepmc3' | 'hepmc2';
  /** `HepMC::Asciiv3` or `HepMC::IO_GenEvent` */
  readonly keyword: string;
}

export const HEPMC3_LISTING: HepMCListing = { name: 'hepmc3', keyword: 'HepMC::Asciiv3' };
export const HEPMC2_LISTING: HepMCListing = { name: 'hepmc2', keyword: 'HepMC::IO_GenEvent' };

export const HEPMC_PREFIX = 'HepMC::';
const VERSION_KEYWORD = 'HepMC::Version';
const LETTER_E = 0x45;
const LETTER_H = 0x48;
const LOWER_E = 0x65;
const SPACE = 0x20;
const MINUS = 0x2d;
const ZERO = 0x30;

/** Name of the first listing in the head of a file: `Asciiv3`, `IO_GenEvent`, …; undefined when it is no HepMC file. */
export function firstListingKeyword(head: Uint8Array): string | undefined {
  const text = Buffer.from(head.buffer, head.byteOffset, head.byteLength).toString('latin1').trimStart();
  if (!text.startsWith(HEPMC_PREFIX)) return undefined;
  // A file cut before its START line is taken for the current version, and found truncated.
  return /^(HepMC::\S+)-START_EVENT_LISTING/m.exec(text)?.[1] ?? HEPMC3_LISTING.keyword;
}

/**
 * States: `between` listings (blank lines only) → `header` at a Version or START line → `event` at the first `E ` line
 * → `between` at the END line. An empty listing goes from `header` to `between`.
 */
export class HepMCIndexer implements Indexer {
  readonly #listing: HepMCListing;
  readonly #sink: IndexSink;
  readonly #lines: LineBlocks;
  #state: 'between' | 'header' | 'event' = 'between';
  #hasStarted = false;
  #segmentOffset = 0;
  #eventOffset = 0;
  #eventNumber = Number.NaN;
  /** events completed */
  #eventCount = 0;

  constructor(listing: HepMCListing, sink: IndexSink) {
    this.#listing = listing;
    this.#sink = sink;
    this.#lines = new LineBlocks((block, offsetBytes) => this.#scan(block, offsetBytes));
  }

  push(chunk: Uint8Array): void {
    this.#lines.push(chunk);
  }

  end(): void {
    this.#lines.end();
    if (this.#state !== 'between') {
      throw truncated(`${this.#listing.keyword}-END_EVENT_LISTING`, this.#place(this.#lines.receivedBytes));
    }
  }

  #scan(block: Buffer, blockOffset: number): void {
    let at = 0;
    while (at < block.length) {
      if (this.#state === 'event') {
        at = nextBoundary(block, at);
        if (at === block.length) return;
      }
      const newline = block.indexOf(NEWLINE, at);
      const end = newline < 0 ? block.length : newline + 1;
      this.#line(block, at, end, blockOffset + at);
      at = end;
    }
  }

  /** A line outside events, or the first line after one. */
  #line(block: Buffer, at: number, end: number, offsetBytes: number): void {
    if (hasTextAt(block, at, HEPMC_PREFIX)) {
      this.#keywordLine(block.toString('latin1', at, end), offsetBytes);
    } else if (this.#state !== 'between' && block[end - 1] !== NEWLINE) {
      // Every line of a listing has its end: this is where the file was cut, as end() will say.
    } else if (block[at] === LETTER_E && block[at + 1] === SPACE) {
      this.#eventLine(parseEventNumber(block, at + 2, end), offsetBytes);
    } else if (!(this.#state === 'header' && this.#hasStarted) && !isBlank(block, at, end)) {
      throw malformed('there is text outside the event listing', this.#place(offsetBytes));
    }
  }

  #eventLine(eventNumber: number, offsetBytes: number): void {
    if (Number.isNaN(eventNumber)) {
      throw malformed('an E line does not begin with the event number', this.#place(offsetBytes));
    }
    if (this.#state === 'event') {
      this.#closeEvent(offsetBytes);
    } else {
      if (this.#state === 'between' || !this.#hasStarted) {
        throw malformed(`an event precedes ${this.#listing.keyword}-START_EVENT_LISTING`, this.#place(offsetBytes));
      }
      const lengthBytes = offsetBytes - this.#segmentOffset;
      if (lengthBytes > RUN_HEADER_BYTES_MAX) {
        throw malformed(`the run information is longer than ${RUN_HEADER_BYTES_MAX} bytes`, this.#place(offsetBytes));
      }
      this.#sink.runSegment(this.#segmentOffset, lengthBytes);
      this.#state = 'event';
    }
    this.#eventOffset = offsetBytes;
    this.#eventNumber = eventNumber;
  }

  #keywordLine(rawLine: string, offsetBytes: number): void {
    const line = rawLine.trimEnd();
    const isStart = line === `${this.#listing.keyword}-START_EVENT_LISTING`;
    const isEnd = line === `${this.#listing.keyword}-END_EVENT_LISTING`;
    if (isEnd && this.#state !== 'between') {
      if (this.#state === 'event') this.#closeEvent(offsetBytes);
      this.#state = 'between';
    } else if (!rawLine.endsWith('\n')) {
      // The last line of a file that was cut: not `between` any more, so that end() says so.
      if (this.#state === 'between') this.#state = 'header';
    } else if (this.#state === 'event') {
      throw malformed(
        `"${line.slice(0, 80)}" follows an event without ${this.#listing.keyword}-END_EVENT_LISTING`,
        this.#place(offsetBytes),
      );
    } else if (isStart || line.startsWith(VERSION_KEYWORD)) {
      if (this.#state === 'between') {
        this.#segmentOffset = offsetBytes;
        this.#hasStarted = false;
      }
      this.#state = 'header';
      this.#hasStarted ||= isStart;
    } else {
      throw malformed(
        `"${line.slice(0, 80)}" does not belong into a listing of ${this.#listing.keyword}`,
        this.#place(offsetBytes),
      );
    }
  }

  #closeEvent(endOffset: number): void {
    const lengthBytes = endOffset - this.#eventOffset;
    if (lengthBytes > EVENT_BYTES_MAX) {
      throw malformed(`an event is longer than ${EVENT_BYTES_MAX} bytes`, this.#place(this.#eventOffset));
    }
    this.#sink.event(this.#eventOffset, lengthBytes, this.#eventNumber, Number.NaN);
    this.#eventCount += 1;
  }

  #place(offsetBytes: number): { offsetBytes: number; position: number } {
    return { offsetBytes, position: this.#eventCount + 1 };
  }
}

function isBlank(bytes: Uint8Array, at: number, end: number): boolean {
  const first = skipBlanks(bytes, at, end);
  return first === end || bytes[first] === NEWLINE;
}

/** Start of the first line from `at` on that begins with `E ` or `HepMC::`; the block's length if there is none. */
function nextBoundary(block: Buffer, at: number): number {
  let start = at;
  while (start < block.length) {
    const letter = block[start];
    if (letter === LETTER_E && block[start + 1] === SPACE) return start;
    if (letter === LETTER_H && block[start + 1] === LOWER_E && hasTextAt(block, start, HEPMC_PREFIX)) return start;
    const newline = block.indexOf(NEWLINE, start);
    if (newline < 0) return block.length;
    start = newline + 1;
  }
  return block.length;
}

/** Event number on the E line that HepMC event bytes begin with; a listing states no run number. */
export function identifyHepMCEvent(bytes: Uint8Array): { eventNumber: number; runNumber: number } {
  return { eventNumber: parseEventNumber(bytes, 2, bytes.length), runNumber: Number.NaN };
}

/** The integer field at `at`; NaN when there is none. */
function parseEventNumber(bytes: Uint8Array, at: number, end: number): number {
  let index = skipBlanks(bytes, at, end);
  const isNegative = bytes[index] === MINUS;
  if (isNegative) index += 1;
  const firstDigit = index;
  let value = 0;
  while (index < end) {
    const digit = (bytes[index] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
    index += 1;
  }
  if (index === firstDigit) return Number.NaN;
  return isNegative ? -value : value;
}
