/** The package's door `granule`: everything the command line does, as a library. Payloads come through `granule/payload`. */
import type { Readable } from 'node:stream';
import { startRun } from './node.ts';
import type { RunOptions } from './options/option-schema.ts';
import { resolveLibraryOptions } from './options/options.ts';
import type { RunHandle } from './run/run-handle.ts';

export { ERROR_TABLE, type ErrorCode, GranuleError, isGranuleError } from '../core/errors.ts';
export { GRANULE_VERSION } from '../core/version.ts';
export type { RunOptions } from './options/option-schema.ts';
export type { DrainReason, NodeEvents, ProgressSnapshot, RunEventMap } from './run/run-events.ts';
export type { RunHandle } from './run/run-handle.ts';
export type { RunEnding, RunSummary } from './run/run-summary.ts';

/** What a program may set beside the options of the run. */
export interface RunContext {
  /** relative paths start here; the current folder when left out */
  readonly currentFolder?: string;
  /** read when an input is `-` */
  readonly stdin?: Readable;
  /** for proxies and bearer tokens; nothing when left out */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/**
 * Starts a run: the same options again resume it. Installs no signal handlers and never exits; stop it with
 * `handle.drain('requested')`. A program that ends by itself should call `process.exit` once `handle.done` has settled:
 * with native sockets loaded, running out of work is not a safe end.
 *
 * @throws CONFIG_INVALID, USAGE for wrong options; everything else is told by `handle.done`
 */
export function run(options: RunOptions, context: RunContext = {}): RunHandle {
  const currentFolder = context.currentFolder ?? process.cwd();
  return startRun(resolveLibraryOptions(options, currentFolder), {
    currentFolder,
    stdin: context.stdin ?? process.stdin,
    environment: context.environment ?? {},
    command: ['run', JSON.stringify(options)],
    startedAtMs: Date.now(),
  });
}
