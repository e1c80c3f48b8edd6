/**
 * `OUT/.granule/places.json`: the inputs' places that hold secrets, for `granule exec`. What a run shows and shares names
 * places without their secrets, and a later start is given them by its user; this file, which its owner alone can read,
 * is there only if a place holds one.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { placeWithoutSecrets } from '../../core/address-secrets.ts';
import type { UsableInput } from '../inputs/input-set.ts';

/** Read and written by the owner. */
const OWNER_ONLY = 0o600;

/** Replaces what is there. Not flushed: should a power cut take it, the next start writes it again. */
export function writePrivatePlaces(path: string, inputs: readonly Pick<UsableInput, 'place' | 'replicas'>[]): void {
  const secret = inputs
    .flatMap(({ place, replicas }) => [place, ...replicas])
    .flatMap((place) => (placeWithoutSecrets(place) === place ? [] : [[placeWithoutSecrets(place), place]]));
  if (secret.length === 0) {
    rmSync(path, { force: true });
    return;
  }
  const temporary = `${path}.tmp`;
  // The mode counts for a new file only.
  rmSync(temporary, { force: true });
  writeFileSync(temporary, `${JSON.stringify(Object.fromEntries(secret))}\n`, { mode: OWNER_ONLY });
  renameSync(temporary, path);
}

/** Places as they were given. One whose secret is not known, or not for us to read, stays without it. */
export function withPrivateParts(path: string, places: readonly string[]): readonly string[] {
  let known: Readonly<Record<string, string>> = {};
  try {
    known = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    // Commonly there is none; without its secret, a server refuses the place and says so.
  }
  return places.map((place) => (Object.hasOwn(known, place) ? (known[place] ?? place) : place));
}
