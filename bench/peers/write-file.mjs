/** The work of one event, for peers written in JavaScript: write a file and rename it into its shard. */
import { closeSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const SHARD = 1024;
const shards = new Set();
const records = new Map();

export function writeEventFile(folder, writer, index, sizeBytes) {
  let record = records.get(sizeBytes);
  if (record === undefined) {
    record = Uint8Array.from({ length: sizeBytes }, (_, at) => at & 0xff);
    records.set(sizeBytes, record);
  }
  const shard = join(folder, 'files', String(Math.floor(index / SHARD)));
  if (!shards.has(shard)) {
    mkdirSync(shard, { recursive: true });
    shards.add(shard);
  }
  const temporary = join(folder, `writing-${writer}`);
  const fd = openSync(temporary, 'w');
  writeSync(fd, record, 0, record.length, 0);
  closeSync(fd);
  renameSync(temporary, join(shard, `OUT.1-1-1-${index + 1}-1`));
}

/** The exit code that says "not installed". */
export const ABSENT = 69;

export function nowMs() {
  return performance.timeOrigin + performance.now();
}

export function answer(startMs, timeline) {
  process.stdout.write(JSON.stringify({ startMs, timeline }), () => process.exit(0));
}
