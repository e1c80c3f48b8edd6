/**
 * CRC-32 in the merger: the one of Node, which does without vector instructions, takes six times as long for half a
 * megabyte, and that was a third of merging it. Workers keep to Node's: a thread that its payload may break at any moment
 * loads as little native code as can be.
 */
import { crc32 as nodeCrc32 } from 'node:zlib';
import type * as nodeRs from '@node-rs/crc32';
import { requirePackage } from '../../core/own-files.ts';

/** As `crc32` of `node:zlib`. @param before the sum of what comes before these bytes */
export const crc32: (bytes: Uint8Array, before?: number) => number = loadFast() ?? nodeCrc32;

/** Undefined where the package has no build for this machine. */
function loadFast(): typeof nodeRs.crc32 | undefined {
  try {
    return (requirePackage('@node-rs/crc32') as typeof nodeRs).crc32;
  } catch {
    return undefined;
  }
}
