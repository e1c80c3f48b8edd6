/** The catalogue that a run writes of its inputs. */
import { writeFileDurably } from '../durable-file.ts';
import type { UsableInput } from '../input-set.ts';
import { writePoolFileCatalogue } from './catalogue-writer.ts';

/** @throws CONFIG_INVALID for names that XML cannot hold, OUTPUT_FAILED */
export function writeRunCatalogue(path: string, inputs: readonly UsableInput[]): void {
  const text = writePoolFileCatalogue(
    inputs.map(({ place, replicas, record }) => ({
      guid: record.guid,
      physical: [place, ...replicas].map((name) => ({ name, filetype: record.format })),
      logical: [record.lfn],
      metadata: [],
    })),
  );
  writeFileDurably(path, [text]);
}
