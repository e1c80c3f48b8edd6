/** Writes single-event files as a worker does, and nothing else: to a temporary name, then renamed into its shard. */
import { closeSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { SHARD_RANGES } from '../core/limits.ts';

export class SingleFileWriter {
  readonly #temporary: string;
  readonly #folder: string;
  readonly #record: Uint8Array;
  readonly #shards = new Set<number>();

  /** @param name of the writer, unique in the folder */
  constructor(folder: string, name: string, sizeBytes: number) {
    this.#folder = join(folder, 'files');
    this.#temporary = join(folder, `writing-${name}`);
    this.#record = Uint8Array.from({ length: sizeBytes }, (_, index) => index & 0xff);
    mkdirSync(this.#folder, { recursive: true });
  }

  write(index: number): void {
    const shard = Math.floor(index / SHARD_RANGES);
    const shardFolder = join(this.#folder, String(shard));
    if (!this.#shards.has(shard)) {
      mkdirSync(shardFolder, { recursive: true });
      this.#shards.add(shard);
    }
    const fd = openSync(this.#temporary, 'w');
    writeSync(fd, this.#record, 0, this.#record.length, 0);
    closeSync(fd);
    renameSync(this.#temporary, join(shardFolder, `OUT.1-1-1-${index + 1}-1`));
  }
}
