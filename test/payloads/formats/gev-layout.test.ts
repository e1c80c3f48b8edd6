/** Parts of a gev file that carry the right CRC-32 and the wrong contents: refused like damaged ones. */
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EMPTY_INFO } from '../../../payloads/formats/event-stream-info.ts';
import {
  decodeFooter,
  encodeFooter,
  encodeHeader,
  FOOTER_MARK,
  packValue,
  readDescription,
} from '../../../payloads/formats/gev-layout.ts';

function sealed(bytes: Buffer): Buffer {
  const crc = Buffer.alloc(4);
  crc.writeUInt32LE(crc32(bytes));
  return Buffer.concat([bytes, crc]);
}

function footerOf(contents: Uint8Array): Buffer {
  const prefix = Buffer.alloc(8);
  prefix.writeUInt32LE(FOOTER_MARK, 0);
  prefix.writeUInt32LE(contents.length, 4);
  const trailer = Buffer.from('\0\0\0\0GEV\x1a', 'latin1');
  trailer.writeUInt32LE(contents.length + 20, 0);
  return Buffer.concat([sealed(Buffer.concat([prefix, contents])), trailer]);
}

function headerOf(contents: Uint8Array): Buffer {
  const prefix = Buffer.concat([Buffer.from('\x89GEV\r\n\x1a\n', 'latin1'), Buffer.from([1, 0, contents.length, 0])]);
  return sealed(Buffer.concat([prefix, contents]));
}

/** Bytes that are mostly no msgpack, and values of the wrong types, near the right ones. */
const part = fc.oneof(
  fc.integer(),
  fc.uint8Array({ maxLength: 3 }),
  fc.array(fc.oneof(fc.integer(), fc.array(fc.nat()))),
);
const contents = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 40 }),
  fc.oneof(part, fc.array(part, { maxLength: 5 })).map((value) => Uint8Array.from(packValue(value))),
);

describe('a gev file', () => {
  it('has the layout that these tests build by hand', () => {
    const info = { ...EMPTY_INFO, eventCount: 2, runNumbers: [7] };
    const footer = { recordCount: 2, lastIndexOffset: 0, lengths: [40, 300], info };
    const packed = packValue([2, 0, Buffer.from([40, 0xac, 2]), [2, [7], [], [], []]]);
    expect(encodeFooter(footer)).toEqual(footerOf(packed));
    expect(decodeFooter(footerOf(packed))).toEqual(footer);
    const description = { stream: 'S', maker: 'm', sourceFormat: 'lhe' };
    expect(encodeHeader(description)).toEqual(headerOf(packValue(['S', 'm', 'lhe'])));
    expect(readDescription(headerOf(packValue(['S', 'm', 'lhe'])))).toEqual(description);
  });

  it('is not believed for its checksums alone', () => {
    fc.assert(
      fc.property(contents, (bytes) => {
        const footer = decodeFooter(footerOf(bytes));
        if (footer !== undefined) expect(decodeFooter(encodeFooter(footer))).toEqual(footer);
        const description = readDescription(headerOf(bytes));
        if (description !== undefined) expect(readDescription(encodeHeader(description))).toEqual(description);
      }),
      { numRuns: 1000 },
    );
  });
});
