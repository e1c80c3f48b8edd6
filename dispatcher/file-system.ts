/**
 * Is a folder on a file system where LMDB is safe? It maps the file and trusts local locks: network and cluster file
 * systems promise neither.
 */
import { existsSync, statfsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { GranuleError } from '../core/errors.ts';

/** `f_type` of statfs(2), from linux/magic.h and the sources of the file systems named. */
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'kAFS'],
  [0x00c36400, 'Ceph'],
  [0x19830326, 'BeeGFS'],
  [0xaad7aaea, 'PanFS'],
  [0x20030528, 'OrangeFS'],
  [0x01021997, '9P'],
  [0x7461636f, 'OCFS2'],
  [0x01161970, 'GFS2'],
  [0x786f4256, 'VirtualBox shared folder'],
]);

/** `FUSE` may be anything; these are the ones that are on another machine as a rule. */
export function networkFileSystemName(type: number): string | undefined {
  return NETWORK_FILE_SYSTEMS.get(type >>> 0);
}

/** Throws `STORE_FILE_SYSTEM` for a folder (which need not exist yet) on a network file system. */
export function checkFileSystem(path: string): void {
  let folder = resolve(path);
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  const name = networkFileSystemName(statfsSync(folder).type);
  if (name === undefined) return;
  throw new GranuleError(
    'STORE_FILE_SYSTEM',
    `${path} is on a network file system (${name}), where the store is not safe`,
    {
      details: { path, fileSystem: name },
      remedy: 'choose an output folder on a local disk',
    },
  );
}
