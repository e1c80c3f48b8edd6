/**
 * `OUT/.granule/start.json`: by which ways the last start of a run reached its payload and its inputs, and what bounded an
 * event. The event table holds what makes the run; this is what else it takes to execute one of its events again.
 */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { GranuleError } from '../../core/errors.ts';
import type { ResolvedRunOptions } from '../options/options.ts';
import type { RunFolders } from './run-folders.ts';

const KEPT = [
  'payload',
  'payloadOptions',
  'tree',
  'branches',
  'timeout',
  'hookTimeoutMs',
  'heapMaxMB',
  'outputBytesMax',
  'indexFolder',
  'cacheFolder',
  'cacheBytesMax',
  'prefetchBytesMax',
  'patienceMs',
  'tlsCaPath',
  'allowPlainHttp',
] as const satisfies readonly (keyof ResolvedRunOptions)[];

export interface StartRecord extends Pick<ResolvedRunOptions, (typeof KEPT)[number]> {
  /** absolute: where it was started, and where payloads that run programs run them */
  readonly currentFolder: string;
}

/** Replaces what an earlier start wrote. Not flushed: should a power cut take it, the next start writes it again. */
export function writeStartRecord(
  { start }: Pick<RunFolders, 'start'>,
  options: ResolvedRunOptions,
  currentFolder: string,
): void {
  const temporary = `${start}.tmp`;
  const kept = Object.fromEntries(KEPT.map((key) => [key, options[key]]));
  // Options of payloads may hold passwords; the mode counts for a new file only.
  rmSync(temporary, { force: true });
  writeFileSync(temporary, `${JSON.stringify({ currentFolder, ...kept })}\n`, { mode: 0o600 });
  renameSync(temporary, start);
}

/** @throws STORE_MISSING when there is none, or a part of one */
export async function readStartRecord({ start }: Pick<RunFolders, 'start'>): Promise<StartRecord> {
  try {
    return JSON.parse(await readFile(start, 'utf8'));
  } catch (cause) {
    throw new GranuleError('STORE_MISSING', `${start} cannot be read: how this run was started is not known`, {
      details: { path: start },
      remedy: 'run its command once more: it writes the file, whatever is left to do',
      cause,
    });
  }
}
