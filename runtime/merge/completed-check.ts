/**
 * Are the merged files of complete outputs still what the event table says? For the start of a run, on the main thread:
 * somebody may have removed, cut or edited them since.
 *
 * A file of another size is not the one that was completed. One of the same size is read only where there is reason to:
 * it was there when the run was last reported on, and has been written since; or where the user asks for all.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { CompletedFile } from '../../core/dispatcher-api.ts';
import type { MergeFolders } from './merge-messages.ts';

/** What was last reported to users. */
export interface LastReport {
  readonly writtenMs: number;
  /** names below OUT */
  readonly paths: ReadonlySet<string>;
}

/** A complete output that is to be made again. */
export interface DamagedOutput {
  readonly outputIndex: number;
  /** of its files, one that is not as it was completed */
  readonly path: string;
  readonly problem: string;
}

/** What was last reported, undefined when nothing was; `all`: whatever was reported, every file is to be read. */
type ReasonToRead = LastReport | undefined | 'all';

/** One entry per damaged output, in no order. */
export async function findDamagedOutputs(
  folders: MergeFolders,
  completed: Iterable<CompletedFile>,
  report: ReasonToRead,
): Promise<DamagedOutput[]> {
  const damaged = new Map<number, DamagedOutput>();
  for (const file of completed) {
    const { outputIndex, path } = file;
    if (damaged.has(outputIndex)) continue;
    const problem = await problemOf(folders, file, report);
    if (problem !== undefined) damaged.set(outputIndex, { outputIndex, path, problem });
  }
  return [...damaged.values()];
}

async function problemOf(
  folders: MergeFolders,
  { path, sizeBytes, sha256 }: CompletedFile,
  report: ReasonToRead,
): Promise<string | undefined> {
  const place = join(folders.out, path);
  const found = await stat(place).catch(() => undefined);
  // Killed while it was amended: the file that the table means is kept here, and the amendment is made again.
  const kept = await stat(join(folders.growing, `${path}.before`)).catch(() => undefined);
  if (kept?.size === sizeBytes) return undefined;
  if (found?.isFile() !== true) return `${place} is missing`;
  if (found.size !== sizeBytes) return `${place} has ${found.size} bytes, not the ${sizeBytes} it was completed with`;
  if (report === undefined) return undefined;
  if (report !== 'all' && (!report.paths.has(path) || found.mtimeMs <= report.writtenMs)) return undefined;
  return (await hashOf(place)) === sha256 ? undefined : `${place} was altered: its SHA-256 is not the recorded one`;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
