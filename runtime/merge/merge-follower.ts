/**
 * Works behind the merger: removes what commits made superfluous, puts complete files under their final names and, when
 * nothing else is asked for, hashes what the growing files have gained. Runs in the follower thread, so that the merger
 * only reads and appends. Commits wait for removals; so hashing, which is slower than merging, is done in slices.
 */
import { createHash, type Hash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  linkSync,
  openSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { MergedFile } from '../../core/dispatcher-api.ts';
import { GranuleError } from '../../core/errors.ts';
import { MERGE_HASH_BYTES } from '../../core/limits.ts';
import { outputFailure, syncFolder, writeFully } from '../durable-file.ts';
import type { CompleteFile, FollowerReply, FollowerRequest, MergeFolders } from './merge-messages.ts';

/** Moments between which a kill must do no harm; tests kill there. */
export type FollowerStep = 'hashed' | 'renamed' | 'published' | 'removed';

export interface FollowerOptions {
  readonly folders: MergeFolders;
  readonly onStep?: (step: FollowerStep) => void;
}

interface RunningHash {
  readonly hash: Hash;
  hashedBytes: number;
  /** so much of the file stays as it is */
  finalBytes: number;
}

export class MergeFollower {
  readonly #options: FollowerOptions;
  readonly #buffer = Buffer.allocUnsafeSlow(MERGE_HASH_BYTES);
  /** by path of the growing file; after a restart each begins at the front again */
  readonly #hashes = new Map<string, RunningHash>();

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** @throws OUTPUT_FAILED when a merged file cannot be read or put in place */
  handle(request: FollowerRequest): FollowerReply {
    try {
      if (request.kind === 'publish') return { kind: 'published', files: this.#publish(request.files) };
      if (request.kind === 'remove') this.#remove(request.unmerged, request.growing);
      else if (request.kind === 'forget') for (const path of request.growing) this.#hashes.delete(path);
      else for (const { path, sizeBytes } of request.files) this.#hashOf(path).finalBytes = sizeBytes;
      return { kind: 'done' };
    } catch (cause) {
      throw outputFailure(this.#options.folders.out, cause);
    }
  }

  /** Hashes `MERGE_HASH_BYTES` of what has grown. Returns false when nothing is left to hash. */
  hashAhead(): boolean {
    for (const [path, { hashedBytes, finalBytes }] of this.#hashes) {
      if (hashedBytes === finalBytes) continue;
      try {
        this.#hashThrough(path, Math.min(finalBytes, hashedBytes + MERGE_HASH_BYTES));
      } catch {
        // A file that cannot be read is the merger's to report, or the publisher's, who begins its hash anew.
        this.#hashes.delete(path);
      }
      return true;
    }
    return false;
  }

  #publish(files: readonly CompleteFile[]): MergedFile[] {
    const published = files.map(({ stream, path, fileName, sizeBytes, recordCount }) => {
      const sha256 = this.#hashThrough(path, sizeBytes).hash.digest('hex');
      this.#hashes.delete(path);
      return { stream, path: fileName, sizeBytes, sha256, recordCount };
    });
    this.#step('hashed');
    for (const { path, fileName, keep } of files) {
      const place = join(this.#options.folders.out, fileName);
      if (keep !== null) this.#keep(place, keep);
      this.#putInPlace(path, place);
      this.#step('renamed');
    }
    syncFolder(this.#options.folders.out);
    syncFolder(this.#options.folders.growing);
    this.#step('published');
    return published;
  }

  /** Gives the file in place a second name, under which it outlives its replacement. One kept before stays. */
  #keep(place: string, keep: string): void {
    if (existsSync(keep)) return;
    try {
      linkSync(place, keep);
    } catch {
      // Another disk, or a file system without hard links.
      this.#copyFlushed(place, `${keep}.tmp`);
      renameSync(`${keep}.tmp`, keep);
    }
    syncFolder(dirname(keep));
  }

  #putInPlace(from: string, to: string): void {
    try {
      renameSync(from, to);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EXDEV')) throw error;
      // The growing files may have been put on another disk by a link. The original stays until the commit.
      const temporary = `${to}.tmp`;
      try {
        this.#copyFlushed(from, temporary);
        renameSync(temporary, to);
      } catch (failure) {
        rmSync(temporary, { force: true });
        throw failure;
      }
    }
  }

  #copyFlushed(from: string, to: string): void {
    const target = openSync(to, 'w');
    try {
      this.#read(from, 0, Number.POSITIVE_INFINITY, (chunk) => writeFully(target, chunk));
      fdatasyncSync(target);
    } finally {
      closeSync(target);
    }
  }

  #hashOf(path: string): RunningHash {
    let running = this.#hashes.get(path);
    if (running === undefined) {
      running = { hash: createHash('sha256'), hashedBytes: 0, finalBytes: 0 };
      this.#hashes.set(path, running);
    }
    return running;
  }

  #hashThrough(path: string, sizeBytes: number): RunningHash {
    const running = this.#hashOf(path);
    const { hash, hashedBytes } = running;
    const found = this.#read(path, hashedBytes, sizeBytes, (chunk) => hash.update(chunk));
    if (found !== sizeBytes) {
      throw new GranuleError('OUTPUT_FAILED', `${path}: wanted ${sizeBytes} merged bytes, found ${found}`, {
        details: { path },
        remedy: 'Do not touch the files of a run while it is on; run the same command again to make the events again.',
      });
    }
    running.hashedBytes = sizeBytes;
    return running;
  }

  /** Returns the offset reached: `end`, or the end of the file. */
  #read(path: string, begin: number, end: number, take: (chunk: Uint8Array) => void): number {
    if (begin === end) return end;
    const fd = openSync(path, 'r');
    try {
      let at = begin;
      while (at < end) {
        const count = readSync(fd, this.#buffer, 0, Math.min(this.#buffer.length, end - at), at);
        if (count === 0) break;
        take(this.#buffer.subarray(0, count));
        at += count;
      }
      return at;
    } finally {
      closeSync(fd);
    }
  }

  #remove(unmerged: string, growing: readonly string[]): void {
    const shards = new Set<string>();
    const { aggregation } = this.#options.folders;
    // With the separator behind it; as a rule that of the file before it.
    let shard = '';
    for (const file of unmerged === '' ? [] : unmerged.split('\n')) {
      removeIfThere(unlinkSync, `${aggregation}/${file}`);
      if (shard === '' || !file.startsWith(shard)) {
        shard = file.slice(0, file.indexOf('/') + 1);
        if (shard !== '') shards.add(shard);
      }
      this.#step('removed');
    }
    for (const empty of shards) removeIfThere(rmdirSync, join(aggregation, empty));
    for (const path of growing) {
      this.#hashes.delete(path);
      rmSync(path, { force: true });
    }
  }

  #step(step: FollowerStep): void {
    this.#options.onStep?.(step);
  }
}

/** A file that is gone is what was wanted; a shard that is not empty still has work to come. */
function removeIfThere(remove: (path: string) => void, path: string): void {
  try {
    remove(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code !== 'ENOENT' && code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}
