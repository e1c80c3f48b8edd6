/**
 * Writes entries of a tree as msgpack (https://github.com/msgpack/msgpack/blob/master/spec.md), one after the other into
 * one buffer: `{ branch: value }` with the branches in the order given. Plain msgpack, without extensions, so that
 * payloads in any language can read it. No value is rounded:
 *
 * - elements of a `Float32Array` or `Float64Array` are floats of that width
 * - any other number is an integer if it is a safe one, else a 32-bit float if that is exact, else a 64-bit one
 * - a bigint is a 64-bit integer; typed arrays are arrays; objects are maps without functions and members named `$…`
 */
import { GranuleError } from '../../core/errors.ts';
import { ENTRY_DEPTH_MAX, EVENT_BYTES_MAX } from '../../core/limits.ts';

const FIRST_CAPACITY = 64 * 1024;
/** The longest piece of fixed length: an integer or float with its type. */
const SCALAR_BYTES = 9;

export interface EncodedEntries {
  /** the entries, one after the other; the receiver's */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** where each entry ends */
  readonly ends: Float64Array<ArrayBuffer>;
}

export class RootEntryEncoder {
  readonly #branches: readonly string[];
  /** names, packed */
  readonly #keys: readonly Buffer[];
  #buffer = Buffer.allocUnsafeSlow(FIRST_CAPACITY);
  #length = 0;
  #ends: number[] = [];

  constructor(branches: readonly string[]) {
    this.#branches = branches;
    this.#keys = branches.map(packText);
  }

  /** What the names cost in each entry. */
  get nameBytes(): number {
    return this.#keys.reduce((sum, key) => sum + key.length, 0);
  }

  /** @throws INPUT_ROOT_FAILED naming the branch, for a value that has no form in msgpack, or an entry that is too large */
  add(values: Readonly<Record<string, unknown>>): void {
    const start = this.#length;
    this.#head(this.#branches.length, MAP_HEADS);
    for (let index = 0; index < this.#branches.length; index += 1) {
      const name = this.#branches[index] ?? '';
      const key = this.#keys[index];
      if (key !== undefined) this.#copy(key);
      this.#value(values[name], name, 0);
      if (this.#length - start > EVENT_BYTES_MAX) {
        throw unwritable(name, `the entry has more than ${EVENT_BYTES_MAX} bytes with it`);
      }
    }
    this.#ends.push(this.#length);
  }

  /** What was added since the last call. */
  take(): EncodedEntries {
    const bytes = new Uint8Array(this.#length);
    bytes.set(this.#buffer.subarray(0, this.#length));
    const ends = Float64Array.from(this.#ends);
    this.#length = 0;
    this.#ends = [];
    return { bytes, ends };
  }

  #value(value: unknown, branch: string, depth: number): void {
    if (typeof value === 'number') this.#number(value);
    else if (typeof value === 'bigint') this.#bigint(value, branch);
    else if (typeof value === 'string') this.#copy(packText(value));
    else if (typeof value === 'boolean') this.#byte(value ? 0xc3 : 0xc2);
    else if (value === undefined || value === null) this.#byte(0xc0);
    else if (typeof value !== 'object') throw unwritable(branch, `it holds a ${typeof value}`);
    else if (depth < ENTRY_DEPTH_MAX) this.#object(value, branch, depth);
    else throw unwritable(branch, `it is nested deeper than ${ENTRY_DEPTH_MAX} levels`);
  }

  #object(value: object, branch: string, depth: number): void {
    if (value instanceof Float32Array) this.#floats(value, 0xca, 4);
    else if (value instanceof Float64Array) this.#floats(value, 0xcb, 8);
    else if (Array.isArray(value) || isTypedArray(value)) this.#array(value, branch, depth);
    else this.#members(value, branch, depth);
  }

  #array(values: ArrayLike<unknown>, branch: string, depth: number): void {
    this.#head(values.length, ARRAY_HEADS);
    for (let index = 0; index < values.length; index += 1) this.#value(values[index], branch, depth + 1);
  }

