/** What a worker's session is given when it starts, by structured clone. */
import type { LogLevel } from '../../core/log.ts';
import type { SequenceRule } from '../../core/messages.ts';
import type { OutputDeclarations } from '../../payloads/payload.ts';
import type { BoardPlace } from '../board/board-sides.ts';

/** Given to a worker's session when it starts (by structured clone: `shared` may hold SharedArrayBuffers). */
export interface SessionData {
  readonly workerIndex: number;
  /** identity on the channel; a new one for each session */
  readonly peer: string;
  readonly channelAddress: string;
  /** URL of the module to load: a bundle, or a built-in payload */
  readonly payloadUrl: string;
  /** checked by the payload's schema already */
  readonly payloadOptions: unknown;
  /** declared streams and their formats */
  readonly outputs: OutputDeclarations;
  /** what `prepare` returned */
  readonly shared: unknown;
  readonly taskID: number;
  readonly jobID: number;
  readonly taskSeed: number;
  /** this worker's own folder */
  readonly folder: string;
  /** where complete files go */
  readonly aggregationFolder: string;
  /** memory for copies of small outputs (`recent-outputs.ts`); undefined where workers share none with the merger */
  readonly recentOutputs?: SharedArrayBuffer | undefined;
  readonly sequence: SequenceRule;
  readonly outputBytesMax: number;
  readonly logLevel: LogLevel;
  /** where the worker's execution board is */
  readonly board: BoardPlace;
  /** the session ends after this many events, or when heap and external memory exceed this; 0: never */
  readonly recycleEvents: number;
  readonly recycleMemoryBytes: number;
  /** name and version, kept in the metadata of outputs */
  readonly processingTag: string;
}

/** The part of it that does not depend on whom the session talks to. */
export type SessionSettings = Omit<SessionData, 'channelAddress' | 'board'>;

/** What a worker that is a process sends by IPC when its session is over. */
export const SESSION_OVER = 'session-over';
