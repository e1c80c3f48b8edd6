/**
 * Events of a ROOT file: entries of a tree. Workers never see the file: the thread that unpacks its baskets writes each
 * entry as msgpack (`root-entry-encoder.ts`), `{ branch: value }`, and these bytes are the event.
 */
import { Unpackr } from 'msgpackr';
import { GranuleError } from '../../core/errors.ts';
import type { InputFormat } from './event-format.ts';
import { asBuffer } from './line-blocks.ts';

/** What a ROOT file begins with (TFile's header). */
const MAGIC = Buffer.from('root');

/** Branches by which experiments number runs and events, in lower case and without underscores. */
const RUN_BRANCHES = new Set(['run', 'runnumber']);
const EVENT_BRANCHES = new Set(['event', 'eventnumber']);

/** `auto`, which its types leave out: 64-bit integers come back as numbers where that is exact, else as bigints. */
const INT64_AS = 'auto' as 'number';
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: INT64_AS });

export function isRootFile(head: Uint8Array): boolean {
  return asBuffer(head).subarray(0, MAGIC.length).equals(MAGIC);
}

export const rootInput: InputFormat = {
  name: 'root',
  recognise: isRootFile,
  createIndexer() {
    throw new GranuleError('INPUT_UNRECOGNISED', 'a ROOT file is read here and there, which compression forbids', {
      remedy: 'unpack the file: ROOT compresses what is in it by itself',
    });
  },
  identify(bytes) {
    const entry = decodeEntry(bytes);
    return { eventNumber: numberIn(entry, EVENT_BRANCHES), runNumber: numberIn(entry, RUN_BRANCHES) };
  },
  decode: decodeEntry,
};

/** @throws INPUT_MALFORMED */
function decodeEntry(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    return unpackr.unpack(bytes) as Record<string, unknown>;
  } catch (cause) {
    throw new GranuleError('INPUT_MALFORMED', 'the bytes of a ROOT entry are no msgpack value', { cause });
  }
}

function numberIn(entry: Readonly<Record<string, unknown>>, names: ReadonlySet<string>): number {
  for (const [branch, value] of Object.entries(entry)) {
    if (names.has(branch.toLowerCase().replaceAll('_', '')) && Number.isSafeInteger(value)) return value as number;
  }
  return Number.NaN;
}
