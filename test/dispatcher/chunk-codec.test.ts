import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RANGES_PER_CHUNK } from '../../core/limits.ts';
import { RANGE_STATE_NAMES, RANGE_STATES } from '../../core/states.ts';
import { Chunk } from '../../dispatcher/chunk.ts';
import { DamagedChunk, decodeChunk, encodeChunk } from '../../dispatcher/chunk-codec.ts';
import { isHeld, makeWord } from '../../dispatcher/range-word.ts';

const runs = fc.array(
  fc.record({
    length: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: RANGES_PER_CHUNK })),
    state: fc.constantFrom(...RANGE_STATE_NAMES),
    failures: fc.oneof(fc.constant(0), fc.nat(63)),
    losses: fc.oneof(fc.constant(0), fc.nat(63)),
    attempt: fc.oneof(fc.nat(3), fc.nat(32_767)),
    owner: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 0xffff_ffff })),
    executionLength: fc.nat(255),
  }),
  { maxLength: 600 },
);

function build(parts: typeof runs extends fc.Arbitrary<infer Parts> ? Parts : never): Chunk {
  const chunk = new Chunk(7);
  let offset = 0;
  for (const { length, state, failures, losses, attempt, owner, executionLength } of parts) {
    const word = makeWord(RANGE_STATES[state], failures, losses, attempt);
    for (const end = Math.min(RANGES_PER_CHUNK, offset + length); offset < end; offset += 1) {
      chunk.words[offset] = word;
      chunk.lengths[offset] = executionLength;
      if (isHeld(word)) chunk.setOwner(offset, owner);
    }
  }
  chunk.recount();
  return chunk;
}

/** `running` is not stored. */
function stored(words: Int32Array): Int32Array {
  return words.map((word) => ((word & 15) === RANGE_STATES.running ? word - 1 : word));
}

describe('a chunk', () => {
  it('comes back from its bytes as it was, whatever is in it', () => {
    fc.assert(
      fc.property(runs, (parts) => {
        const chunk = build(parts);
        const back = decodeChunk(7, encodeChunk(chunk));
        expect(back.words).toEqual(stored(chunk.words));
        expect(back.lengths).toEqual(chunk.lengths);
        expect(back.heldCount).toBe(chunk.heldCount);
        for (let offset = 0; offset < RANGES_PER_CHUNK; offset += 1) {
          if (back.ownerAt(offset) !== chunk.ownerAt(offset)) expect(offset).toBe('an offset with the same owner');
        }
      }),
      { numRuns: 200 },
    );
  });

  it('takes about a byte a range when merged, and fits a page', () => {
    const chunk = new Chunk(0);
    chunk.words.fill(makeWord(RANGE_STATES.merged, 0, 0, 1));
    chunk.lengths.fill(77);
    expect(encodeChunk(chunk).length).toBeLessThan(4096 - 16);
  });

  it('is refused when a byte of it has changed', () => {
    fc.assert(
      fc.property(runs, fc.nat(), fc.integer({ min: 1, max: 255 }), (parts, place, change) => {
        const bytes = encodeChunk(build(parts));
        const index = place % bytes.length;
        bytes[index] = (bytes[index] ?? 0) ^ change;
        expect(() => decodeChunk(7, bytes)).toThrow(DamagedChunk);
      }),
    );
  });

  it('is refused when its layout does not hold, although its checksum does', () => {
    const bytes = encodeChunk(build([]));
    const layouts = fc.array(fc.oneof(fc.nat(3), fc.nat(255)), { minLength: bytes.length - 5, maxLength: 40 });
    fc.assert(
      fc.property(layouts, (layout) => {
        const sealed = Buffer.from([1, ...layout, 0, 0, 0, 0]);
        sealed.writeUInt32LE(crc32(sealed.subarray(0, -4)), sealed.length - 4);
        try {
          decodeChunk(7, sealed);
        } catch (error) {
          expect(error).toBeInstanceOf(DamagedChunk);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
