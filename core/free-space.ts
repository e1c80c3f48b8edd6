/** Room on a disk. On a full one LMDB's bindings may end the process before anybody can say why, so it is looked at first. */
import { statfsSync } from 'node:fs';
import { formatBytes } from './quantities.ts';

/**
 * Why nothing more may be written there; undefined while there is room.
 *
 * @param path of a file or folder that exists
 * @param reserveBytes what is to stay free
 * @param wantedBytes what is to be written
 */
export function describeFullDisk(path: string, reserveBytes: number, wantedBytes = 0): string | undefined {
  const { bavail, bsize } = statfsSync(path);
  const freeBytes = bavail * bsize;
  if (freeBytes >= reserveBytes + wantedBytes) return undefined;
  return `the disk of ${path} is full: ${formatBytes(freeBytes)} are free, ${formatBytes(reserveBytes)} are kept in reserve`;
}
