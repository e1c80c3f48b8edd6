/**
 * What indexing a file yields: where each event lies. Positions are 1-based; byte ranges are half open and count the
 * *inflated* bytes of a compressed file.
 */
import type { Guid } from './ids.ts';

export const FORMAT_NAMES = ['hepmc3', 'hepmc2', 'lhe', 'ndjson', 'gev', 'root'] as const;
export type FormatName = (typeof FORMAT_NAMES)[number];

export type Compression = 'none' | 'gzip';

/** Run information (a header, weight names, an `<init>` block) that holds from `firstPosition` on. */
export interface RunSegment {
  /** first event it holds for, 1-based */
  readonly firstPosition: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** A tree of a ROOT file. */
export interface RootTree {
  /** with the folders it lies in: `analysis/events` */
  readonly name: string;
  readonly entryCount: number;
}

/** The trees of a ROOT file, and the one whose entries are its events. */
export interface RootTrees {
  /** name of the tree; null while none has been chosen: the file then counts no events */
  readonly chosen: string | null;
  /** in the order of the file */
  readonly all: readonly RootTree[];
  /** the tree whose entries the event index knows by run and event number; absent when none states both */
  readonly numbered?: string;
}

/** Identity of one input file. */
export interface FileRecord {
  readonly guid: Guid;
  /** logical file name: the base name */
  readonly lfn: string;
  readonly format: FormatName;
  readonly compression: Compression;
  /** bytes of the file as it lies on disk or server */
  readonly sizeBytes: number;
  /** lower-case hexadecimal digest of those bytes */
  readonly sha256: string;
  readonly eventCount: number;
  readonly runSegments: readonly RunSegment[];
  /** of a ROOT file; absent for all other formats */
  readonly trees?: RootTrees;
}

/** The events of `count` consecutive positions from `firstPosition` on, as parallel arrays. */
export interface EventSpan {
  readonly firstPosition: number;
  readonly count: number;
  /** byte offset of each event */
  readonly offsets: Float64Array;
  /** byte length of each event */
  readonly lengths: Uint32Array;
  /** CRC-32 of each event's bytes; undefined where the index keeps none */
  readonly checksums?: Uint32Array | undefined;
}
