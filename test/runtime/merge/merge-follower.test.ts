import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MERGE_HASH_BYTES } from '../../../core/limits.ts';
import { MergeFollower } from '../../../runtime/merge/merge-follower.ts';
import type { FollowerReply, MergeFolders } from '../../../runtime/merge/merge-messages.ts';
import { createMergeFolders, removeMergeFolders } from './unmerged-files.ts';

let folders: MergeFolders;
let path: string;

beforeEach(() => {
  folders = createMergeFolders();
  path = join(folders.growing, 'a.HITS.bin.part');
});
afterEach(() => removeMergeFolders(folders));

function bytes(count: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: count }, (_, index) => (index * 31) % 251));
}

function publish(follower: MergeFollower, sizeBytes: number): FollowerReply {
  const file = { stream: 'HITS', path, fileName: 'a.HITS.bin', sizeBytes, recordCount: 1, keep: null };
  return follower.handle({ kind: 'publish', files: [file] });
}

function sliceCount(follower: MergeFollower): number {
  let count = 0;
  while (follower.hashAhead()) count += 1;
  return count;
}

describe('hashing behind the merge', () => {
  it('goes in slices, between which files can be removed, and gives the digest of the whole', () => {
    const whole = bytes(3 * MERGE_HASH_BYTES + 17);
    const follower = new MergeFollower({ folders });
    writeFileSync(path, whole.subarray(0, 2 * MERGE_HASH_BYTES));
    follower.handle({ kind: 'grown', files: [{ path, sizeBytes: 2 * MERGE_HASH_BYTES }] });
    expect(follower.hashAhead()).toBe(true);
    mkdirSync(join(folders.aggregation, '0'));
    writeFileSync(join(folders.aggregation, '0/HITS.1'), 'merged');
    follower.handle({ kind: 'remove', unmerged: '0/HITS.1', growing: [] });
    expect(existsSync(join(folders.aggregation, '0'))).toBe(false);
    expect(sliceCount(follower)).toBe(1);
    appendFileSync(path, whole.subarray(2 * MERGE_HASH_BYTES));
    const sha256 = createHash('sha256').update(whole).digest('hex');
    expect(publish(follower, whole.length)).toMatchObject({ kind: 'published', files: [{ sha256 }] });
    expect(readFileSync(join(folders.out, 'a.HITS.bin')).equals(whole)).toBe(true);
    expect(follower.hashAhead()).toBe(false);
  });

  it('leaves a file that is gone or cut to those who need it, and begins anew', () => {
    const follower = new MergeFollower({ folders });
    writeFileSync(path, bytes(100));
    follower.handle({ kind: 'grown', files: [{ path, sizeBytes: 200 }] });
    expect(sliceCount(follower)).toBe(1);
    rmSync(path);
    follower.handle({ kind: 'grown', files: [{ path, sizeBytes: 200 }] });
    expect(sliceCount(follower)).toBe(1);
    writeFileSync(path, bytes(200));
    const sha256 = createHash('sha256').update(bytes(200)).digest('hex');
    expect(publish(follower, 200)).toMatchObject({ files: [{ sha256 }] });
  });
});
