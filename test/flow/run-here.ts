/** For tests: a run in this process, as the library starts it. */
import { Readable } from 'node:stream';
import { startRun } from '../../runtime/node.ts';
import type { RunOptions } from '../../runtime/options/option-schema.ts';
import { resolveLibraryOptions } from '../../runtime/options/options.ts';
import type { RunHandle } from '../../runtime/run/run-handle.ts';
import type { RunSummary } from '../../runtime/run/run-summary.ts';

export function startHere(options: RunOptions): RunHandle {
  return startRun(resolveLibraryOptions(options, process.cwd()), {
    currentFolder: process.cwd(),
    stdin: Readable.from([]),
    environment: {},
    command: ['test'],
    startedAtMs: Date.now(),
  });
}

export function runHere(options: RunOptions): Promise<RunSummary> {
  return startHere(options).done;
}
