/** What starting a run gives to its caller: the command line, a test, or a program that uses granule as a library. */
import type { Readable } from 'node:stream';
import type { DrainReason, NodeEvents } from './run-events.ts';
import type { RunSummary } from './run-summary.ts';

/** What a run takes from its process, so that nothing else reads it. */
export interface RunSurroundings {
  /** absolute; relative inputs start here */
  readonly currentFolder: string;
  /** read when an input is `-` */
  readonly stdin: Readable;
  /** for proxies and bearer tokens */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** what was typed, for the manifest */
  readonly command: readonly string[];
  /** when the command began, ms since the epoch: wall time and time to the first event count from here */
  readonly startedAtMs: number;
}

export interface RunHandle {
  readonly events: NodeEvents;
  /** Rejects with a GranuleError when the run cannot start or go on; what was finished by then is safe. */
  readonly done: Promise<RunSummary>;
  /**
   * Takes no new events, finishes what is in execution within the grace time, returns the rest. Twice is harmless.
   */
  drain(reason: DrainReason): void;
  /** Gives up executions under way as well: they are returned without cost. */
  force(): void;
}
