/**
 * A chunk as bytes in the store. Layout, all counts as unsigned LEB128:
 *
 * ```
 * 1     format (1)
 * 1     form of the words: 0 runs, 1 narrow, 2 wide
 * n     number of words (submitted ones at the end are left out)
 * words runs: (length, word)*   narrow: 2 bytes each   wide: 4 bytes each, little endian
 * m     number of runs of owners, then (gap of ranges, length, PandaID)*
 * k     number of execution lengths, then one byte each
 * 4     CRC-32 of all before, little endian
 * ```
 *
 * `running` is written as `sent`: what a worker does is known in memory only. A merged chunk is runs and lengths: about
 * a byte a range.
 */
import { crc32 } from 'node:zlib';
import { RANGES_PER_CHUNK } from '../core/limits.ts';
import { RANGE_STATES } from '../core/states.ts';
import { Chunk } from './chunk.ts';
import { attemptOf, failuresOf, isHeld, lossesOf, makeWord, stateOf } from './range-word.ts';

const FORMAT = 1;
const WORDS_AS_RUNS = 0;
const WORDS_NARROW = 1;
const WORDS_WIDE = 2;

const NARROW_FAILURES_MAX = 7;
const NARROW_LOSSES_MAX = 15;
const NARROW_ATTEMPT_MAX = 31;

const { sent, running } = RANGE_STATES;

/** The worst case: words in wide form, an owner run a range, all lengths. */
const SCRATCH_BYTES = 64 + RANGES_PER_CHUNK * (4 + 7 + 1);
const scratch = Buffer.alloc(SCRATCH_BYTES);
let position = 0;

function putCount(value: number): void {
  let rest = value;
  while (rest > 127) {
    scratch[position++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  scratch[position++] = rest;
}

function storedWord(word: number): number {
  return (word & 15) === running ? word - running + sent : word;
}

/** Bytes of their own, safe to keep. */
export function encodeChunk(chunk: Chunk): Uint8Array {
  position = 0;
  scratch[position++] = FORMAT;
  putWords(chunk);
  putOwners(chunk);
  let lengthCount = RANGES_PER_CHUNK;
  while (lengthCount > 0 && chunk.lengths[lengthCount - 1] === 0) lengthCount -= 1;
  putCount(lengthCount);
  scratch.set(chunk.lengths.subarray(0, lengthCount), position);
  position += lengthCount;
  scratch.writeUInt32LE(crc32(scratch.subarray(0, position)), position);
  return Uint8Array.prototype.slice.call(scratch, 0, position + 4);
}

function putWords(chunk: Chunk): void {
  const { words } = chunk;
  let count = RANGES_PER_CHUNK;
  while (count > 0 && words[count - 1] === 0) count -= 1;
  let runCount = 0;
  let previous = -1;
  let narrow = true;
  for (let offset = 0; offset < count; offset += 1) {
    const word = storedWord(words[offset] as number);
    if (word === previous) continue;
    previous = word;
    runCount += 1;
    narrow &&=
      failuresOf(word) <= NARROW_FAILURES_MAX &&
      lossesOf(word) <= NARROW_LOSSES_MAX &&
      attemptOf(word) <= NARROW_ATTEMPT_MAX;
  }
  // A run takes four bytes as a rule: one of length, three of word.
  const form = runCount * 4 < count * 2 ? WORDS_AS_RUNS : narrow ? WORDS_NARROW : WORDS_WIDE;
  scratch[position++] = form;
  putCount(count);
  for (let offset = 0; offset < count; ) {
    const word = storedWord(words[offset] as number);
    if (form === WORDS_AS_RUNS) {
      let end = offset + 1;
      while (end < count && storedWord(words[end] as number) === word) end += 1;
      putCount(end - offset);
      putCount(word);
      offset = end;
      continue;
    }
    if (form === WORDS_NARROW) {
      const packed = stateOf(word) | (failuresOf(word) << 4) | (lossesOf(word) << 7) | (attemptOf(word) << 11);
      position = scratch.writeUInt16LE(packed, position);
    } else position = scratch.writeUInt32LE(word, position);
    offset += 1;
  }
}

function putOwners(chunk: Chunk): void {
  const { words } = chunk;
  const runs: number[] = [];
  if (chunk.heldCount > 0) {
    let after = 0;
    for (let offset = 0; offset < RANGES_PER_CHUNK; ) {
      if (!isHeld(words[offset] as number)) {
        offset += 1;
        continue;
      }
      const owner = chunk.ownerAt(offset);
      let end = offset + 1;
      while (end < RANGES_PER_CHUNK && isHeld(words[end] as number) && chunk.ownerAt(end) === owner) end += 1;
      runs.push(offset - after, end - offset, owner);
      after = end;
      offset = end;
    }
  }
  putCount(runs.length / 3);
  for (const number of runs) putCount(number);
}

/** Thrown for bytes that no {@link encodeChunk} has made. */
export class DamagedChunk extends Error {
  override readonly name = 'DamagedChunk';
}

/** Throws {@link DamagedChunk} when checksum or layout do not hold. */
export function decodeChunk(index: number, bytes: Uint8Array): Chunk {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = view.length - 4;
  if (end < 5 || view.readUInt32LE(end) !== crc32(view.subarray(0, end))) {
    throw new DamagedChunk(`checksum of a chunk of ${bytes.length} bytes does not match`);
  }
  if (view[0] !== FORMAT) throw new DamagedChunk(`chunk format ${view[0]} is unknown`);
  const chunk = new Chunk(index);
  const reader = new CountReader(view, 2);
  getWords(chunk, view[1] as number, reader);
  const runCount = reader.next();
  for (let run = 0, offset = 0; run < runCount; run += 1) {
    offset += reader.next();
    const runEnd = offset + reader.next();
    const owner = reader.next();
    for (; offset < runEnd; offset += 1) chunk.setOwner(offset, owner);
  }
  const lengthCount = reader.next();
  chunk.lengths.set(view.subarray(reader.position, reader.position + lengthCount));
  if (reader.position + lengthCount !== end) throw new DamagedChunk('a chunk ends at the wrong place');
  chunk.recount();
  return chunk;
}

function getWords(chunk: Chunk, form: number, reader: CountReader): void {
  const count = reader.next();
  if (count > RANGES_PER_CHUNK) throw new DamagedChunk(`a chunk of ${count} ranges`);
  for (let offset = 0; offset < count; ) {
    if (form === WORDS_AS_RUNS) {
      const length = reader.next();
      chunk.words.fill(reader.next(), offset, offset + length);
      offset += length;
    } else if (form === WORDS_NARROW) {
      const packed = reader.nextUInt16();
      const state = (packed & 15) as ReturnType<typeof stateOf>;
      chunk.words[offset++] = makeWord(state, (packed >> 4) & 7, (packed >> 7) & 15, packed >> 11);
    } else chunk.words[offset++] = reader.nextUInt32();
  }
}

class CountReader {
  readonly #view: Buffer;
  position: number;

  constructor(view: Buffer, position: number) {
    this.#view = view;
    this.position = position;
  }

  next(): number {
    let value = 0;
    let shift = 0;
    for (;;) {
      const byte = this.#view[this.position++] ?? 0;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
      shift += 7;
    }
  }

  nextUInt16(): number {
    this.position += 2;
    return this.#view.readUInt16LE(this.position - 2);
  }

  nextUInt32(): number {
    this.position += 4;
    return this.#view.readUInt32LE(this.position - 4);
  }
}
