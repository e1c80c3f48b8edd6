import { crc32 as nodeCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { crc32 } from '../../../runtime/merge/crc32.ts';

it("the merger's CRC-32 is that of Node", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 3000 }), fc.nat(), (bytes, cut) => {
      const at = cut % bytes.length;
      expect(crc32(bytes)).toBe(nodeCrc32(bytes));
      expect(crc32(bytes.subarray(at), crc32(bytes.subarray(0, at)))).toBe(nodeCrc32(bytes));
    }),
  );
  expect(crc32(new Uint8Array(0))).toBe(0);
});
