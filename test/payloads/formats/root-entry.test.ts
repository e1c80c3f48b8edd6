import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inputFormat, recogniseFormat } from '../../../payloads/formats/registry.ts';
import { RootEntryEncoder } from '../../../payloads/formats/root-entry-encoder.ts';

const NO_HEADER = new Uint8Array(0);
const root = inputFormat('root');

function encode(values: Readonly<Record<string, unknown>>): Uint8Array {
  const encoder = new RootEntryEncoder(Object.keys(values));
  encoder.add(values);
  return encoder.take().bytes;
}

const decode = (bytes: Uint8Array): unknown => root.decode(bytes, NO_HEADER);

/** What a payload gets for a value: typed arrays are arrays, big integers are numbers where they can be. */
function plain(value: unknown): unknown {
  if (value === undefined) return null;
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  if (ArrayBuffer.isView(value)) return [...(value as Uint8Array)];
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]));
}

const name = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => text !== '__proto__' && text[0] !== '$');

const leaf = fc.oneof(
  fc.double(),
  fc.float(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.boolean(),
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.constantFrom(null, undefined, 0, -0, 2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 53),
  fc.float32Array(),
  fc.float64Array(),
  fc.int32Array(),
  fc.uint8Array({ maxLength: 40 }),
);
const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    leaf,
    fc.array(tie('value')),
    fc.dictionary(name, tie('value'), { noNullPrototype: true }),
  ),
})).value;

describe('entries of a ROOT tree as bytes', () => {
  it('come back as they were, whatever stands in their branches', () => {
    fc.assert(
      fc.property(fc.dictionary(name, value, { noNullPrototype: true, maxKeys: 20 }), (entry) => {
        expect(decode(encode(entry))).toEqual(plain(entry));
      }),
    );
  });

  it('are cut where they end', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ a: value, b: value }), { maxLength: 5 }), (entries) => {
        const encoder = new RootEntryEncoder(['a', 'b']);
        for (const entry of entries) encoder.add(entry);
        const { bytes, ends } = encoder.take();
        const found = entries.map((_, index) => decode(bytes.subarray(ends[index - 1] ?? 0, ends[index])));
        expect(found).toEqual(entries.map(plain));
        expect(encoder.take().bytes.length).toBe(0);
      }),
    );
  });

  it('keep the width of floats in arrays, and take the shortest form that is exact for single numbers', () => {
    const array = (count: number, rest: number): number => 1 + 2 + 1 + count * rest;
    expect(encode({ x: new Float32Array(3) })).toHaveLength(array(3, 5));
    expect(encode({ x: new Float64Array(3) })).toHaveLength(array(3, 9));
    expect(encode({ x: [1, 2, 3] })).toHaveLength(array(3, 1));
    expect(encode({ x: 0.5 })).toHaveLength(1 + 2 + 5);
    expect(encode({ x: 0.1 })).toHaveLength(1 + 2 + 9);
  });

  it('leave out functions and what jsroot keeps for itself', () => {
    const entry = { p: { x: 1, $kind: 'TObject', area: () => 0 } };
    expect(decode(encode(entry))).toEqual({ p: { x: 1 } });
  });

  it.each([
    ['an integer of more than 64 bits', () => 2n ** 64n],
    ['a symbol', () => Symbol('x')],
  ])('cannot hold %s: the branch is named, and how to leave it out', (kind, make) => {
    expect(() => encode({ ok: 1, 'wrong.branch': make() })).toThrow(
      expect.objectContaining({
        code: 'INPUT_ROOT_FAILED',
        message: `branch wrong.branch cannot be handed to a payload: it holds ${kind}`,
        remedy: "leave it out: --branches '*,!wrong.branch'",
      }),
    );
  });

  it('do not follow objects that point in a ring', () => {
    const ring: Record<string, unknown> = {};
    ring['self'] = ring;
    expect(() => encode({ ring })).toThrow(
      'branch ring cannot be handed to a payload: it is nested deeper than 64 levels',
    );
  });

  it('state run and event number by the branches that experiments name so', () => {
    const numbers = { eventNumber: 11, runNumber: 7 };
    const none = { eventNumber: Number.NaN, runNumber: Number.NaN };
    expect(root.identify(encode({ run: 7, event: 11 }))).toEqual(numbers);
    expect(root.identify(encode({ RunNumber: 7, EventNumber: 11n }))).toEqual(numbers);
    expect(root.identify(encode({ run_number: 7, event_number: 11 }))).toEqual(numbers);
    expect(root.identify(encode({ event: 2n ** 60n, runs: 7 }))).toEqual(none);
    expect(root.identify(encode({ event: [11], run: 'A' }))).toEqual(none);
  });

  it('are recognised by the file they come from, which cannot be indexed as a stream', () => {
    expect(recogniseFormat(Buffer.from('root\0\0\xf2\x9c', 'latin1'))?.name).toBe('root');
    expect(() => root.createIndexer({ event: () => undefined, runSegment: () => undefined })).toThrow(
      expect.objectContaining({ code: 'INPUT_UNRECOGNISED' }),
    );
    expect(() => decode(Uint8Array.of(0x81))).toThrow(expect.objectContaining({ code: 'INPUT_MALFORMED' }));
  });
});
