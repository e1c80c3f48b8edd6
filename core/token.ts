/**
 * Tokens: where one event lies and how to read it, in POOL's printed form
 * (Athena, Database/PersistentDataModel/src/Token.cxx):
 * `[DB=<GUID>][CNT=<container>][CLID=<GUID>][TECH=%08X][OID=%016llX-%016llX]` plus free auxiliary `[..]` parts.
 *
 * For event files that are plain bytes, granule gives the byte range in auxiliary parts `[OFF=<n>][LEN=<n>]`.
 */
import { type Guid, tryGuid } from './ids.ts';

export interface Token {
  /** the file */
  readonly guid: Guid;
  /** container (tree, branch, or the event listing's format name) */
  readonly container: string;
  /** class of the object, a GUID text */
  readonly classID: string;
  /** POOL technology number, `(major << 8) + minor` */
  readonly technology: number;
  /** container link number */
  readonly linkID: number;
  /** 0-based entry in the container: position minus one */
  readonly row: number;
  /** half-open byte range in the (inflated) file, for formats that have one */
  readonly byteRange?: { readonly offsetBytes: number; readonly lengthBytes: number };
}

/** Technology number for plain event listings; outside POOL's own majors (ROOT 2, ByteStream 0x10). */
export const TECHNOLOGY_EVENT_LISTING = 0x00004700;
/** POOL's ROOT tree. */
export const TECHNOLOGY_ROOT_TREE = 0x00000202;
/** Class ID granule gives to an event that is a range of bytes. */
export const CLASS_EVENT_BYTES = '6772616E-756C-8E00-8000-6576656E7401';

/** Class ID granule gives to an event that is an entry of a ROOT tree. */
export const CLASS_TREE_ENTRY = '6772616E-756C-8E00-8000-6576656E7402';

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0');
}

export function formatToken(token: Token): string {
  const base =
    `[DB=${token.guid}][CNT=${token.container}][CLID=${token.classID}]` +
    `[TECH=${hex(token.technology, 8)}][OID=${hex(token.linkID, 16)}-${hex(token.row, 16)}]`;
  if (token.byteRange === undefined) return base;
  return `${base}[OFF=${token.byteRange.offsetBytes}][LEN=${token.byteRange.lengthBytes}]`;
}

/** Undefined when the text is not a token; unknown auxiliary parts are ignored. */
export function tryToken(text: string): Token | undefined {
  const parts = new Map<string, string>();
  for (const match of text.matchAll(/\[([A-Z]+)=([^\]]*)\]/g)) {
    const [, key, value] = match;
    if (key !== undefined && value !== undefined) parts.set(key, value);
  }
  const guid = tryGuid(parts.get('DB') ?? '');
  const oid = /^([0-9A-Fa-f]{8,16})-([0-9A-Fa-f]{8,16})$/.exec(parts.get('OID') ?? '');
  if (guid === undefined || oid === null) return undefined;
  const offset = parts.get('OFF');
  const length = parts.get('LEN');
  return {
    guid,
    container: parts.get('CNT') ?? '',
    classID: parts.get('CLID') ?? '',
    technology: Number.parseInt(parts.get('TECH') ?? '0', 16),
    linkID: Number.parseInt(oid[1] ?? '0', 16),
    row: Number.parseInt(oid[2] ?? '0', 16),
    ...(offset !== undefined && length !== undefined
      ? { byteRange: { offsetBytes: Number(offset), lengthBytes: Number(length) } }
      : {}),
  };
}
