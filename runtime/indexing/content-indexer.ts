/**
 * Indexes the inflated content of one file while it streams by: recognises the format from the first bytes, then packs
 * what the format's indexer finds.
 */

import { GranuleError } from '../../core/errors.ts';
import type { FormatName, RunSegment } from '../../core/file-index.ts';
import { RECOGNISE_BYTES_MAX } from '../../core/limits.ts';
import type { Indexer } from '../../payloads/formats/event-format.ts';
import { INPUT_FORMAT_TITLES, recogniseFormat } from '../../payloads/formats/registry.ts';
import { EventChecksums } from './event-checksums.ts';
import { type NumberTable, NumberTableBuilder } from './number-blocks.ts';
import { PlaceBlockWriter } from './place-blocks.ts';

export interface IndexedEvents {
  readonly format: FormatName;
  readonly eventCount: number;
  readonly runSegments: readonly RunSegment[];
  /** see `place-blocks.ts` */
  readonly placeBlocks: readonly Uint8Array[];
  readonly numbers: NumberTable;
}

const FOUND_BYTES_SHOWN = 40;

/** What files begin with (in Latin-1) that could be read if they were written otherwise, and what to do about it. */
const OTHER_FORMS: readonly (readonly [start: string, remedy: string])[] = [
  ['\xff\xfe', 'this is text in UTF-16: save it as UTF-8'],
  ['\xfe\xff', 'this is text in UTF-16: save it as UTF-8'],
  ['\xef\xbb\xbfHepMC::', 'remove the byte order mark before the text'],
  ['\x1f\x8b', 'it is gzipped twice: unpack it once'],
  ['BZh', 'it is packed with bzip2: unpack it, or pack it with gzip'],
  ['\xfd7zXZ', 'it is packed with xz: unpack it, or pack it with gzip'],
  ['\x28\xb5\x2f\xfd', 'it is packed with zstd: unpack it, or pack it with gzip'],
  ['{', 'if it is NDJSON: its first line has to be valid JSON by itself, which knows no NaN and no Infinity'],
  ['PK\x03\x04', 'it is a zip archive: unpack it'],
];

export class ContentIndexer {
  readonly #places: PlaceBlockWriter;
  readonly #checksums: EventChecksums | undefined;
  readonly #numbers = new NumberTableBuilder();
  readonly #runSegments: RunSegment[] = [];
  #format: FormatName | undefined;
  #indexer: Indexer | undefined;
  /** what came before the format was recognised */
  #head: Buffer = Buffer.alloc(0);

  /** @param options.checksums keep a CRC-32 of each event, for a file that will be read from far away */
  constructor({ checksums }: { readonly checksums: boolean }) {
    this.#places = new PlaceBlockWriter({ checksums });
    if (checksums) this.#checksums = new EventChecksums((crc) => this.#places.setChecksum(crc));
  }

  /** @throws INPUT_UNRECOGNISED, INPUT_MALFORMED, INPUT_TRUNCATED */
  push(chunk: Uint8Array): void {
    if (this.#indexer !== undefined) {
      this.#feed(this.#indexer, chunk);
    } else if (this.#head.length === 0 && chunk.length >= RECOGNISE_BYTES_MAX) {
      this.#feed(this.#recognise(chunk.subarray(0, RECOGNISE_BYTES_MAX)), chunk);
    } else {
      this.#head = Buffer.concat([this.#head, chunk]);
      if (this.#head.length >= RECOGNISE_BYTES_MAX) this.#recogniseHead();
    }
  }

  /** @throws also INPUT_EMPTY */
  finish(): IndexedEvents {
    if (this.#indexer === undefined) {
      if (this.#head.toString('latin1').trim() === '') throw emptyFile('the file is empty');
      this.#recogniseHead();
    }
    this.#indexer?.end();
    const { eventCount } = this.#places;
    const format = this.#format;
    if (format === undefined || eventCount === 0) {
      throw emptyFile(`the file is valid ${format}, but holds no event`);
    }
    return {
      format,
      eventCount,
      runSegments: this.#runSegments,
      placeBlocks: this.#places.finish(),
      numbers: this.#numbers.finish(),
    };
  }

  #recogniseHead(): void {
    const head = this.#head;
    this.#head = Buffer.alloc(0);
    this.#feed(this.#recognise(head.subarray(0, RECOGNISE_BYTES_MAX)), head);
  }

  #feed(indexer: Indexer, chunk: Uint8Array): void {
    this.#checksums?.enter(chunk);
    indexer.push(chunk);
    this.#checksums?.leave();
  }

  #recognise(head: Uint8Array): Indexer {
    const format = recogniseFormat(head);
    if (format === undefined) {
      throw unrecognised(head);
    }
    this.#format = format.name;
    this.#indexer = format.createIndexer({
      event: (offsetBytes, lengthBytes, eventNumber, runNumber) => {
        this.#places.add(offsetBytes, lengthBytes);
        this.#checksums?.event(offsetBytes, lengthBytes);
        this.#numbers.add(this.#places.eventCount, eventNumber, runNumber);
      },
      runSegment: (offsetBytes, lengthBytes) => {
        this.#runSegments.push({ firstPosition: this.#places.eventCount + 1, offsetBytes, lengthBytes });
      },
    });
    return this.#indexer;
  }
}

function unrecognised(head: Uint8Array): GranuleError {
  const found = Buffer.from(head.subarray(0, FOUND_BYTES_SHOWN)).toString('latin1');
  const otherForm = OTHER_FORMS.find(([start]) => found.startsWith(start));
  return new GranuleError('INPUT_UNRECOGNISED', `the file begins with ${JSON.stringify(found)}: no event format`, {
    details: { firstBytes: found },
    remedy: otherForm?.[1] ?? `give files in one of the formats that are read: ${INPUT_FORMAT_TITLES}`,
  });
}

function emptyFile(message: string): GranuleError {
  return new GranuleError('INPUT_EMPTY', message, { remedy: 'leave it out, or have its maker write it again' });
}
