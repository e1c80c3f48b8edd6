/** What a dispatcher is opened with, and what drives it. */
import type { Clock } from '../core/clock.ts';
import type { GranuleError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { TableStore } from './table-store.ts';

export interface DispatcherOptions {
  /** folder of the store, created when there is none */
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** how long a consumer may be silent */
  readonly leaseMs: number;
  /** use the store although it is on a network file system, or somebody seems to hold it */
  readonly force: boolean;
  /** told once when the store has failed or was taken over; nothing works after it */
  readonly onFatal: (error: GranuleError) => void;
}

/** How a dispatcher is driven; a simulation puts its own parts here. */
export interface DispatcherDrive {
  readonly store: TableStore;
  /** shown in messages */
  readonly path: string;
  /** when a group of changes is closed after its first one */
  readonly defer: (close: () => void) => void;
  /** false: {@link Dispatcher.tick} is called by hand */
  readonly timers: boolean;
}
