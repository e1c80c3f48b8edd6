/** The catalogue that a run writes of its inputs. */
import { placeWithoutSecrets } from '../../core/address-secrets.ts';
import { writeFileDurably } from '../durable-file.ts';
import type { UsableInput } from '../inputs/input-set.ts';
import type { RunFolders } from '../run/run-folders.ts';
import { isWritableInXML, writePoolFileCatalogue } from './catalogue-writer.ts';
import { writePrivatePlaces } from './private-places.ts';

/**
 * Places are written without their secrets, and those that hold any kept in a file of its owner's as well.
 *
 * An input whose name XML cannot hold (it has a control character) is processed like any other, and left out here: a
 * comment gives its GUID.
 *
 * @throws OUTPUT_FAILED
 */
export function writeRunCatalogue(
  { catalogue, places }: Pick<RunFolders, 'catalogue' | 'places'>,
  inputs: readonly UsableInput[],
): void {
  const isWritable = ({ place, replicas, record }: UsableInput): boolean =>
    [place, ...replicas, record.lfn].every(isWritableInXML);
  const text = writePoolFileCatalogue(
    inputs.filter(isWritable).map(({ place, replicas, record }) => ({
      guid: record.guid,
      physical: [place, ...replicas].map((name) => ({ name: placeWithoutSecrets(name), filetype: record.format })),
      logical: [record.lfn],
      metadata: [],
    })),
    inputs
      .filter((input) => !isWritable(input))
      .map(({ record }) => `left out: ${record.guid}, whose name holds a character that XML cannot hold`),
  );
  writeFileDurably(catalogue, [text]);
  writePrivatePlaces(places, inputs);
}
