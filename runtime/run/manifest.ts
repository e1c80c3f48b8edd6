/**
 * `OUT/manifest.json`: what a run was made of and what it made. Written anew, durably, at the end of each start, so there
 * is always the old one or the new one.
 */
import { join } from 'node:path';
import type { TaskFile } from '../../core/dispatcher-api.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { MANIFEST_FAILED_EVENTS_MAX, MANIFEST_INTERVALS_MAX } from '../../core/limits.ts';
import type { FailureCause } from '../../core/states.ts';
import { writeFileDurably } from '../durable-file.ts';
import type { MergeMode } from '../merge/merge-messages.ts';

const MANIFEST_NAME = 'manifest.json';

/** Consecutive events of one input file; positions are 1-based, both ends included. */
export interface EventInterval {
  readonly lfn: string;
  readonly guid: string;
  readonly firstEvent: number;
  readonly lastEvent: number;
}

/** Events named by intervals, of which at most `MANIFEST_INTERVALS_MAX` are listed. */
export interface EventList {
  readonly eventCount: number;
  readonly intervals: readonly EventInterval[];
  /** false when there are more intervals than listed */
  readonly complete: boolean;
}

export interface ManifestInput {
  readonly guid: string;
  readonly lfn: string;
  /** absolute path or URL it was read from, without secrets */
  readonly place: string;
  readonly format: string;
  readonly eventCount: number;
  /** events chosen by `--events`; all when absent */
  readonly selectedEventCount?: number;
  readonly sizeBytes: number;
  readonly sha256: string;
}

export interface ManifestRefusedInput {
  readonly place: string;
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy?: string;
}

export interface ManifestOutput {
  readonly stream: string;
  /** below OUT */
  readonly path: string;
  readonly format: string;
  /** records in the file */
  readonly eventCount: number;
  readonly sizeBytes: number;
  readonly sha256: string;
  /** set when more events are to come: the file will be replaced */
  readonly partial?: true;
  /** events that failed for good or were cancelled: `granule retry` puts them in */
  readonly missing: EventList;
}

export interface ManifestFailedEvent {
  readonly lfn: string;
  readonly guid: string;
  /** 1-based */
  readonly position: number;
  readonly cause: FailureCause;
  readonly message: string;
  /** times it was handed out */
  readonly attempts: number;
}

/** One payload that events of this run were made by; more than one after `--accept-payload-change`. */
export interface ManifestPayload {
  readonly name: string;
  readonly version?: string;
  /** SHA-256 of the bundled payload */
  readonly identity: string;
  readonly made: EventList;
}

export interface ManifestFacts {
  readonly granuleVersion: string;
  readonly command: readonly string[];
  readonly payloads: readonly ManifestPayload[];
  readonly options: Readonly<Record<string, unknown>>;
  readonly seed: number;
  readonly mergeMode: MergeMode;
  readonly eventsPerRange: number;
  readonly eventsPerOutput?: number;
  readonly inputs: readonly ManifestInput[];
  readonly refusedInputs: readonly ManifestRefusedInput[];
  readonly outputs: readonly ManifestOutput[];
  /** events, not ranges */
  readonly events: { readonly total: number; readonly finished: number; readonly failed: number };
  /** in task order; no more than `MANIFEST_FAILED_EVENTS_MAX` are taken from it */
  readonly failedEvents: Iterable<ManifestFailedEvent>;
}

export interface Manifest extends Omit<ManifestFacts, 'granuleVersion' | 'failedEvents'> {
  readonly schema: 1;
  readonly versions: { readonly granule: string; readonly node: string };
  readonly failedEvents: readonly ManifestFailedEvent[];
  /** false when more events failed than are listed: `granule events --status fatal` lists all */
  readonly failedEventsComplete: boolean;
}

export function buildManifest(facts: ManifestFacts): Manifest {
  const { granuleVersion, failedEvents, events, ...rest } = facts;
  const listed: ManifestFailedEvent[] = [];
  let failedEventsComplete = true;
  for (const event of failedEvents) {
    if (listed.length === MANIFEST_FAILED_EVENTS_MAX) {
      failedEventsComplete = false;
      break;
    }
    listed.push(event);
  }
  return {
    schema: 1,
    versions: { granule: granuleVersion, node: process.versions.node },
    ...rest,
    events,
    failedEvents: listed,
    failedEventsComplete,
  };
}

/** @throws OUTPUT_FAILED */
export function writeManifest(outFolder: string, manifest: Manifest): void {
  writeFileDurably(join(outFolder, MANIFEST_NAME), [JSON.stringify(manifest, null, 2), '\n']);
}

/** Collects events in task order into as few intervals as there are, keeping a bounded number of them. */
export class EventListBuilder {
  readonly #intervals: { file: TaskFile; firstEvent: number; lastEvent: number }[] = [];
  #eventCount = 0;
  #complete = true;

  /** Positions are 1-based, both ends included. */
  add(file: TaskFile, firstEvent: number, lastEvent: number): void {
    this.#eventCount += lastEvent - firstEvent + 1;
    const last = this.#intervals.at(-1);
    if (this.#complete && last?.file.guid === file.guid && last.lastEvent + 1 === firstEvent) {
      last.lastEvent = lastEvent;
    } else if (this.#intervals.length < MANIFEST_INTERVALS_MAX) {
      this.#intervals.push({ file, firstEvent, lastEvent });
    } else {
      this.#complete = false;
    }
  }

  build(): EventList {
    return {
      eventCount: this.#eventCount,
      intervals: this.#intervals.map(({ file, firstEvent, lastEvent }) => ({
        lfn: file.lfn,
        guid: file.guid,
        firstEvent,
        lastEvent,
      })),
      complete: this.#complete,
    };
  }
}
