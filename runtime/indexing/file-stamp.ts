/** By what a file is taken for unchanged. */
import { type Stats, statSync } from 'node:fs';

/** What stands for "has not changed" from one start to the next. */
export interface FileStamp {
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

/** Size and modification time, or undefined when there is no such file. */
export function stampOfPath(path: string): FileStamp | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? undefined : stampOf(stats);
}

export function stampOf(stats: Stats): FileStamp {
  return { sizeBytes: stats.size, mtimeMs: stats.mtimeMs };
}