  #members(value: object, branch: string, depth: number): void {
    const members = Object.entries(value).filter(([key, member]) => typeof member !== 'function' && key[0] !== '$');
    this.#head(members.length, MAP_HEADS);
    for (const [key, member] of members) {
      this.#copy(packText(key));
      this.#value(member, branch, depth + 1);
    }
  }

  #floats(values: Float32Array | Float64Array, type: number, width: 4 | 8): void {
    this.#head(values.length, ARRAY_HEADS);
    this.#reserve(values.length * (1 + width));
    for (let index = 0; index < values.length; index += 1) {
      this.#buffer[this.#length] = type;
      if (width === 4) this.#buffer.writeFloatBE(values[index] ?? 0, this.#length + 1);
      else this.#buffer.writeDoubleBE(values[index] ?? 0, this.#length + 1);
      this.#length += 1 + width;
    }
  }

  #number(value: number): void {
    this.#reserve(SCALAR_BYTES);
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      this.#integer(value);
      return;
    }
    const narrow = Object.is(Math.fround(value), value);
    this.#buffer[this.#length] = narrow ? 0xca : 0xcb;
    if (narrow) this.#buffer.writeFloatBE(value, this.#length + 1);
    else this.#buffer.writeDoubleBE(value, this.#length + 1);
    this.#length += narrow ? 5 : 9;
  }

  /** A safe integer in the shortest form; room is reserved. */
  #integer(value: number): void {
    if (value >= -32 && value < 128) this.#byte(value & 0xff);
    else if (value >= -128 && value < 256) this.#tagged(value < 0 ? 0xd0 : 0xcc, value, 1);
    else if (value >= -0x8000 && value < 0x1_0000) this.#tagged(value < 0 ? 0xd1 : 0xcd, value, 2);
    else if (value >= -0x8000_0000 && value < 0x1_0000_0000) this.#tagged(value < 0 ? 0xd2 : 0xce, value, 4);
    else this.#wide(BigInt(value));
  }

  /** @param value of either sign, in two's complement where it is negative */
  #tagged(type: number, value: number, width: 1 | 2 | 4): void {
    this.#buffer[this.#length] = type;
    if (value < 0) this.#buffer.writeIntBE(value, this.#length + 1, width);
    else this.#buffer.writeUIntBE(value, this.#length + 1, width);
    this.#length += 1 + width;
  }

  #bigint(value: bigint, branch: string): void {
    if (BigInt.asIntN(64, value) !== value && BigInt.asUintN(64, value) !== value) {
      throw unwritable(branch, 'it holds an integer of more than 64 bits');
    }
    this.#reserve(SCALAR_BYTES);
    this.#wide(value);
  }

  #wide(value: bigint): void {
    this.#buffer[this.#length] = value < 0n ? 0xd3 : 0xcf;
    this.#buffer.writeBigUInt64BE(BigInt.asUintN(64, value), this.#length + 1);
    this.#length += 9;
  }

  /** The head of an array or map. */
  #head(count: number, heads: Heads): void {
    this.#reserve(SCALAR_BYTES);
    if (count < 16) {
      this.#byte(heads.short + count);
      return;
    }
    const width = count < 0x1_0000 ? 2 : 4;
    this.#tagged(width === 2 ? heads.in16Bits : heads.in32Bits, count, width);
  }

  #byte(byte: number): void {
    this.#reserve(1);
    this.#buffer[this.#length] = byte;
    this.#length += 1;
  }

  #copy(bytes: Buffer): void {
    this.#reserve(bytes.length);
    bytes.copy(this.#buffer, this.#length);
    this.#length += bytes.length;
  }

  #reserve(byteCount: number): void {
    const needed = this.#length + byteCount;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#buffer.length));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }
}

interface Heads {
  /** plus the count, up to 15 */
  readonly short: number;
  readonly in16Bits: number;
  readonly in32Bits: number;
}

const ARRAY_HEADS: Heads = { short: 0x90, in16Bits: 0xdc, in32Bits: 0xdd };
const MAP_HEADS: Heads = { short: 0x80, in16Bits: 0xde, in32Bits: 0xdf };

/** A text in its shortest form. */
function packText(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  const { length } = bytes;
  if (length < 32) return Buffer.concat([Buffer.of(0xa0 + length), bytes]);
  if (length < 0x100) return Buffer.concat([Buffer.of(0xd9, length), bytes]);
  const head = Buffer.alloc(length < 0x1_0000 ? 3 : 5);
  head[0] = head.length === 3 ? 0xda : 0xdb;
  head.writeUIntBE(length, 1, head.length - 1);
  return Buffer.concat([head, bytes]);
}

function isTypedArray(value: object): value is Uint8Array {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

function unwritable(branch: string, reason: string): GranuleError {
  return new GranuleError('INPUT_ROOT_FAILED', `branch ${branch} cannot be handed to a payload: ${reason}`, {
    details: { branch },
    remedy: `leave it out: --branches '*,!${branch}'`,
  });
}
