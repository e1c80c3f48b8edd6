/** Records of the store as bytes: msgpack and a CRC-32, so that a damaged page is noticed and not believed. */
import { crc32 } from 'node:zlib';
import { Packr } from 'msgpackr';
import { GranuleError } from '../core/errors.ts';

const packr = new Packr({ useRecords: false, int64AsType: 'number' });

/** Bytes of the caller's own. */
export function packRecord(record: unknown): Uint8Array {
  const body = packr.pack(record);
  const bytes = Buffer.allocUnsafe(body.length + 4);
  body.copy(bytes);
  bytes.writeUInt32LE(crc32(body), body.length);
  return bytes;
}

/** The caller names the type it has packed; throws `STORE_FAILED` when the checksum does not hold. */
export function unpackRecord<Record>(bytes: Uint8Array): Record {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = view.length - 4;
  if (end < 1 || view.readUInt32LE(end) !== crc32(view.subarray(0, end))) {
    throw new GranuleError(
      'STORE_FAILED',
      `the checksum of a record of ${view.length} bytes in the store does not match`,
      {
        remedy: 'check the disk; run into a new output folder (the input files are untouched)',
      },
    );
  }
  return packr.unpack(view.subarray(0, end)) as Record;
}
