/** What becomes of one input of a run: it is usable, refused, or gone, and the run's events tell of it. */
import { placeWithoutSecrets } from '../../core/address-secrets.ts';
import { GranuleError, isGranuleError } from '../../core/errors.ts';
import type { IndexingPool, RemoteFile } from '../indexing/indexing-pool.ts';
import { isRemotePlace } from '../remote/place.ts';
import type { NodeEvents } from '../run/run-events.ts';
import type { RefusedInput, UsableInput } from './input-set.ts';

/** `gone`: its servers cannot be reached now. */
export type InputAnswer = UsableInput | RefusedInput | { readonly gone: GranuleError };

export interface AnswerParts {
  readonly pool: IndexingPool;
  readonly events: NodeEvents;
  readonly signal: AbortSignal;
  /** the index is shared with other runs: what a path held for another one does not matter */
  readonly isIndexShared: boolean;
}

/**
 * Has a file indexed.
 *
 * @param rank its place among the inputs given
 * @throws INPUT_CHANGED, STORE_FAILED, the signal's reason: what the run cannot go on with
 */
export async function answerFor(file: RemoteFile, rank: number, parts: AnswerParts): Promise<InputAnswer> {
  const { pool, events, signal, isIndexShared } = parts;
  const startedMs = performance.now();
  const [place, ...replicas] = file.places;
  // What a path held when another run read it does not matter: the event table knows what this run began with.
  const how = { signal, acceptChange: isIndexShared };
  try {
    const indexing = isRemotePlace(place) ? pool.indexRemote(file, how) : pool.index(place, how);
    const { record, outcome, previousGuid } = await indexing;
    if (outcome === 'changed' && !isIndexShared) throw changed(place, String(previousGuid), record.guid);
    events.emit('input:indexed', {
      place: placeWithoutSecrets(place),
      lfn: record.lfn,
      guid: record.guid,
      format: record.format,
      eventCount: record.eventCount,
      sizeBytes: record.sizeBytes,
      wasRead: outcome === 'read',
      wallMs: performance.now() - startedMs,
    });
    return { place, replicas, record, rank };
  } catch (error) {
    if (!isGranuleError(error)) throw error;
    if (error.code === 'SOURCE_UNREACHABLE') return { gone: error };
    if (!isAboutOneInput(error)) throw error;
    return refuseInput(place, error, events);
  }
}

/** Tells why an input cannot be used. */
export function refuseInput(place: string, error: GranuleError, events: NodeEvents): RefusedInput {
  events.emit('input:refused', {
    place: placeWithoutSecrets(place),
    code: error.code,
    message: error.message,
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
  });
  return { place, error };
}

/** Errors that leave the other files usable. */
function isAboutOneInput({ code }: GranuleError): boolean {
  return code !== 'INPUT_CHANGED' && (code.startsWith('INPUT_') || code.startsWith('SOURCE_'));
}

function changed(place: string, before: string, now: string): GranuleError {
  return new GranuleError(
    'INPUT_CHANGED',
    `${place} has other content than when this run began (GUID ${before} then, ${now} now)`,
    {
      details: { place, before, now },
      remedy: 'restore the file, or begin a new run with another --out (or --fresh to throw this one away)',
    },
  );
}
