/**
 * A chunk as bytes in the store. Counts are unsigned LEB128, arrays little endian (which is every machine that Node and
 * LMDB run on here; a store is not carried between machines of different order anyway).
 *
 * ```
 * 1     format (1)
 * 1     form of the words: 0 runs, 1 narrow, 2 wide
 * n     number of words (submitted ones at the end are left out)
 * words runs: (length, word)*   narrow: 2 bytes each   wide: 4 bytes each
 * 1     form of the owners of held ranges, in order: 0 runs, 1 array
 * m     number of runs, then (length, PandaID)*; or number of held ranges, then 4 bytes each
 * k     number of execution lengths, then one byte each
 * 4     CRC-32 of all before
 * ```
 *
 * `running` is written as `sent`: what a worker does is known in memory only. A merged chunk is runs and lengths: about
 * a byte a range.
 */
import { crc32 } from 'node:zlib';
import { GranuleError } from '../core/errors.ts';
import { RANGES_PER_CHUNK } from '../core/limits.ts';
import { RANGE_STATES } from '../core/states.ts';
import { Chunk } from './chunk.ts';
import { heldBit, isHeld, type RangeWord } from './range-word.ts';

const FORMAT = 1;
const AS_RUNS = 0;
const NARROW = 1;
const WIDE = 2;
const AS_ARRAY = 1;

/** Parts of a word that fit the narrow form: state, failures to 7, losses to 15, attempts to 31. */
const NARROW_PARTS = 15 | (7 << 4) | (15 << 10) | (31 << 16);

const { sent, running } = RANGE_STATES;

/** The worst case: wide words, an owner each, all lengths. */
const scratch = new Uint8Array(64 + RANGES_PER_CHUNK * (4 + 5 + 1));
const scratchView = new DataView(scratch.buffer);
let position = 0;

/** What is being encoded, in either form. */
const words = new Int32Array(RANGES_PER_CHUNK);
const narrowWords = new Uint16Array(RANGES_PER_CHUNK);
const owners = new Uint32Array(RANGES_PER_CHUNK);

