/**
 * Identities. A brand says "this text was checked"; the parse function beside it is its only maker. Brands do not
 * survive a thread, a socket or the disk: parse again on arrival.
 */
import { GranuleError } from './errors.ts';

/** Upper-case hexadecimal with dashes, 36 characters, as POOL prints it. */
export type Guid = string & { readonly __brand: 'Guid' };

const GUID_PATTERN = /^[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}$/;

/** Accepts either case; throws `USAGE` for anything that is not a GUID. */
export function parseGuid(text: string): Guid {
  const guid = tryGuid(text);
  if (guid === undefined) throw new GranuleError('USAGE', `"${text}" is not a GUID (8-4-4-4-12 hexadecimal digits)`);
  return guid;
}

export function tryGuid(text: string): Guid | undefined {
  const upper = text.toUpperCase();
  return GUID_PATTERN.test(upper) ? (upper as Guid) : undefined;
}

/**
 * The GUID of a file, derived from the SHA-256 of its content: the first 16 bytes with the version and variant bits of
 * a name-based UUID (RFC 9562, version 8). The same content has the same GUID everywhere.
 *
 * @param sha256 the 32 bytes of the digest
 */
export function guidFromSha256(sha256: Uint8Array): Guid {
  const bytes = Uint8Array.from(sha256.subarray(0, 16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString('hex').toUpperCase();
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-') as Guid;
}

/** The five numbers of an eventRangeID. */
export interface EventRangeIDParts {
  readonly taskID: number;
  /** PanDA's PandaID: the job that holds the range, so the ID changes at each hand-out. */
  readonly jobID: number;
  /** 1-based: the position of the file in its task, plus one. */
  readonly fileID: number;
  /** First event of the range (PanDA's job_processID), 1-based. */
  readonly startEvent: number;
  /** 1-based count of hand-outs. (On PanDA's wire it counts attempts left; that is translated at the HTTP face.) */
  readonly attemptNr: number;
}

/** `{taskID}-{jobID}-{fileID}-{startEvent}-{attemptNr}`, PanDA's form: exactly five non-negative integers. */
export function formatEventRangeID(parts: EventRangeIDParts): string {
  return `${parts.taskID}-${parts.jobID}-${parts.fileID}-${parts.startEvent}-${parts.attemptNr}`;
}

const EVENT_RANGE_ID_PATTERN = /^(\d{1,15})-(\d{1,15})-(\d{1,15})-(\d{1,15})-(\d{1,15})$/;

/** Undefined for anything that is not five integers joined by dashes. */
export function tryEventRangeID(text: string): EventRangeIDParts | undefined {
  const match = EVENT_RANGE_ID_PATTERN.exec(text);
  if (match === null) return undefined;
  const [taskID, jobID, fileID, startEvent, attemptNr] = match.slice(1).map(Number);
  if (
    taskID === undefined ||
    jobID === undefined ||
    fileID === undefined ||
    startEvent === undefined ||
    attemptNr === undefined
  ) {
    return undefined;
  }
  return { taskID, jobID, fileID, startEvent, attemptNr };
}
