/** The packed blocks of the event index: what goes in comes out, and look-ups find what a scan finds. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  findBlock,
  findEntry,
  NumberTableBuilder,
  unpackNumberBlock,
} from '../../../runtime/indexing/number-blocks.ts';
import {
  EVENTS_PER_BLOCK,
  hasChecksums,
  PlaceBlockWriter,
  unpackPlaceBlock,
} from '../../../runtime/indexing/place-blocks.ts';
import { VarintReader, VarintWriter } from '../../../runtime/indexing/varint.ts';

describe('varints', () => {
  it('give back what was written', () => {
    const unsigned = fc.array(fc.maxSafeNat());
    const signed = fc.array(fc.integer({ min: -(2 ** 52), max: 2 ** 52 }));
    fc.assert(
      fc.property(unsigned, signed, (naturals, integers) => {
        const writer = new VarintWriter();
        for (const value of naturals) writer.unsigned(value);
        for (const value of integers) writer.signed(value);
        const reader = new VarintReader(writer.take());
        expect(naturals.map(() => reader.unsigned())).toEqual(naturals);
        expect(integers.map(() => reader.signed() + 0)).toEqual(integers.map((value) => value + 0));
        expect(() => reader.byte()).toThrow(RangeError);
      }),
    );
  });
});

describe('place blocks', () => {
  it('give back offsets, lengths and checksums of any file', () => {
    const event = fc.record({
      gap: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(2 ** 40) }),
      length: fc.oneof(fc.constant(2053), fc.integer({ min: 1, max: 2 ** 29 })),
      crc: fc.nat(2 ** 32 - 1),
    });
    fc.assert(
      fc.property(fc.array(event, { minLength: 1, maxLength: 400 }), fc.boolean(), (events, checksums) => {
        const writer = new PlaceBlockWriter({ checksums });
        const expected: (number | undefined)[][] = [];
        let offset = 0;
        for (const { gap, length, crc } of events) {
          offset += gap;
          writer.add(offset, length);
          writer.setChecksum(crc);
          expected.push([offset, length, checksums ? crc : undefined]);
          offset += length;
        }
        const found = writer.finish().flatMap((bytes, index) => {
          const count = Math.min(EVENTS_PER_BLOCK, events.length - index * EVENTS_PER_BLOCK);
          const places = unpackPlaceBlock(bytes, count);
          expect(hasChecksums(bytes)).toBe(checksums);
          return Array.from(places.offsets, (value, at) => [value, places.lengths[at], places.checksums?.[at]]);
        });
        expect(found).toEqual(expected);
      }),
    );
  });
});

describe('number tables', () => {
  it('lead to every position of a run and event number, and to no other', () => {
    const numbers = fc.record({
      run: fc.oneof(fc.constant(Number.NaN), fc.integer({ min: 0, max: 2 })),
      event: fc.oneof(
        fc.constant(Number.NaN),
        fc.integer({ min: -3, max: 60 }),
        fc.constant(2 ** 51),
        fc.constant(0.5),
      ),
    });
    fc.assert(
      fc.property(fc.array(numbers, { maxLength: 500 }), (events) => {
        const builder = new NumberTableBuilder();
        events.forEach(({ run, event }, index) => {
          builder.add(index + 1, event, run);
        });
        const { blocks, fences, entryCount } = builder.finish();
        const unpacked = blocks.map((bytes, index) =>
          unpackNumberBlock(bytes, Math.min(EVENTS_PER_BLOCK, entryCount - index * EVENTS_PER_BLOCK)),
        );
        const entries = unpacked.flatMap((block) =>
          Array.from(block.runs, (run, at) => [run, block.eventNumbers[at] ?? 0, block.positions[at] ?? 0] as const),
        );
        const expected = events
          .map(({ run, event }, index) => [Number.isNaN(run) ? 0 : run, event, index + 1] as const)
          .filter(([, event]) => Number.isInteger(event))
          .sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
        expect(entries).toEqual(expected);
        for (const [run, event] of [...expected.slice(0, 20), [1, 7] as const]) {
          const start = findBlock(fences, run, event);
          const rest = unpacked.slice(start);
          const skipped = rest[0] === undefined ? 0 : findEntry(rest[0], run, event);
          const first = start * EVENTS_PER_BLOCK + skipped;
          const wanted = entries.findIndex((entry) => entry[0] === run && entry[1] === event);
          if (wanted >= 0) expect(first).toBeLessThanOrEqual(wanted);
          expect(
            entries.slice(0, first).every((entry) => entry[0] < run || (entry[0] === run && entry[1] < event)),
          ).toBe(true);
        }
      }),
    );
  });

  it('sort the numbers of one run that begin again and again', () => {
    const builder = new NumberTableBuilder();
    for (let index = 0; index < 100_000; index += 1) builder.add(index + 1, index % 1000, Number.NaN);
    const { blocks, fences, first, last } = builder.finish();
    expect([first, last]).toEqual([
      [0, 0],
      [0, 999],
    ]);
    const block = unpackNumberBlock(blocks[0] ?? new Uint8Array(0), EVENTS_PER_BLOCK);
    expect(Array.from(block.positions.subarray(0, 3))).toEqual([1, 1001, 2001]);
    expect(
      fences.eventNumbers.every((value, index) => index === 0 || value >= (fences.eventNumbers[index - 1] ?? 0)),
    ).toBe(true);
  });
});
