/**
 * Reads Les Houches Event files, versions 1 to 3 (Alwall et al., Comput. Phys. Commun. 176 (2007) 300,
 * hep-ph/0609017; version 3: arXiv:1405.1067). The header is seldom well-formed XML, so lines are scanned: a tag
 * counts only at the beginning of a line.
 */
import { EVENT_BYTES_MAX, RUN_HEADER_BYTES_MAX } from '../../core/limits.ts';
import type { Indexer, IndexSink, InputFormat } from './event-format.ts';
import { FieldReader, tryFloat } from './field-reader.ts';
import { malformed, truncated } from './format-errors.ts';
import type { LheEvent, LheParticle } from './generator-event.ts';
import { asBuffer, byteOrderMarkLength, hasTextAt, LineBlocks, NEWLINE, skipBlanks } from './line-blocks.ts';

const LESS_THAN = 0x3c;
const GREATER_THAN = 0x3e;
const HASH = 0x23;
const SLASH = 0x2f;
const LOWER_E = 0x65;
const SPACE = 0x20;
const CARRIAGE_RETURN = 0x0d;
const TAB = 0x09;
const FILE_TAG = '<LesHouchesEvents';
const FILE_END_TAG = '</LesHouchesEvents>';
const EVENT_TAG = '<event';
const EVENT_END_TAG = '</event>';

export const lheInput: InputFormat = {
  name: 'lhe',
  recognise: (head) => {
    const text = asBuffer(head).toString('latin1', byteOrderMarkLength(head));
    return /^\s*</.test(text) && /^[ \t]*<LesHouchesEvents[\s>]/m.test(text);
  },
  createIndexer: (sink: IndexSink) => new LheIndexer(sink),
  identify: () => ({ eventNumber: Number.NaN, runNumber: Number.NaN }),
  decode: decodeLhe,
};

/** Whether an `<event>` or `<event …>` tag stands at `at`. */
export function isEventTag(bytes: Uint8Array, at: number): boolean {
  if (!hasTextAt(bytes, at, EVENT_TAG)) return false;
  const next = bytes[at + EVENT_TAG.length];
  return next === GREATER_THAN || next === SPACE || next === TAB || next === NEWLINE || next === CARRIAGE_RETURN;
}

/**
 * States: `outside` (before `<LesHouchesEvents`, and after its end tag, where any text may stand) → `between` events
 * (the header counts as that; `comment` and `header` are its interludes in which no tag counts) → `event`.
 */
class LheIndexer implements Indexer {
  readonly #sink: IndexSink;
  readonly #lines: LineBlocks;
  #state: 'outside' | 'between' | 'comment' | 'header' | 'event' = 'outside';
  /** Offset of the run information, until its first event has come. */
  #segmentOffset = 0;
  #isSegmentOpen = true;
  #hasSeenFileTag = false;
  #eventOffset = 0;
  #eventCount = 0;

  constructor(sink: IndexSink) {
    this.#sink = sink;
    this.#lines = new LineBlocks((block, offsetBytes) => this.#scan(block, offsetBytes));
  }

  push(chunk: Uint8Array): void {
    this.#lines.push(chunk);
  }

