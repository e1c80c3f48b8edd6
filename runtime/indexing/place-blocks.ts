/**
 * Where events lie, packed: blocks of {@link EVENTS_PER_BLOCK} consecutive events. Events of a file mostly follow each
 * other without a gap and have similar lengths, so an event costs one or two bytes.
 *
 * ```text
 * block = flags (bit 0: there are gaps, bit 1: lengths differ, bit 2: there are checksums), offset of the first event,
 *         smallest length, [gap before each event but the first], [length minus the smallest, of each event],
 *         [CRC-32 of each event]
 * ```
 *
 * All numbers are varints, but for checksums: 4 bytes each, little-endian. Only files that are read from far away have those:
 * bytes that were changed on the way, or by a server, are then noticed event by event.
 */
import { VarintReader, VarintWriter } from './varint.ts';

/** A block stays well below half a database page, and unpacking one takes about a microsecond. */
export const EVENTS_PER_BLOCK = 128;

const HAS_GAPS = 1;
const LENGTHS_DIFFER = 2;
const HAS_CHECKSUMS = 4;

/** Packs events as an indexer finds them. */
export class PlaceBlockWriter {
  readonly #blocks: Uint8Array[] = [];
  readonly #writer = new VarintWriter();
  readonly #offsets = new Float64Array(EVENTS_PER_BLOCK);
  readonly #lengths = new Uint32Array(EVENTS_PER_BLOCK);
  readonly #checksums: Uint32Array | undefined;
  /** events in the block that is not full yet */
  #pending = 0;
  #eventCount = 0;

  constructor({ checksums }: { readonly checksums: boolean }) {
    if (checksums) this.#checksums = new Uint32Array(EVENTS_PER_BLOCK);
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  add(offsetBytes: number, lengthBytes: number): void {
    // Not as soon as it is full: the checksum of the last event may come after it.
    if (this.#pending === EVENTS_PER_BLOCK) this.#pack();
    this.#offsets[this.#pending] = offsetBytes;
    this.#lengths[this.#pending] = lengthBytes;
    this.#pending += 1;
    this.#eventCount += 1;
  }

  /** Of the event added last, before another is added. */
  setChecksum(crc: number): void {
    if (this.#checksums !== undefined) this.#checksums[this.#pending - 1] = crc;
  }

  /** All blocks; nothing may be added after. */
  finish(): readonly Uint8Array[] {
    if (this.#pending > 0) this.#pack();
    return this.#blocks;
  }

  #pack(): void {
    const count = this.#pending;
    const offsets = this.#offsets;
    const lengths = this.#lengths;
    let flags = this.#checksums === undefined ? 0 : HAS_CHECKSUMS;
    let smallest = lengths[0] ?? 0;
    for (let index = 1; index < count; index += 1) {
      const length = lengths[index] ?? 0;
      if (length !== smallest) flags |= LENGTHS_DIFFER;
      if (length < smallest) smallest = length;
      if (gapBefore(offsets, lengths, index) !== 0) flags |= HAS_GAPS;
    }
    this.#writer.byte(flags);
    this.#writer.unsigned(offsets[0] ?? 0);
    this.#writer.unsigned(smallest);
    if (flags & HAS_GAPS) {
      for (let index = 1; index < count; index += 1) this.#writer.unsigned(gapBefore(offsets, lengths, index));
    }
    if (flags & LENGTHS_DIFFER) {
      for (let index = 0; index < count; index += 1) this.#writer.unsigned((lengths[index] ?? 0) - smallest);
    }
    for (let index = 0; index < count && this.#checksums !== undefined; index += 1) {
      const crc = this.#checksums[index] ?? 0;
      for (let shift = 0; shift < 32; shift += 8) this.#writer.byte((crc >>> shift) & 0xff);
    }
    this.#blocks.push(this.#writer.take());
    this.#pending = 0;
  }
}

function gapBefore(offsets: Float64Array, lengths: Uint32Array, index: number): number {
  return (offsets[index] ?? 0) - (offsets[index - 1] ?? 0) - (lengths[index - 1] ?? 0);
}

export interface PlaceBlock {
  readonly offsets: Float64Array;
  readonly lengths: Uint32Array;
  /** undefined for a file without checksums */
  readonly checksums: Uint32Array | undefined;
}

export function hasChecksums(block: Uint8Array): boolean {
  return ((block[0] ?? 0) & HAS_CHECKSUMS) !== 0;
}

/** @param count events in the block */
export function unpackPlaceBlock(bytes: Uint8Array, count: number): PlaceBlock {
  const reader = new VarintReader(bytes);
  const offsets = new Float64Array(count);
  const lengths = new Uint32Array(count);
  const flags = reader.byte();
  let offset = reader.unsigned();
  const smallest = reader.unsigned();
  if (flags & HAS_GAPS) {
    for (let index = 1; index < count; index += 1) offsets[index] = reader.unsigned();
  }
  for (let index = 0; index < count; index += 1) {
    offset += offsets[index] ?? 0;
    offsets[index] = offset;
    const length = flags & LENGTHS_DIFFER ? smallest + reader.unsigned() : smallest;
    lengths[index] = length;
    offset += length;
  }
  const checksums = flags & HAS_CHECKSUMS ? new Uint32Array(count) : undefined;
  for (let index = 0; index < count && checksums !== undefined; index += 1) {
    checksums[index] = reader.byte() | (reader.byte() << 8) | (reader.byte() << 16) | (reader.byte() << 24);
  }
  return { offsets, lengths, checksums };
}
