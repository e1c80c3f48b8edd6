/**
 * What `prepare` returned, written to a file for workers that are processes. In each process SharedArrayBuffers are
 * SharedArrayBuffers again, with the same views over them, but a copy of its own (only threads share memory).
 *
 * V8's serialisation cannot carry SharedArrayBuffers to another process, so placeholders stand in for them and for views
 * over them, and their bytes follow. Layout: length of the serialised part, number of buffers, length of each (Float64),
 * the serialised part, the bytes of each buffer.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { deserialize, serialize } from 'node:v8';

/** Bytes moved by one call: below what the system moves at once. */
const PIECE_BYTES = 64 * 1024 * 1024;

const PLACEHOLDER = 'granule:shared-buffer';

interface Placeholder {
  readonly [PLACEHOLDER]: number;
  /** constructor of a view; the buffer itself when null */
  readonly view: string | null;
  readonly byteOffset: number;
  /** elements, or bytes of a DataView */
  readonly length: number;
}

type ViewConstructor = new (buffer: SharedArrayBuffer, byteOffset: number, length: number) => ArrayBufferView;

const VIEWS: Readonly<Record<string, ViewConstructor>> = {
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
};

/** Writes the file anew. @param value anything that can be cloned to a thread without transfer */
export function writeSharedData(path: string, value: unknown): void {
  const buffers: SharedArrayBuffer[] = [];
  const body = serialize(replaceDeep(value, (part) => placeholderOf(part, buffers)));
  const lengths = Float64Array.of(body.length, buffers.length, ...buffers.map((buffer) => buffer.byteLength));
  const fd = openSync(path, 'w');
  try {
    writeAll(fd, new Uint8Array(lengths.buffer));
    writeAll(fd, body);
    for (const buffer of buffers) writeAll(fd, new Uint8Array(buffer));
  } finally {
    closeSync(fd);
  }
}

export function readSharedData(path: string): unknown {
  const fd = openSync(path, 'r');
  try {
    const [bodyBytes = 0, bufferCount = 0] = readFloats(fd, 2);
    const lengths = readFloats(fd, bufferCount);
    const body = Buffer.alloc(bodyBytes);
    readAll(fd, body);
    const buffers = Array.from(lengths, (length) => new SharedArrayBuffer(length));
    for (const buffer of buffers) readAll(fd, new Uint8Array(buffer));
    return replaceDeep(deserialize(body), (part) => sharedOf(part, buffers));
  } finally {
    closeSync(fd);
  }
}

function placeholderOf(part: object, buffers: SharedArrayBuffer[]): Placeholder | undefined {
  if (part instanceof SharedArrayBuffer) {
    return { [PLACEHOLDER]: idOf(part, buffers), view: null, byteOffset: 0, length: part.byteLength };
  }
  if (!ArrayBuffer.isView(part) || !(part.buffer instanceof SharedArrayBuffer)) return undefined;
  return {
    [PLACEHOLDER]: idOf(part.buffer, buffers),
    view: (part as Uint8Array)[Symbol.toStringTag],
    byteOffset: part.byteOffset,
    length: part instanceof DataView ? part.byteLength : (part as Uint8Array).length,
  };
}

function idOf(buffer: SharedArrayBuffer, buffers: SharedArrayBuffer[]): number {
  const known = buffers.indexOf(buffer);
  return known >= 0 ? known : buffers.push(buffer) - 1;
}

function sharedOf(part: object, buffers: readonly SharedArrayBuffer[]): object | undefined {
  if (!(PLACEHOLDER in part)) return undefined;
  const { [PLACEHOLDER]: id, view, byteOffset, length } = part as Placeholder;
  const buffer = buffers[id];
  if (buffer === undefined) throw new Error(`the file of shared data has no buffer ${id}`);
  if (view === null) return buffer;
  const View = VIEWS[view];
  if (View === undefined) throw new Error(`the file of shared data names an unknown view ${view}`);
  return new View(buffer, byteOffset, length);
}

/**
 * A copy in which `replace` has been asked for every object in arrays, maps, sets and plain objects; what it does not
 * replace and is none of these is kept as it is. The same object stays the same.
 */
function replaceDeep(value: unknown, replace: (part: object) => object | undefined): unknown {
  const seen = new Map<object, unknown>();
  const visit = (part: unknown): unknown => {
    if (typeof part !== 'object' || part === null) return part;
    if (seen.has(part)) return seen.get(part);
    const replaced = replace(part);
    if (replaced !== undefined) {
      seen.set(part, replaced);
      return replaced;
    }
    if (Array.isArray(part)) {
      const copy: unknown[] = [];
      seen.set(part, copy);
      for (const entry of part) copy.push(visit(entry));
      return copy;
    }
    if (part instanceof Map) {
      const copy = new Map();
      seen.set(part, copy);
      for (const [key, entry] of part) copy.set(visit(key), visit(entry));
      return copy;
    }
    if (part instanceof Set) {
      const copy = new Set();
      seen.set(part, copy);
      for (const entry of part) copy.add(visit(entry));
      return copy;
    }
    if (!isPlain(part)) return part;
    const copy: Record<string, unknown> = {};
    seen.set(part, copy);
    for (const [key, entry] of Object.entries(part)) copy[key] = visit(entry);
    return copy;
  };
  return visit(value);
}

function isPlain(part: object): boolean {
  return Object.prototype.toString.call(part) === '[object Object]';
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, Math.min(PIECE_BYTES, bytes.length - done));
  }
}

function readFloats(fd: number, count: number): Float64Array {
  const values = new Float64Array(count);
  readAll(fd, new Uint8Array(values.buffer));
  return values;
}

function readAll(fd: number, into: Uint8Array): void {
  for (let done = 0; done < into.length; ) {
    const read = readSync(fd, into, done, Math.min(PIECE_BYTES, into.length - done), null);
    if (read === 0) throw new Error('the file of shared data ends early');
    done += read;
  }
}