function putCount(value: number): void {
  let rest = value;
  while (rest > 127) {
    scratch[position++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  scratch[position++] = rest;
}

function putArray(array: Int32Array | Uint16Array | Uint32Array, count: number): void {
  const byteCount = count * array.BYTES_PER_ELEMENT;
  scratch.set(new Uint8Array(array.buffer, 0, byteCount), position);
  position += byteCount;
}

function putRuns(array: Int32Array | Uint32Array, count: number): void {
  for (let offset = 0; offset < count; ) {
    const value = array[offset] as number;
    let end = offset + 1;
    while (end < count && array[end] === value) end += 1;
    putCount(end - offset);
    putCount(value);
    offset = end;
  }
}

/** Bytes of their own, safe to keep. */
export function encodeChunk(chunk: Chunk): Uint8Array {
  position = 0;
  scratch[position++] = FORMAT;
  putWords(chunk);
  putOwners(chunk);
  const { lengths } = chunk;
  let lengthCount = RANGES_PER_CHUNK;
  while (lengthCount > 0 && lengths[lengthCount - 1] === 0) lengthCount -= 1;
  putCount(lengthCount);
  scratch.set(lengths.subarray(0, lengthCount), position);
  position += lengthCount;
  scratchView.setUint32(position, crc32(scratch.subarray(0, position)), true);
  return scratch.slice(0, position + 4);
}

/** 1 for zero, 0 for any other whole number: without a branch, since a chunk's words are in random states. */
function isZero(value: number): number {
  return ((value | -value) >>> 31) ^ 1;
}

/** As it is stored. */
function storedWord(word: RangeWord): RangeWord {
  return word - isZero((word & 15) ^ running) * (running - sent);
}

function putWords(chunk: Chunk): void {
  const present = chunk.words;
  let count = RANGES_PER_CHUNK;
  while (count > 0 && present[count - 1] === 0) count -= 1;
  let runCount = 0;
  let previous = -1;
  let parts = 0;
  // The narrow form in the same pass: it is what a chunk with work left has as a rule.
  for (let offset = 0; offset < count; offset += 1) {
    const word = storedWord(present[offset] as RangeWord);
    narrowWords[offset] = (word & 127) | (((word >> 10) & 15) << 7) | ((word >> 16) << 11);
    parts |= word;
    runCount += 1 - isZero(word ^ previous);
    previous = word;
  }
  // A run takes four bytes as a rule: one of length, three of word.
  const form = runCount * 4 < count * 2 ? AS_RUNS : (parts & ~NARROW_PARTS) === 0 ? NARROW : WIDE;
  scratch[position++] = form;
  putCount(count);
  if (form === NARROW) {
    putArray(narrowWords, count);
    return;
  }
  for (let offset = 0; offset < count; offset += 1) words[offset] = storedWord(present[offset] as RangeWord);
  if (form === AS_RUNS) putRuns(words, count);
  else putArray(words, count);
}

function wideWord(narrow: number): RangeWord {
  return (narrow & 127) | (((narrow >> 7) & 15) << 10) | ((narrow >> 11) << 16);
}

function putOwners(chunk: Chunk): void {
  let count = 0;
  let runCount = 0;
  let previous = -1;
  for (let offset = 0; count < chunk.heldCount; offset += 1) {
    owners[count] = chunk.ownerAt(offset);
    count += heldBit(chunk.wordAt(offset));
  }
  for (let held = 0; held < count; held += 1) {
    const owner = owners[held] as number;
    if (owner !== previous) runCount += 1;
    previous = owner;
  }
  const form = runCount * 2 > count ? AS_ARRAY : AS_RUNS;
  scratch[position++] = form;
  putCount(form === AS_ARRAY ? count : runCount);
  if (form === AS_ARRAY) putArray(owners, count);
  else putRuns(owners, count);
}

/** Thrown for bytes that no {@link encodeChunk} has made. */
export class DamagedChunk extends Error {
  override readonly name = 'DamagedChunk';
}

/** Throws {@link DamagedChunk} when checksum or layout do not hold. */
export function decodeChunk(index: number, bytes: Uint8Array): Chunk {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = view.length - 4;
  if (end < 6 || view.readUInt32LE(end) !== crc32(view.subarray(0, end))) {
    throw new DamagedChunk(`checksum of a chunk of ${bytes.length} bytes does not match`);
  }
  if (view[0] !== FORMAT) throw new DamagedChunk(`chunk format ${view[0]} is unknown`);
  const chunk = new Chunk(index);
  const reader = new ChunkReader(view);
  getWords(chunk, reader);
  chunk.recount();
  getOwners(chunk, reader);
  const lengthCount = reader.count();
  if (lengthCount > RANGES_PER_CHUNK) throw new DamagedChunk(`a chunk of ${lengthCount} execution lengths`);
  chunk.lengths.set(view.subarray(reader.position, reader.position + lengthCount));
  if (reader.position + lengthCount !== end) throw new DamagedChunk('a chunk ends at the wrong place');
  return chunk;
}

/** As {@link decodeChunk}, for what lies in a store: throws `STORE_FAILED` naming task and chunk. */
export function readStoredChunk(taskID: number, index: number, bytes: Uint8Array): Chunk {
  try {
    return decodeChunk(index, bytes);
  } catch (cause) {
    if (!(cause instanceof DamagedChunk)) throw cause;
    throw new GranuleError('STORE_FAILED', `chunk ${index} of task ${taskID} is damaged: ${cause.message}`, {
      details: { taskID, chunk: index },
      cause,
      remedy: 'check the disk; run into a new output folder (the input files are untouched)',
    });
  }
}

function getWords(chunk: Chunk, reader: ChunkReader): void {
  const form = reader.byte();
  const count = reader.count();
  if (count > RANGES_PER_CHUNK) throw new DamagedChunk(`a chunk of ${count} ranges`);
  for (let offset = 0; offset < count; ) {
    if (form === AS_RUNS) {
      const length = reader.count();
      if (length === 0) throw new DamagedChunk('a chunk has an empty run');
      chunk.words.fill(reader.count(), offset, offset + length);
      offset += length;
    } else chunk.words[offset++] = form === NARROW ? wideWord(reader.uint16()) : reader.uint32();
  }
}

function getOwners(chunk: Chunk, reader: ChunkReader): void {
  const asArray = reader.byte() === AS_ARRAY;
  let left = reader.count();
  if (left === 0) return;
  let offset = 0;
  for (; left > 0; left -= 1) {
    const length = asArray ? 1 : reader.count();
    const owner = asArray ? reader.uint32() : reader.count();
    for (let given = 0; given < length && offset < RANGES_PER_CHUNK; offset += 1) {
      if (!isHeld(chunk.wordAt(offset))) continue;
      chunk.setOwner(offset, owner);
      given += 1;
    }
  }
}

class ChunkReader {
  readonly #view: Buffer;
  position = 1;

  constructor(view: Buffer) {
    this.#view = view;
  }

  byte(): number {
    return this.#view[this.#pass(1)] as number;
  }

  count(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  uint16(): number {
    return this.#view.readUInt16LE(this.#pass(2));
  }

  uint32(): number {
    return this.#view.readUInt32LE(this.#pass(4));
  }

  /** Where the bytes that are passed begin. */
  #pass(byteCount: number): number {
    const from = this.position;
    this.position += byteCount;
    if (this.position > this.#view.length) throw new DamagedChunk('a chunk is cut');
    return from;
  }
}
