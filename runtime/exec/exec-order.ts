/** What is said by IPC between `granule exec` and the process that executes one event by itself. */
import type { FromWorker, RangeToken, WorkerFile } from '../../core/messages.ts';
import type { SessionSettings } from '../worker/session-data.ts';

/** Sent once. */
export interface ExecOrder {
  /** `shared` apart, which `prepare` makes in the process itself */
  readonly settings: Omit<SessionSettings, 'shared'>;
  readonly file: WorkerFile;
  readonly token: RangeToken;
  readonly frames: readonly Uint8Array[];
  /** 0: none */
  readonly timeoutMs: number;
  /** for what comes before `execute`, and for what comes after; 0: none */
  readonly hookTimeoutMs: number;
  /** where to wait for a debugger before the payload is loaded; null for none */
  readonly debuggerAt: DebuggerAddress | null;
}

/** The messages of a worker; `aborting`: it has noticed that the event is over its time-out, and lets it end its children. */
export type FromExecProcess = FromWorker | { readonly kind: 'aborting' };

export interface DebuggerAddress {
  readonly host: string;
  /** 0: any that is free */
  readonly port: number;
}
