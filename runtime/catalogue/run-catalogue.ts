/** The catalogue that a run writes of its inputs. */
import { writeFileDurably } from '../durable-file.ts';
import type { UsableInput } from '../inputs/input-set.ts';
import { isWritableInXML, writePoolFileCatalogue } from './catalogue-writer.ts';

/**
 * An input whose name XML cannot hold (it has a control character) is processed like any other, and left out here: a
 * comment gives its GUID.
 *
 * @throws OUTPUT_FAILED
 */
export function writeRunCatalogue(path: string, inputs: readonly UsableInput[]): void {
  const isWritable = ({ place, replicas, record }: UsableInput): boolean =>
    [place, ...replicas, record.lfn].every(isWritableInXML);
  const text = writePoolFileCatalogue(
    inputs.filter(isWritable).map(({ place, replicas, record }) => ({
      guid: record.guid,
      physical: [place, ...replicas].map((name) => ({ name, filetype: record.format })),
      logical: [record.lfn],
      metadata: [],
    })),
    inputs
      .filter((input) => !isWritable(input))
      .map(({ record }) => `left out: ${record.guid}, whose name holds a character that XML cannot hold`),
  );
  writeFileDurably(path, [text]);
}
