/**
 * Messages of the channels as bytes: msgpack, in which long lists (leased ranges, tokens, reports) are packed as rows of
 * numbers. An object per event and hop costs a multiple of the work it describes; a row costs a few stores.
 *
 * A packed list is `{ numbers, texts, others }`: little-endian float64 rows, the rows' texts joined by NUL, and what is
 * rare enough to stay an object. Rows have no fixed length; who packs and who unpacks agree by the code below, and a
 * change of it is a new `CHANNEL_VERSION`.
 */
import { Packr, Unpackr } from 'msgpackr';
import type { FailedEvent, LeasedRange, OutputRecord } from '../../core/dispatcher-api.ts';
import type { RangeReport, RangeToken } from '../../core/messages.ts';
import { smallInteger } from '../../core/small-integer.ts';

const packr = new Packr({ useRecords: true, encodeUndefinedAsNil: true });
const unpackr = new Unpackr({ useRecords: true });

const TEXT_SEPARATOR = '\0';

interface PackedList {
  readonly numbers: Uint8Array;
  readonly texts: string;
  readonly others: readonly unknown[];
}

/** The field of a message that is a list of many. */
interface ListField {
  readonly field: string;
  readonly pack: (item: never, rows: RowWriter) => void;
  readonly unpack: (rows: RowReader) => unknown;
}

const REPORTS: ListField = { field: 'reports', pack: packReport, unpack: unpackReport };

/** By kind of message. */
const LISTS: ReadonlyMap<unknown, ListField> = new Map([
  ['extract-ranges', { field: 'ranges', pack: packRange, unpack: unpackRange }],
  ['tokens', { field: 'tokens', pack: packToken, unpack: unpackToken }],
  ['ask', REPORTS],
  ['closed', REPORTS],
  ['leave', REPORTS],
]);

type Fields = Record<string, unknown>;

/** The bytes belong to the caller. */
export function encodeMessage(message: unknown): Uint8Array {
  const list = listOf(message);
  if (list === undefined) return packr.pack(message);
  const fields = message as Fields;
  writer.begin();
  for (const item of fields[list.field] as readonly never[]) list.pack(item, writer);
  return packr.pack({ ...fields, [list.field]: writer.end() });
}

export function decodeMessage(bytes: Uint8Array): unknown {
  const message = unpackr.unpack(bytes);
  const list = listOf(message);
  if (list === undefined) return message;
  const fields = message as Fields;
  const rows = new RowReader(fields[list.field] as PackedList);
  const items: unknown[] = [];
  while (rows.hasMore()) items.push(list.unpack(rows));
  fields[list.field] = items;
  return fields;
}

function listOf(message: unknown): ListField | undefined {
  if (typeof message !== 'object' || message === null || !('kind' in message)) return undefined;
  return LISTS.get(message.kind);
}

// --- rows ------------------------------------------------------------------------------------------------------------

class RowWriter {
  #numbers = new Float64Array(1024);
  #count = 0;
  #texts: string[] = [];
  #others: unknown[] = [];

  begin(): void {
    this.#count = 0;
    this.#texts = [];
    this.#others = [];
  }