  end(): void {
    this.#lines.end();
    if (this.#state === 'outside' && this.#hasSeenFileTag) return;
    const missing = this.#state === 'event' ? `${EVENT_END_TAG} and ${FILE_END_TAG}` : FILE_END_TAG;
    throw truncated(missing, this.#place(this.#lines.receivedBytes));
  }

  #scan(block: Buffer, blockOffset: number): void {
    let at = blockOffset === 0 ? byteOrderMarkLength(block) : 0;
    while (at < block.length) {
      if (this.#state === 'event') {
        at = nextEventTag(block, at);
        if (at === block.length) return;
      }
      const newline = block.indexOf(NEWLINE, at);
      const end = newline < 0 ? block.length : newline + 1;
      const first = skipBlanks(block, at, end);
      // Tags that matter begin a line; only inside comment and header may the end tag stand anywhere in one.
      if (block[first] === LESS_THAN) this.#tagLine(block, first, end, blockOffset + at, blockOffset + end);
      else if (this.#state === 'comment' || this.#state === 'header') this.#leaveInterlude(block, first, end);
      at = end;
    }
  }

  #tagLine(block: Buffer, at: number, end: number, lineOffset: number, endOffset: number): void {
    switch (this.#state) {
      case 'event':
        if (hasTextAt(block, at, EVENT_END_TAG)) this.#closeEvent(endOffset);
        else if (isEventTag(block, at)) {
          throw malformed(`an event begins inside event ${this.#eventCount + 1}`, this.#place(lineOffset));
        }
        return;
      case 'comment':
      case 'header':
        this.#leaveInterlude(block, at, end);
        return;
      case 'between':
        if (isEventTag(block, at)) this.#openEvent(block, at, end, lineOffset, endOffset);
        else if (hasTextAt(block, at, FILE_END_TAG)) this.#state = 'outside';
        else this.#enterInterlude(block, at, end);
        return;
      case 'outside':
        if (!hasTextAt(block, at, FILE_TAG)) return;
        this.#state = 'between';
        // The first listing's run information begins with the file: what precedes the tag may be an XML declaration.
        this.#segmentOffset = this.#hasSeenFileTag ? lineOffset : 0;
        this.#isSegmentOpen = true;
        this.#hasSeenFileTag = true;
    }
  }

  #enterInterlude(block: Buffer, at: number, end: number): void {
    if (hasTextAt(block, at, '<!--')) this.#state = 'comment';
    else if (hasTextAt(block, at, '<header')) this.#state = 'header';
    this.#leaveInterlude(block, at, end);
  }

  /** A header that nobody closed ends where `<init>` begins. */
  #leaveInterlude(block: Buffer, at: number, end: number): void {
    if (this.#state === 'header' && hasTextAt(block, at, '<init>')) this.#state = 'between';
    const endTag = this.#state === 'comment' ? '-->' : '</header>';
    if (block.subarray(at, end).includes(endTag)) this.#state = 'between';
  }

  #openEvent(block: Buffer, at: number, end: number, lineOffset: number, endOffset: number): void {
    if (this.#isSegmentOpen) {
      const lengthBytes = lineOffset - this.#segmentOffset;
      if (lengthBytes > RUN_HEADER_BYTES_MAX) {
        throw malformed(`the header is longer than ${RUN_HEADER_BYTES_MAX} bytes`, this.#place(lineOffset));
      }
      this.#sink.runSegment(this.#segmentOffset, lengthBytes);
      this.#isSegmentOpen = false;
    }
    this.#state = 'event';
    this.#eventOffset = lineOffset;
    if (block.subarray(at, end).includes(EVENT_END_TAG)) this.#closeEvent(endOffset);
  }

  #closeEvent(endOffset: number): void {
    const lengthBytes = endOffset - this.#eventOffset;
    if (lengthBytes > EVENT_BYTES_MAX) {
      throw malformed(`an event is longer than ${EVENT_BYTES_MAX} bytes`, this.#place(this.#eventOffset));
    }
    this.#sink.event(this.#eventOffset, lengthBytes, Number.NaN, Number.NaN);
    this.#eventCount += 1;
    this.#state = 'between';
  }

  #place(offsetBytes: number): { offsetBytes: number; position: number } {
    return { offsetBytes, position: this.#eventCount + 1 };
  }
}

/** Start of the first line from `at` on that begins with `<e` or `</`; the block's length if there is none. */
function nextEventTag(block: Buffer, at: number): number {
  let start = at;
  while (start < block.length) {
    let first = start;
    while (block[first] === SPACE || block[first] === TAB) first += 1;
    if (block[first] === LESS_THAN && (block[first + 1] === SLASH || block[first + 1] === LOWER_E)) return start;
    const newline = block.indexOf(NEWLINE, first);
    if (newline < 0) return block.length;
    start = newline + 1;
  }
  return block.length;
}

/** @throws INPUT_MALFORMED also when there are fewer particle lines than NUP says */
export function decodeLhe(bytes: Uint8Array): LheEvent {
  const reader = new FieldReader(bytes, 'LHE event');
  if (!reader.nextLine() || reader.peek() !== LESS_THAN) reader.fail('is not an <event> tag');
  const attributes = readTagAttributes(reader.line());
  if (!reader.nextLine()) reader.fail('is the last: the event is empty');
  const particleCount = reader.integer('NUP');
  const event = {
    processId: reader.integer('IDPRUP'),
    weight: reader.float('XWGTUP'),
    scale: reader.float('SCALUP'),
    alphaQED: reader.float('AQEDUP'),
    alphaQCD: reader.float('AQCDUP'),
  };
  const particles: LheParticle[] = [];
  while (particles.length < particleCount) {
    if (!reader.nextLine() || reader.peek() === LESS_THAN) {
      reader.fail(`ends the particles after ${particles.length}, but NUP says ${particleCount}`);
    }
    if (reader.peek() !== HASH) particles.push(readParticle(reader, particles.length + 1));
  }
  const comments: string[] = [];
  const tail: string[] = [];
  while (reader.nextLine()) {
    if (reader.peek() === HASH) comments.push(reader.rest().slice(1).trim());
    else tail.push(reader.line());
  }
  return { ...event, particles, weights: readWeights(tail.join('\n'), reader), attributes, comments };
}

function readParticle(reader: FieldReader, id: number): LheParticle {
  const pdgId = reader.integer('IDUP');
  const status = reader.integer('ISTUP');
  return {
    id,
    pdgId,
    status,
    mothers: [reader.integer('MOTHUP(1)'), reader.integer('MOTHUP(2)')],
    colours: [reader.integer('ICOLUP(1)'), reader.integer('ICOLUP(2)')],
    px: reader.float('px'),
    py: reader.float('py'),
    pz: reader.float('pz'),
    energy: reader.float('energy'),
    mass: reader.float('mass'),
    lifetime: reader.float('VTIMUP'),
    spin: reader.float('SPINUP'),
  };
}

function readTagAttributes(tag: string): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const match of tag.matchAll(/([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g)) {
    attributes[match[1] ?? ''] = match[2] ?? match[3] ?? '';
  }
  return attributes;
}

/** `<rwgt><wgt id='1'> 7.5 </wgt>…</rwgt>`, and version 3's compressed `<weights> 7.5 … </weights>`. */
function readWeights(text: string, reader: FieldReader): { id: string; value: number }[] {
  const weights: { id: string; value: number }[] = [];
  if (!text.includes('<w')) return weights;
  for (const match of text.matchAll(/<wgt\s+id\s*=\s*(?:"([^"]*)"|'([^']*)')\s*>([^<]*)<\/wgt>/g)) {
    const id = (match[1] ?? match[2] ?? '').trim();
    weights.push({ id, value: readWeight((match[3] ?? '').trim(), id, reader) });
  }
  for (const match of text.matchAll(/<weights>([^<]*)<\/weights>/g)) {
    const values = (match[1] ?? '').trim().split(/\s+/).filter(Boolean);
    values.forEach((value, index) => {
      const id = String(index + 1);
      weights.push({ id, value: readWeight(value, id, reader) });
    });
  }
  return weights;
}

function readWeight(text: string, id: string, reader: FieldReader): number {
  const value = text === '' ? undefined : tryFloat(text);
  return value ?? reader.fail(`is the last, but weight "${id}" is "${text}" and no number`);
}
