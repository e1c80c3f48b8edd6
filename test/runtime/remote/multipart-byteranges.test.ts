/** Bodies with several byte ranges. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseMultipartByteranges, tryMultipartBoundary } from '../../../runtime/remote/multipart-byteranges.ts';

interface Part {
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
}

function body(parts: readonly Part[], boundary: string, newline = '\r\n'): Buffer {
  const pieces = parts.flatMap(({ offsetBytes, bytes }) => [
    Buffer.from(
      `--${boundary}${newline}content-type: text/plain${newline}` +
        `Content-Range: bytes ${offsetBytes}-${offsetBytes + bytes.length - 1}/9999999${newline}${newline}`,
    ),
    bytes,
    Buffer.from(newline),
  ]);
  return Buffer.concat([...pieces, Buffer.from(`--${boundary}--${newline}`)]);
}

const anyParts = fc.array(
  fc.record({
    offsetBytes: fc.integer({ min: 0, max: 9_000_000 }),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 200 }),
  }),
  { minLength: 1, maxLength: 10 },
);

describe('parseMultipartByteranges', () => {
  it('gives back each part, whatever bytes it holds', () => {
    fc.assert(
      fc.property(anyParts, fc.constantFrom('\r\n', '\n'), (parts, newline) => {
        const tricky = [...parts, { offsetBytes: 1, bytes: Buffer.from('\r\n--edge\r\n--edge--') }];
        const outcome = parseMultipartByteranges(body(tricky, 'edge', newline), 'edge');
        expect(
          outcome.kind === 'parts' ? outcome.parts.map(({ range, bytes }) => [range.offsetBytes, [...bytes]]) : outcome,
        ).toEqual(tricky.map(({ offsetBytes, bytes }) => [offsetBytes, [...bytes]]));
      }),
    );
  });

  it('finds every body that was cut short, or changed in a length, malformed', () => {
    const whole = body([{ offsetBytes: 3, bytes: Buffer.from('abc') }], 'edge');
    for (let length = 0; length < whole.length - 4; length += 1) {
      expect(parseMultipartByteranges(whole.subarray(0, length), 'edge').kind).toBe('malformed');
    }
    const wrong = Buffer.from(whole.toString().replace('bytes 3-5/', 'bytes 3-4/'));
    expect(parseMultipartByteranges(wrong, 'edge')).toMatchObject({ kind: 'malformed' });
  });

  it('never throws on arbitrary bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void parseMultipartByteranges(bytes, '-')));
  });
});

describe('tryMultipartBoundary', () => {
  it.each([
    ['multipart/byteranges; boundary=abc', 'abc'],
    ['multipart/byteranges;charset=x; boundary="a b"', 'a b'],
    ['text/plain', undefined],
    [undefined, undefined],
  ])('reads %s', (type, boundary) => {
    expect(tryMultipartBoundary(type)).toBe(boundary);
  });
});
