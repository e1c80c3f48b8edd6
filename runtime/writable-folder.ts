/** Making a folder that a user has named, and finding out at once when that cannot work. */
import { accessSync, constants, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { GranuleError } from '../core/errors.ts';
import { describeFullDisk } from '../core/free-space.ts';
import { STORE_RESERVE_BYTES } from '../core/limits.ts';

/** What a folder is for, and how the user names another one. */
export interface FolderUse {
  readonly what: string;
  readonly choice: string;
}

const OUTPUT_FOLDER: FolderUse = { what: 'output folder', choice: 'with --out' };

/**
 * Creates the folder and those above it, if need be, and checks that files can be created in it.
 *
 * @param path absolute
 * @throws OUTPUT_UNWRITABLE naming the path and the reason
 */
export function makeWritableFolder(path: string, use = OUTPUT_FOLDER): void {
  try {
    makeFolder(path);
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new GranuleError('OUTPUT_UNWRITABLE', `${path}: cannot be used as ${use.what}: ${reasonOf(error)}`, {
      details: { path },
      cause: error,
      remedy: `choose another folder ${use.choice}, or check its permissions`,
    });
  }
}

/**
 * Before anything is written there.
 *
 * @throws OUTPUT_FAILED when less is free than what is kept in reserve
 */
export function checkFreeSpace(path: string): void {
  const full = describeFullDisk(path, STORE_RESERVE_BYTES);
  if (full === undefined) return;
  throw new GranuleError('OUTPUT_FAILED', full, {
    details: { path },
    remedy: 'Free space there, then run the same command again: it goes on where it stopped.',
  });
}

/** Not `mkdir(…, { recursive: true })`: below /proc that one never returns (Node 20). */
function makeFolder(path: string): void {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status?.isDirectory() === true) return;
  if (status !== undefined) throw new Error('there is a file of that name');
  if (dirname(path) !== path) makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  ENOTDIR: 'something above it is a file, not a folder',
  ENOENT: 'folders cannot be created there',
};

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return REASONS[code ?? ''] ?? message;
}
