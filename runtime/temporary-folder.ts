/**
 * Folders of this process in the system's folder for temporary files. Each names its owner, so that whoever starts next
 * can remove what a process left that was killed.
 */
import { constants, writeFileSync } from 'node:fs';
import { lstat, mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identifyProcess, livenessOf, type ProcessIdentity } from '../dispatcher/process-identity.ts';

/** Short: a folder holds sockets, whose paths may have 107 bytes at most. */
const PREFIX = 'granule-';
const NAME = /^granule-[A-Za-z0-9]{6}$/;
const OWNER = 'owner';
/** An owner's record is a few hundred bytes. */
const OWNER_BYTES_MAX = 4096;

/** Only this user can enter it. */
export class TemporaryFolder {
  static #sweep: Promise<void> | undefined;
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** The first one of a process also removes, meanwhile, those of dead processes. */
  static async create(): Promise<TemporaryFolder> {
    const path = await mkdtemp(join(tmpdir(), PREFIX));
    writeFileSync(join(path, OWNER), JSON.stringify(identifyProcess(process.pid)), { mode: 0o600 });
    TemporaryFolder.#sweep ??= removeAbandoned(tmpdir());
    return new TemporaryFolder(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await TemporaryFolder.#sweep;
    await rm(this.path, { recursive: true, force: true });
  }
}

/**
 * Removes folders of processes of this user that are known to be dead. Never throws: what cannot be removed is in
 * nobody's way.
 */
export async function removeAbandoned(parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => []);
  for (const name of names) {
    if (!NAME.test(name)) continue;
    const path = join(parent, name);
    if (await isAbandoned(path).catch(() => false))
      await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** A folder, no link to one, that is ours and nobody else's, and says that its owner is dead. */
async function isAbandoned(path: string): Promise<boolean> {
  const status = await lstat(path);
  const isPrivate = status.uid === process.getuid?.() && (status.mode & 0o077) === 0;
  if (!status.isDirectory() || !isPrivate) return false;
  const owner = await readOwner(join(path, OWNER));
  return owner !== undefined && livenessOf(owner) === 'dead';
}

async function readOwner(path: string): Promise<ProcessIdentity | undefined> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(OWNER_BYTES_MAX) });
  const owner: unknown = JSON.parse(buffer.toString('utf8', 0, bytesRead));
  return isIdentity(owner) ? owner : undefined;
}

function isIdentity(value: unknown): value is ProcessIdentity {
  if (typeof value !== 'object' || value === null) return false;
  const { host, pid, bootID, pidNamespace, startTicks } = value as Partial<Record<keyof ProcessIdentity, unknown>>;
  return (
    [host, bootID, pidNamespace].every((text) => typeof text === 'string') &&
    Number.isInteger(pid) &&
    Number.isInteger(startTicks)
  );
}
