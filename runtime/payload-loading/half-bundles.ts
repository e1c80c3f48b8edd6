/** Names of bundles while they are written, and what a kill leaves of them. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isPidInUse } from '../../dispatcher/process-identity.ts';

const NAME = /\.(?<pid>\d+)\.tmp$/;

/** Where this process writes what will be `target`. */
export function halfBundlePath(target: string): string {
  return `${target}.${process.pid}.tmp`;
}

/** Removes what dead processes had not completed. The caller holds the lock of the store and has loaded its payload. */
export async function removeHalfBundles(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const pid = NAME.exec(name)?.groups?.['pid'];
    if (pid !== undefined && !isPidInUse(Number(pid))) await rm(join(folder, name), { force: true });
  }
}