  number(value: number): void {
    if (this.#count === this.#numbers.length) {
      const larger = new Float64Array(2 * this.#count);
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers[this.#count] = value;
    this.#count += 1;
  }

  text(value: string): void {
    this.#texts.push(value);
  }

  other(value: unknown): void {
    this.#others.push(value);
  }

  /** `numbers` is a view that holds until the next `begin`. */
  end(): PackedList {
    return {
      numbers: new Uint8Array(this.#numbers.buffer, 0, 8 * this.#count),
      texts: this.#texts.join(TEXT_SEPARATOR),
      others: this.#others,
    };
  }
}

/** One at a time: packing a message is synchronous. */
const writer = new RowWriter();

class RowReader {
  readonly #numbers: Float64Array;
  readonly #texts: readonly string[];
  readonly #others: readonly unknown[];
  #nextNumber = 0;
  #nextText = 0;
  #nextOther = 0;

  constructor({ numbers, texts, others }: PackedList) {
    // The bytes lie anywhere in the message; numbers must be aligned.
    this.#numbers = new Float64Array(numbers.length / 8);
    new Uint8Array(this.#numbers.buffer).set(numbers);
    this.#texts = texts.split(TEXT_SEPARATOR);
    this.#others = others;
  }

  hasMore(): boolean {
    return this.#nextNumber < this.#numbers.length;
  }

  number(): number {
    return smallInteger(this.#numbers[this.#nextNumber++] ?? Number.NaN);
  }

  text(): string {
    return this.#texts[this.#nextText++] ?? '';
  }

  other(): unknown {
    return this.#others[this.#nextOther++];
  }
}

// --- pilot → token extractor -----------------------------------------------------------------------------------------

function packRange(range: LeasedRange, rows: RowWriter): void {
  rows.number(range.rangeIndex);
  rows.number(range.fileIndex);
  rows.number(range.startEvent);
  rows.number(range.lastEvent);
  rows.number(range.attemptNr);
  rows.number(range.failures);
  rows.number(range.suspect === true ? 1 : 0);
}

function unpackRange(rows: RowReader): LeasedRange {
  return {
    rangeIndex: rows.number(),
    fileIndex: rows.number(),
    startEvent: rows.number(),
    lastEvent: rows.number(),
    attemptNr: rows.number(),
    failures: rows.number(),
    suspect: rows.number() === 1,
  };
}

// --- token extractor → token scatterer → worker ----------------------------------------------------------------------

const SUSPECT = 1;
const HAS_FAILED_EVENTS = 2;

function packToken(token: RangeToken, rows: RowWriter): void {
  const { cuts, failedEvents } = token;
  rows.number(token.rangeIndex);
  rows.number(token.attemptNr);
  rows.number(token.fileIndex);
  rows.number(token.startEvent);
  rows.number(token.lastEvent);
  rows.number(token.failures);
  rows.number(token.offsetBytes);
  rows.number(token.lengthBytes);
  rows.number(token.frame);
  rows.number((token.suspect ? SUSPECT : 0) | (failedEvents === null ? 0 : HAS_FAILED_EVENTS));
  if (failedEvents !== null) rows.other(failedEvents);
  rows.number(cuts?.length ?? 0);
  if (cuts !== null) for (const cut of cuts) rows.number(cut);
}

function unpackToken(rows: RowReader): RangeToken {
  const rangeIndex = rows.number();
  const attemptNr = rows.number();
  const fileIndex = rows.number();
  const startEvent = rows.number();
  const lastEvent = rows.number();
  const failures = rows.number();
  const offsetBytes = rows.number();
  const lengthBytes = rows.number();
  const frame = rows.number();
  const flags = rows.number();
  const failedEvents = (flags & HAS_FAILED_EVENTS) === 0 ? null : (rows.other() as readonly FailedEvent[]);
  const cutCount = rows.number();
  const cuts = cutCount === 0 ? null : Array.from({ length: cutCount }, () => rows.number());
  const suspect = (flags & SUSPECT) !== 0;
  return {
    rangeIndex,
    attemptNr,
    fileIndex,
    startEvent,
    lastEvent,
    failures,
    offsetBytes,
    lengthBytes,
    cuts,
    frame,
    failedEvents,
    suspect,
  };
}

// --- worker → token scatterer ----------------------------------------------------------------------------------------

/** First number of a row: the report itself is among the `others`. */
const AS_IT_IS = -1;

function packReport(report: RangeReport, rows: RowWriter): void {
  if (report.kind === 'failed' || report.failedEvents !== null) {
    rows.number(AS_IT_IS);
    rows.other(report);
    return;
  }
  rows.number(report.rangeIndex);
  rows.number(report.attemptNr);
  rows.number(report.eventCount);
  rows.number(report.wallMs);
  rows.number(report.cpuMs);
  rows.number(report.copy ? 1 : 0);
  rows.number(report.outputs.length);
  for (const output of report.outputs) packOutput(output, rows);
}

function unpackReport(rows: RowReader): RangeReport {
  const rangeIndex = rows.number();
  if (rangeIndex === AS_IT_IS) return rows.other() as RangeReport;
  const attemptNr = rows.number();
  const eventCount = rows.number();
  const wallMs = rows.number();
  const cpuMs = rows.number();
  const copy = rows.number() === 1;
  const outputs: OutputRecord[] = [];
  for (let left = rows.number(); left > 0; left -= 1) outputs.push(unpackOutput(rows));
  return { kind: 'finished', rangeIndex, attemptNr, eventCount, failedEvents: null, outputs, wallMs, cpuMs, copy };
}

function packOutput(output: OutputRecord, rows: RowWriter): void {
  rows.text(output.stream);
  rows.text(output.file);
  rows.number(output.offsetBytes);
  rows.number(output.lengthBytes);
  rows.number(output.crc32);
  rows.number(output.recordCount);
  rows.number(output.headerBytes ?? -1);
}

function unpackOutput(rows: RowReader): OutputRecord {
  const output: OutputRecord = {
    stream: rows.text(),
    file: rows.text(),
    offsetBytes: rows.number(),
    lengthBytes: rows.number(),
    crc32: rows.number(),
    recordCount: rows.number(),
  };
  const headerBytes = rows.number();
  return headerBytes < 0 ? output : { ...output, headerBytes };
}
