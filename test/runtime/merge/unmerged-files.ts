/** Unmerged files in a folder of a test's own, and their records. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { OutputRecord } from '../../../core/dispatcher-api.ts';
import { SHARD_RANGES } from '../../../core/limits.ts';
import type { MergeFolders } from '../../../runtime/merge/merge-messages.ts';

export function createMergeFolders(): MergeFolders {
  const out = mkdtempSync(join(tmpdir(), 'granule-merge-'));
  const folders = { out, growing: join(out, '.granule', 'merge'), aggregation: join(out, '.granule', 'unmerged') };
  mkdirSync(folders.growing, { recursive: true });
  mkdirSync(folders.aggregation, { recursive: true });
  return folders;
}

export function removeMergeFolders(folders: MergeFolders): void {
  rmSync(folders.out, { recursive: true, force: true });
}

/** Writes a file of one range, as a worker would. */
export function writeUnmerged(
  folders: MergeFolders,
  range: { readonly rangeIndex: number; readonly attemptNr?: number },
  stream: string,
  output: { readonly bytes: Uint8Array; readonly recordCount: number },
): OutputRecord {
  const shard = Math.floor(range.rangeIndex / SHARD_RANGES);
  const file = `${shard}/${stream}.1-1-1-${range.rangeIndex + 1}-${range.attemptNr ?? 1}`;
  const path = join(folders.aggregation, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, output.bytes);
  return {
    stream,
    file,
    offsetBytes: 0,
    lengthBytes: output.bytes.length,
    crc32: crc32(output.bytes),
    recordCount: output.recordCount,
  };
}
