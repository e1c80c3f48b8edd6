/** Input files and their replicas, as a run is given them: by a place, or by a name that a POOL catalogue has places for. */
import { resolve } from 'node:path';
import type { RemoteFile } from '../indexing/indexing-pool.ts';
import { isRemotePlace } from '../remote/place.ts';
import type { ReplicaCatalogue } from './replica-catalogue.ts';

/** Few runs have one: its XML parser is loaded for them only. */
export async function readCatalogue(path: string, currentFolder: string): Promise<ReplicaCatalogue> {
  const { ReplicaCatalogue } = await import('./replica-catalogue.ts');
  return ReplicaCatalogue.read(path, currentFolder);
}

/** A file with all its places, the given one first. */
export function cataloguedFile(
  catalogue: ReplicaCatalogue | undefined,
  given: string,
  currentFolder: string,
): RemoteFile {
  const place = isRemotePlace(given) ? given : resolve(currentFolder, given);
  const known = catalogue?.find(place);
  if (known === undefined) return { places: [place] };
  const others = known.places.filter((other) => other !== place);
  return {
    places: [place, ...others],
    expected: known.expected,
    ...(known.lfn === undefined ? {} : { lfn: known.lfn }),
  };
}
