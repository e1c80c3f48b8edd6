import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MergeItem, OutputRecord } from '../../../core/dispatcher-api.ts';
import { packItems, unpackItems } from '../../../runtime/merge/packed-items.ts';

const place = {
  rangeIndex: fc.maxSafeNat(),
  fileIndex: fc.nat(),
  startEvent: fc.maxSafeNat(),
  lastEvent: fc.maxSafeNat(),
};
const record: fc.Arbitrary<OutputRecord> = fc
  .record({
    stream: fc.constantFrom('HITS', 'TRACKS', 'DIGEST'),
    file: fc.string().map((text) => text.replaceAll('\n', ' ')),
    offsetBytes: fc.maxSafeNat(),
    lengthBytes: fc.maxSafeNat(),
    crc32: fc.integer({ min: 0, max: 0xffffffff }),
    recordCount: fc.nat(),
  })
  .chain((whole) =>
    fc
      .option(fc.nat(), { nil: undefined })
      .map((headerBytes) => (headerBytes === undefined ? whole : { ...whole, headerBytes })),
  );
const item: fc.Arbitrary<MergeItem> = fc.oneof(
  fc.record({ kind: fc.constant('finished' as const), ...place, outputs: fc.array(record, { maxLength: 4 }) }),
  fc.record({ kind: fc.constant('missing' as const), ...place }),
);

describe('packed items', () => {
  it('unpack to what they were, also on another thread', () => {
    fc.assert(
      fc.property(fc.array(item), (items) => {
        const packed = packItems(items);
        expect([...unpackItems(structuredClone(packed, { transfer: [packed.numbers.buffer] }))]).toEqual(items);
      }),
    );
  });
});
