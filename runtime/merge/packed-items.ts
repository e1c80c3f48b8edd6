/**
 * Merge items on their way to the merger thread: numbers in one transferred array and names in one string, instead of
 * an object graph that `postMessage` would clone field by field (several microseconds an item, on either side).
 */

import { assert } from '../../core/assert.ts';
import type { MergeItem, OutputRecord } from '../../core/dispatcher-api.ts';
import { smallInteger } from '../../core/small-integer.ts';

export interface PackedItems {
  /** for each item `ITEM_NUMBERS`, then for each of its outputs `OUTPUT_NUMBERS` */
  readonly numbers: Float64Array<ArrayBuffer>;
  /** names of streams, which the numbers refer to */
  readonly streams: readonly string[];
  /** files of the outputs, in order, joined by line feeds */
  readonly files: string;
}

/** rangeIndex, fileIndex, startEvent, lastEvent, count of outputs (-1: missing) */
const ITEM_NUMBERS = 5;
/** stream, offsetBytes, lengthBytes, headerBytes (-1: none), crc32, recordCount */
const OUTPUT_NUMBERS = 6;
const MISSING = -1;
const NO_HEADER = -1;

export function packItems(items: Iterable<MergeItem>): PackedItems {
  let numberCount = 0;
  for (const item of items) {
    numberCount += ITEM_NUMBERS + (item.kind === 'finished' ? item.outputs.length * OUTPUT_NUMBERS : 0);
  }
  const numbers = new Float64Array(numberCount);
  const streams: string[] = [];
  const files: string[] = [];
  let at = 0;
  for (const item of items) {
    numbers[at++] = item.rangeIndex;
    numbers[at++] = item.fileIndex;
    numbers[at++] = item.startEvent;
    numbers[at++] = item.lastEvent;
    numbers[at++] = item.kind === 'missing' ? MISSING : item.outputs.length;
    if (item.kind === 'missing') continue;
    for (const record of item.outputs) {
      let stream = streams.indexOf(record.stream);
      if (stream < 0) stream = streams.push(record.stream) - 1;
      numbers[at++] = stream;
      numbers[at++] = record.offsetBytes;
      numbers[at++] = record.lengthBytes;
      numbers[at++] = record.headerBytes ?? NO_HEADER;
      numbers[at++] = record.crc32;
      numbers[at++] = record.recordCount;
      files.push(record.file);
    }
  }
  return { numbers, streams, files: files.join('\n') };
}

/** Each item is made when it is asked for: thousands that are there at once cost their garbage collection. */
export function unpackItems(packed: PackedItems): Iterable<MergeItem> {
  return { [Symbol.iterator]: () => unpack(packed) };
}

function* unpack({ numbers, streams, files }: PackedItems): Generator<MergeItem> {
  let at = 0;
  let fileStart = 0;
  while (at < numbers.length) {
    const rangeIndex = smallInteger(numbers[at] as number);
    const fileIndex = smallInteger(numbers[at + 1] as number);
    const startEvent = smallInteger(numbers[at + 2] as number);
    const lastEvent = smallInteger(numbers[at + 3] as number);
    const outputCount = smallInteger(numbers[at + 4] as number);
    at += ITEM_NUMBERS;
    if (outputCount === MISSING) {
      yield { kind: 'missing', rangeIndex, fileIndex, startEvent, lastEvent };
      continue;
    }
    const outputs: OutputRecord[] = [];
    for (let index = 0; index < outputCount; index += 1) {
      const end = files.indexOf('\n', fileStart);
      const file = files.slice(fileStart, end < 0 ? undefined : end);
      fileStart = end < 0 ? files.length : end + 1;
      outputs.push(unpackOutput(numbers, at, streams, file));
      at += OUTPUT_NUMBERS;
    }
    yield { kind: 'finished', rangeIndex, fileIndex, startEvent, lastEvent, outputs };
  }
}

function unpackOutput(numbers: Float64Array, at: number, streams: readonly string[], file: string): OutputRecord {
  const stream = streams[numbers[at] as number];
  assert(stream !== undefined, 'packed items have a stream for each output');
  const offsetBytes = smallInteger(numbers[at + 1] as number);
  const lengthBytes = smallInteger(numbers[at + 2] as number);
  const headerBytes = smallInteger(numbers[at + 3] as number);
  const crc32 = smallInteger(numbers[at + 4] as number);
  const recordCount = smallInteger(numbers[at + 5] as number);
  return headerBytes === NO_HEADER
    ? { stream, file, offsetBytes, lengthBytes, crc32, recordCount }
    : { stream, file, offsetBytes, lengthBytes, headerBytes, crc32, recordCount };
}
