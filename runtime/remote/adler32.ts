/** Adler-32 (RFC 1950, section 8.2), the checksum that HEP storage keeps of every file. */

/** The largest prime below 2^16. */
const BASE = 65521;
/** Steps after which the sums still fit into 32 bits without the modulus. */
const STEPS = 5552;

/** @param value of the bytes before, 1 at the beginning */
export function adler32(bytes: Uint8Array, value = 1): number {
  let a = value & 0xffff;
  let b = value >>> 16;
  for (let start = 0; start < bytes.length; ) {
    const end = Math.min(bytes.length, start + STEPS);
    for (; start < end; start += 1) {
      a += bytes[start] ?? 0;
      b += a;
    }
    a %= BASE;
    b %= BASE;
  }
  return ((b << 16) | a) >>> 0;
}
