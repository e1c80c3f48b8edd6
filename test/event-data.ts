/**
 * Real event files, made by others and not part of the project: `$GRANULE_TEST_DATA`, else `../shared/data` beside the
 * checkout. Tests that need them are skipped where they are absent.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { FormatName } from '../core/file-index.ts';

const folder = process.env.GRANULE_TEST_DATA ?? join(import.meta.dirname, '..', '..', 'shared', 'data');

export const hasEventData = existsSync(join(folder, 'hepmc'));

/** For names of skipped tests. */
export const eventDataNote = hasEventData ? '' : ` (skipped: no event files in ${folder})`;

export interface EventDataFile {
  readonly path: string;
  readonly format: FormatName;
  readonly events: number;
}

function file(name: string, format: FormatName, events: number): EventDataFile {
  return { path: join(folder, name), format, events };
}

/** The whole and healthy files of events that are bytes. */
export const EVENT_DATA_FILES: readonly EventDataFile[] = [
  file('hepmc/ee-1000-hepmc2.hepmc', 'hepmc2', 1000),
  file('hepmc/ppbar-10-hepmc3.hepmc', 'hepmc3', 10),
  file('hepmc/example-100-hepmc3.hepmc3', 'hepmc3', 100),
  file('hepmc/pp13TeV-6-weights.hepmc', 'hepmc2', 6),
  file('hepmc/pythia6-1.dat', 'hepmc3', 1),
  file('lhe/pp_to_jj-1000.lhe.gz', 'lhe', 1000),
  file('lhe/weakbosons-100.lhe', 'lhe', 100),
  file('lhe/powheg-W-100.lhe', 'lhe', 100),
  file('lhe/powheg-Zj-100.lhe', 'lhe', 100),
];

/** Files with one tree, and its entries. */
export const ROOT_DATA_FILES: readonly (EventDataFile & { readonly tree: string })[] = [
  { ...file('root/HZZ-2421.root', 'root', 2421), tree: 'events' },
  { ...file('root/Zmumu-2304.root', 'root', 2304), tree: 'events' },
  { ...file('root/nanoAOD-200.root', 'root', 200), tree: 'Events' },
];

/** A HepMC3 file cut within its only event. */
export const BROKEN_FILE = join(folder, 'hepmc', 'broken.dat');

/** Path of a file by its base name. */
export function eventDataPath(name: string): string {
  const found = EVENT_DATA_FILES.find(({ path }) => basename(path) === name);
  if (found === undefined) throw new Error(`${name} is not listed in event-data.ts`);
  return found.path;
}

/** The content, inflated. */
export function readEventData(path: string): Buffer {
  const bytes = readFileSync(path);
  return path.endsWith('.gz') ? gunzipSync(bytes) : bytes;
}
