/**
 * Where the input of one event of a run lies, as the event index and the catalogue of the run have it: for those who look at
 * an event without executing it. Neither the input itself nor its server is asked.
 */
import { placeWithoutSecrets } from '../../core/address-secrets.ts';
import { isGranuleError } from '../../core/errors.ts';
import type { Compression } from '../../core/file-index.ts';
import { ReplicaCatalogue } from '../catalogue/replica-catalogue.ts';
import { chooseTree } from '../root/tree-choice.ts';
import type { RunFolders } from '../run/run-folders.ts';
import { readStartRecord } from '../run/start-record.ts';
import type { EventOfRun } from './recorded-event.ts';
import { openRunIndex } from './run-index.ts';

/** Scripts depend on these keys, which `granule show --json` prints. */
export type EventInput =
  | {
      readonly kind: 'bytes';
      /** absolute path or URL where a run looks first, without secrets */
      readonly place: string;
      /** of the file: offset and length count its bytes once they are inflated */
      readonly compression: Compression;
      readonly offsetBytes: number;
      readonly lengthBytes: number;
    }
  | {
      readonly kind: 'entry';
      /** likewise */
      readonly place: string;
      /** of the ROOT file, with the folders it lies in */
      readonly tree: string;
      /** 0-based, as ROOT counts */
      readonly entryIndex: number;
    };

/**
 * Undefined when the run does not know any more: its event index, its catalogue or `start.json` is gone or cannot be read,
 * or no longer has the file, or the file is not where it was.
 */
export async function tryEventInput(
  folders: RunFolders,
  { file, position }: Omit<EventOfRun, 'taskID'>,
): Promise<EventInput | undefined> {
  const { guid } = file;
  try {
    const start = await readStartRecord(folders);
    const catalogue = await ReplicaCatalogue.read(folders.catalogue, start.currentFolder);
    const [best] = catalogue.find(guid)?.places ?? [];
    if (best === undefined) return undefined;
    const place = placeWithoutSecrets(best);
    await using index = await openRunIndex(folders, start);
    const record = index.fileRecord(guid);
    if (record === undefined) return undefined;
    const tree = chooseTree(record, start.tree).trees?.chosen ?? undefined;
    if (tree !== undefined) return { kind: 'entry', place, tree, entryIndex: position - 1 };
    const { offsets, lengths } = index.lookupSpan(guid, position, 1);
    const { compression } = record;
    return { kind: 'bytes', place, compression, offsetBytes: offsets[0] ?? 0, lengthBytes: lengths[0] ?? 0 };
  } catch (error) {
    // Whoever needs the input is told by `granule exec` what is wrong with it.
    if (isGranuleError(error)) return undefined;
    throw error;
  }
}
