/** What became of the inputs of a run. */
import { GranuleError } from '../../core/errors.ts';
import type { FileRecord } from '../../core/file-index.ts';

/** A file whose events can be processed. */
export interface UsableInput {
  /** absolute path or URL; with what it takes to read it, so not to be shown or kept as it is */
  readonly place: string;
  /** other places of the same file */
  readonly replicas: readonly string[];
  readonly record: FileRecord;
  /** place among what was given, counted from 0 */
  readonly rank: number;
}

export interface RefusedInput {
  readonly place: string;
  readonly error: GranuleError;
}

export interface InputSet {
  /** in the order given */
  readonly inputs: readonly UsableInput[];
  readonly refused: readonly RefusedInput[];
  /** places of files that may yet become usable: they are being read, or cannot be reached now */
  readonly late: readonly string[];
}

/** @param refused not empty */
export function noUsableInput(refused: readonly RefusedInput[]): GranuleError {
  const first = refused[0]?.error ?? new GranuleError('INPUT_NOT_FOUND', 'no input is given');
  const more = refused.length > 1 ? ` (and ${refused.length - 1} more)` : '';
  return new GranuleError('INPUT_NONE_USABLE', `no input can be used: ${first.message}${more}`, {
    cause: first,
    details: first.details,
    ...(first.remedy === undefined ? {} : { remedy: first.remedy }),
  });
}
